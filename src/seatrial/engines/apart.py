"""Outcomes that are kept apart from the exposures, set beside the rows of a log that they are about."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.columns import Asked
from seatrial.engines.inputs import Input, open_log
from seatrial.errors import UsageError
from seatrial.rollout.plan import Plan

KEYS = ("outcome_key", "request_id", "prediction_id", "exposure_id", "key", "id")
"""Names of the log's column that are looked for, in this order."""

NEEDED = ("key", "name", "value")
FORM = "A row is one outcome: key, name, value; time and revision where they are known."


def with_outcomes(log: Input, file: str, key: str | None, plan: Plan, asked: Asked) -> tuple[Input, Asked]:
    """The log with a column for each outcome of the plan that is not asked for elsewhere, and what is asked of it.

    Of several records of one outcome the highest ``revision`` counts. ``key``: the log's column that says which
    outcomes are whose. Raises UsageError (ST0280) for a file that does not hold outcomes, (ST0281) where the log has no
    key or is a table of another database, and (ST0282) where records contradict each other or are about other rows.
    """
    names = sorted({n for metric in plan.metrics for n in metric.outcomes} - asked.outcomes.keys())
    if log.bring is None:
        raise UsageError(
            "ST0281", f"'{log.name}' is a table of another database: outcomes of a file cannot be set beside it.",
            remedy="Join them there, and name the columns: --outcome NAME=COLUMN.",
        )  # fmt: skip
    key = _key(log, key)
    told = open_log(file)
    try:
        found = _by_key(told, names, frozenset(m.outcome for m in plan.metrics if m.kind == "ndcg" and m.outcome))
    finally:
        told.close()
    called = {"value": {name: f"{name} ({file})" for name in names}}
    called["when"] = {name: f"{name} since ({file})" for name in names if "when_0" in found.column_names}
    renamed = {f"{what}_{n}": of[name] for what, of in called.items() for n, name in enumerate(names) if of}
    beside = log.bring(found.select(["key", *renamed]).rename_columns(["key", *renamed.values()]))
    _require_some(log, beside, key, file)
    rows = log.table.left_join(beside, log.table[key].cast("string") == beside["key"])
    rows = rows.select(*(log.table[name] for name in log.columns), *(beside[name] for name in renamed.values()))
    outcomes, times = {**asked.outcomes, **called["value"]}, {**called["when"], **asked.outcome_times}
    return replace(log, table=rows, bring=None), replace(asked, outcomes=outcomes, outcome_times=times)


def _key(log: Input, given: str | None) -> str:
    present = {name.lower(): name for name in reversed(log.columns)}
    if given is not None and given in log.columns:
        return given
    if given is None:
        for name in KEYS:
            if name in present:
                return present[name]
    lacks = f"no column '{given}'" if given else "no column that names its outcomes"
    raise UsageError(
        "ST0281", f"'{log.name}' has {lacks}; it has {', '.join(log.columns)}.",
        remedy="Say which column the key of the outcomes refers to: --key COLUMN.",
    )  # fmt: skip


def _by_key(told: Input, names: Sequence[str], clicked: Collection[str]) -> pa.Table:
    """One row a key: the value of each outcome, and when it became true if the file says so.

    ``clicked``: outcomes that name an item; their value is the list of those items whose own value is above 0.
    """
    of_items = ["item"] if {*names} & {*clicked} else []
    if lacking := [name for name in (*NEEDED, *of_items) if name not in told.columns]:
        raise UsageError("ST0280", f"'{told.name}' has no column {', '.join(map(repr, lacking))}.", remedy=FORM)
    rows = told.table.filter(told.table.name.isin(list(names)))
    if "revision" in told.columns:
        latest = rows.mutate(top=rows.revision.max().over(ibis.window(group_by=["key", "name", *of_items])))
        rows = latest.filter(latest.revision == latest.top)
    dated = ["time"] if "time" in told.columns else []
    rows = rows.select(*NEEDED, *dated, *of_items, key_text=rows.key.cast("string")).distinct()
    sums = {f"records_{n}": rows.count(where=rows.name == name) for n, name in enumerate(names)}
    for n, name in enumerate(names):
        if name in clicked:
            there = (rows.name == name) & (rows["value"] > 0) & rows["item"].notnull()
            sums |= {
                f"value_{n}": rows["item"].cast("string").collect(where=there),
                f"records_{n}": rows.count(where=rows.key.isnull()),
            }
        else:
            sums[f"value_{n}"] = rows["value"].max(where=rows.name == name)
        sums |= {f"when_{n}": rows["time"].max(where=rows.name == name)} if dated else {}
    found = told.run(rows.group_by(key=rows.key_text).agg(**sums))
    for n, name in enumerate(names):
        twice = found.filter(pc.greater(found[f"records_{n}"], 1))
        if len(twice):
            raise UsageError(
                "ST0282",
                f"'{told.name}' contradicts itself: {twice['key'][0].as_py()!r} has {twice[f'records_{n}'][0].as_py()} "
                f"different records of '{name}' ({len(twice):,} keys in all).",
                remedy="Keep the one that counts, or number them in a column 'revision': the highest counts.",
            )
    return found


def _require_some(log: Input, beside: ir.Table, key: str, file: str) -> None:
    """Outcomes of which none is about a row of the log are another log's, or the key is another column."""
    met = log.table.semi_join(beside, log.table[key].cast("string") == beside["key"])
    if not log.run(met.aggregate(n=met.count()))["n"][0].as_py():
        raise UsageError(
            "ST0282", f"no outcome of '{file}' is about a row of '{log.name}' by its column '{key}'.",
            remedy="Name the column that the outcomes' keys are from: --key COLUMN.",
        )  # fmt: skip
