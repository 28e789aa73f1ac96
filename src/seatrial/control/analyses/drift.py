"""Whether a table still looks as its reference did: column by column, window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from seatrial.engines.drift import Asked, Reference, Slice, Table, kinds_of, references, windows
from seatrial.stats.drift.cells import Cells
from seatrial.stats.drift.judge import Finding, Rules, judge, persistent
from seatrial.stats.drift.measures import Measure, compared

Document = dict[str, Any]
Result = Literal["stable", "drift", "undecided"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Question:
    """``persist``: windows in a row in which a column must drift before it counts."""

    asked: Asked = field(default_factory=Asked)
    rules: Rules = field(default_factory=Rules)
    persist: int = 1


@dataclass(frozen=True, kw_only=True)
class Known:
    """A reference: what is kept of its columns, and what was left out of it with the reason."""

    name: str
    rows: int
    columns: Mapping[str, Reference]
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The answer. Of each window: how many values every column has, every measure of it, the findings, and the columns
    that drift."""

    reference: Known
    name: str
    rows: int
    question: Question
    slices: Sequence[Slice]
    present: Sequence[Mapping[str, int]]
    measures: Sequence[Mapping[str, Sequence[Measure]]]
    findings: Sequence[Sequence[Finding]]
    lasting: Sequence[frozenset[str]]
    new_columns: Sequence[str]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Columns that drifted for long enough in some window, in the order of the reference."""
        found = frozenset[str]().union(*self.lasting)
        return tuple(name for name in self.reference.columns if name in found)

    @property
    def result(self) -> Result:
        if self.drifted:
            return "drift"
        told = any(f.p_value is not None for findings in self.findings for f in findings)
        return "stable" if told and len(self.slices) >= self.question.persist else "undecided"


def learn(table: Table, asked: Asked) -> Known:
    """What is kept of a reference. Raises UsageError (ST0382, ST0383) for columns that are not there or no times."""
    kinds, left = kinds_of(table, asked)
    columns, identifiers = references(table, kinds, asked)
    return Known(name=table.name, rows=table.rows, columns=columns, left_out=left | identifiers)


def drift(known: Known, table: Table, question: Question) -> Drift:
    """The table held against what is known. Raises UsageError (ST0382 to ST0384) for columns that do not fit."""
    asked = question.asked
    columns = {name: one for name, one in known.columns.items() if _wanted(name, asked)}
    parts, counts = windows(table, columns, asked)
    measures = [
        {name: compared(columns[name].column, now[name], columns[name].dependence) for name in columns}
        for now in counts
    ]  # fmt: skip
    findings = [judge(found, question.rules) for found in measures]
    ignored = {*known.columns, *known.left_out, *asked.without, asked.time}
    return Drift(
        reference=known, name=table.name, rows=table.rows, question=question, slices=parts, measures=measures,
        present=[{name: one.n for name, one in now.items()} for now in counts], findings=findings,
        lasting=persistent(findings, question.persist),
        new_columns=[n for n in table.schema.names if n not in ignored and not asked.only],
    )  # fmt: skip


def _wanted(name: str, asked: Asked) -> bool:
    return name not in asked.without and (not asked.only or name in asked.only)


def drift_document(found: Drift) -> Document:
    """``seatrial.drift-analysis.v1``."""
    rules = found.question.rules
    return {
        "schema": "seatrial.drift-analysis.v1",
        "result": found.result,
        "reason": _reason(found),
        "drifted": list(found.drifted),
        "reference": {"name": found.reference.name, "rows": found.reference.rows},
        "current": {"name": found.name, "rows": found.rows},
        "rules": {"alpha": rules.alpha, "persist": found.question.persist},
        "windows": [
            {
                "start": _iso(part.start), "end": _iso(part.end), "rows": part.rows,
                "drifted": sorted({f.column for f in findings if f.drift}), "lasting": sorted(lasting),
            }
            for part, findings, lasting in zip(found.slices, found.findings, found.lasting, strict=True)
        ],
        "columns": [_column(found, name) for name in found.reference.columns if _wanted(name, found.question.asked)],
        "leftOut": dict(found.reference.left_out),
        "newColumns": list(found.new_columns),
    }  # fmt: skip


def _column(found: Drift, name: str) -> Document:
    known = found.reference.columns[name]
    return {
        "name": name,
        "kind": "numbers" if isinstance(known.column, Cells) else "categories",
        "dependence": asdict(known.dependence),
        "windows": [
            {
                "measures": {m.name: {"value": m.value, "pValue": m.p_value} for m in measures[name]},
                "judged": [_finding(f) for f in findings if f.column == name],
            }
            for measures, findings in zip(found.measures, found.findings, strict=True)
        ],
    }


def _finding(f: Finding) -> Document:
    return {"measure": f.measure, "value": f.value, "least": f.least, "adjusted": f.adjusted, "drift": f.drift}


def _reason(found: Drift) -> str:
    number, lasts = len(found.drifted), found.question.persist
    if found.result == "drift":
        some = ", ".join(found.drifted[:5]) + (f" and {number - 5} more" if number > 5 else "")
        times = f" in {lasts} windows in a row" if lasts > 1 else ""
        return f"{some}: surely different{times}, and by enough to matter"
    if found.result == "undecided":
        if len(found.slices) < lasts:
            return f"drift must last for {lasts} windows, and the table has {len(found.slices)}"
        return "no column has values enough on both sides"
    return f"no column is both surely and notably different, alpha {found.question.rules.alpha:g} over all of them"


def _iso(moment: int | None) -> str | None:
    return None if moment is None else (_EPOCH + timedelta(microseconds=moment)).isoformat()
