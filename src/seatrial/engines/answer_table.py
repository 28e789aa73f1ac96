"""Answers of champion and shadow, pair by pair: of a user's own table with one row a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.columns import USUAL as OF_LOGS
from seatrial.engines.inputs import Input
from seatrial.errors import UsageError
from seatrial.events.schema import SEGMENT_PREFIX, UNKNOWN
from seatrial.events.units import unit_bucket
from seatrial.evidence.answers import Answers, Side, Texts
from seatrial.evidence.lists import RankedList
from seatrial.rollout.bands import Bands
from seatrial.rollout.plan import Segment

USUAL: Mapping[str, tuple[str, ...]] = {
    "champion": ("champion", "champion_score", "champion_label", "champion_list", "score_champion"),
    "shadow": ("shadow", "shadow_score", "shadow_label", "shadow_list", "score_shadow", "challenger",
               "challenger_score", "challenger_label", "challenger_list", "candidate", "candidate_score"),
    "unit": OF_LOGS["unit"],
    "time": OF_LOGS["time"],
    "sampled": ("sampled", "inclusion_probability"),
    "champion_error": ("champion_error",),
    "shadow_error": ("shadow_error", "challenger_error"),
    "champion_latency": ("champion_latency_ms", "champion_latency_s", "champion_latency_us"),
    "clicks": (),
    "shadow_latency": ("shadow_latency_ms", "shadow_latency_s", "shadow_latency_us", "challenger_latency_ms"),
}  # fmt: skip
"""Names that are looked for, in this order, without regard to upper and lower case; clicks only if they are named."""

NAME_ANOTHER = "Name another column, or leave it out of the table."
NEEDED = ("champion", "shadow")
_LISTS = "Lists as text are JSON, or cut by --separator."
_SECONDS = {"_us": 1e-6, "_ms": 1e-3, "_s": 1.0}
_SALT = "analyze"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user said: columns by their part, plain segments by column, and how a text of a list is cut.

    ``segments``: those of a plan, found by their name or field.
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()
    segments: Sequence[Segment] = ()
    separator: str | None = None


def table_answers(source: Input, asked: Asked) -> Answers:
    """Answers of a table. A row without an answer on one side is a request that is unmatched.

    Raises UsageError where a column is missing (ST0286) or cannot be read as what it is said to be (ST0287).
    """
    parts = _columns(source, asked)
    segments = _segments(source, asked)
    names = list(dict.fromkeys([*parts.values(), *(column for column, _ in segments.values())]))
    table = source.run(source.table.select(*names)).combine_chunks()
    if not len(table):
        raise UsageError(
            "ST0286", f"'{source.name}' has no rows.", remedy="One row a request, with both answers in it."
        )
    read = _Table(table, asked.separator)
    champion, shadow = (read.side(which, parts) for which in NEEDED)
    if (champion.ranked is None) != (shadow.ranked is None):
        raise UsageError(
            "ST0287",
            f"'{parts['champion']}' and '{parts['shadow']}' are not of one kind: one holds lists.",
            remedy=_LISTS,
        )
    return Answers(
        time=read.times(parts.get("time")),
        bucket=read.buckets(parts.get("unit")),
        joined=champion.answered & shadow.answered,
        champion=champion,
        shadow=shadow,
        segments={name: read.values(column, bands) for name, (column, bands) in segments.items()},
        clicks=None if "clicks" not in parts else read.clicks(parts["clicks"], champion),
        sampled=None if "sampled" not in parts else read.shares(parts["sampled"]),
    )


def _columns(source: Input, asked: Asked) -> dict[str, str]:
    """The column of every part that is there. Everything that is missing is one error."""
    lower = {name.lower(): name for name in reversed(source.columns)}
    found, missing = {}, []
    for part, usual in USUAL.items():
        given = asked.parts.get(part)
        if given is not None and given not in source.columns:
            missing.append(f"'{given}'{_near(given, source.columns)}: --{part.replace('_', '-')} COLUMN")
        elif name := given or next((lower[name] for name in usual if name in lower), None):
            found[part] = name
        elif part in NEEDED:
            missing.append(f"the {part}'s answer: --{part} COLUMN")
    if missing:
        raise UsageError(
            "ST0286", f"'{source.name}' lacks {'; '.join(missing)}.",
            remedy=f"It has the columns {', '.join(source.columns)}.",
        )  # fmt: skip
    return found


def _segments(source: Input, asked: Asked) -> dict[str, tuple[str, Bands | None]]:
    """By the name of each segment its column, and the rule if the column holds what the rule is for."""
    found: dict[str, tuple[str, Bands | None]] = {}
    for segment in asked.segments:
        kept = f"{SEGMENT_PREFIX}{segment.name}"
        column = next((name for name in (segment.source, segment.name, kept) if name in source.columns), None)
        if column is None:
            raise _no_segment(source, segment.source)
        found[segment.name] = column, None if column == kept else segment.bands
    for column in asked.columns:
        if column not in source.columns:
            raise _no_segment(source, column)
        found[column] = column, None
    return found


def _no_segment(source: Input, column: str) -> UsageError:
    return UsageError(
        "ST0286", f"'{source.name}' has no column '{column}'{_near(column, source.columns)} to be a segment.",
        remedy=f"It has the columns {', '.join(source.columns)}.",
    )  # fmt: skip


def _near(name: str, columns: Sequence[str]) -> str:
    near = get_close_matches(name, columns, n=1, cutoff=0.6)
    return f" (nearest is '{near[0]}')" if near else ""


class _Table:
    """Columns of the table as arrays."""

    def __init__(self, table: pa.Table, separator: str | None) -> None:
        self._table, self._separator = table, separator

    def side(self, which: str, parts: Mapping[str, str]) -> Side:
        score, label, ranked = self._answers(parts[which])
        error = self._flags(parts.get(f"{which}_error"))
        if ranked is None:
            there = ~np.isnan(score) | (label != None)  # noqa: E711 (an array)
        else:
            there = np.array([bool(entry) for entry in ranked])
            error = error | np.array([entry == [] for entry in ranked])  # a ranker that finds nothing has failed
        lists = None if ranked is None else [RankedList(entry) if entry else None for entry in ranked]
        return Side(there & ~error, error, score, label, self._seconds(parts.get(f"{which}_latency")), lists)

    def clicks(self, name: str, side: Side) -> list[list[str] | None]:
        """The items that were clicked in each row; none is none, also where nobody looked."""
        if side.ranked is None:
            raise UsageError("ST0287", f"clicks in '{name}' are on ranked lists, and the answers are none.")
        *_, found = self._answers(name)
        if found is None:
            raise UsageError("ST0287", f"'{name}' does not hold lists of the items that were clicked.", remedy=_LISTS)
        return found

    def times(self, name: str | None) -> Any:
        """Microseconds since the epoch, -1 for none."""
        if name is None:
            return np.full(len(self._table), -1, dtype=np.int64)
        column = self._table[name]
        try:
            moments = pc.cast(column, pa.timestamp("us", tz="UTC" if getattr(column.type, "tz", None) else None))
        except pa.ArrowInvalid as error:
            raise UsageError(
                "ST0287", f"'{name}' does not hold times: {str(error).splitlines()[0]}.", remedy=NAME_ANOTHER
            ) from None
        return pc.fill_null(pc.cast(moments, pa.int64()), -1).to_numpy()

    def buckets(self, name: str | None) -> Any:
        """The variance bucket of each row's unit; a row without a unit is a unit of its own."""
        units = [None] * len(self._table) if name is None else self._table[name].to_pylist()
        known: dict[Any, int] = {}
        found = np.zeros(len(units), dtype=np.int64)
        for n, unit in enumerate(units):
            key = f"row {n}" if unit is None else f"unit {unit}"
            found[n] = known[key] if key in known else known.setdefault(key, unit_bucket(key, _SALT))
        return found

    def shares(self, name: str) -> Any:
        """Which share of such requests was copied, in points of 10,000."""
        try:
            shares = pc.cast(self._table[name], pa.float64()).to_numpy()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UsageError("ST0287", f"'{name}' does not hold numbers.", remedy=NAME_ANOTHER) from None
        points = np.round(np.nan_to_num(shares) * 10_000).astype(np.int64)
        if not ((points >= 1) & (points <= 10_000)).all():
            raise UsageError(
                "ST0287", f"'{name}' is the share of such requests that was copied, and somewhere it is none.",
                remedy="Above 0 (at least 0.0001) and at most 1, in every row.",
            )  # fmt: skip
        return points

    def values(self, name: str, bands: Bands | None) -> Texts:
        """The segment of each row."""
        values = self._table[name].to_pylist()
        if bands is None:
            return np.array([UNKNOWN if value is None else str(value) for value in values], dtype=object)
        plain = (value if isinstance(value, int | float) else str(value) for value in values)
        return np.array([bands.label_of(value) or UNKNOWN for value in plain], dtype=object)

    def _answers(self, name: str) -> tuple[Any, Texts, list[list[str] | None] | None]:
        """Scores, labels, and lists of ids, of which two are empty."""
        column = self._table[name]
        kind, n = column.type, len(self._table)
        nothing, unnamed = np.full(n, np.nan), np.full(n, None, dtype=object)
        if pa.types.is_boolean(kind):
            return nothing, np.array([None if v is None else str(v).lower() for v in column.to_pylist()], object), None
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            scores = pc.cast(column, pa.float64()).to_numpy().copy()
            scores[~np.isfinite(scores)] = np.nan
            return scores, unnamed, None
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return nothing, unnamed, [self._distinct(name, row) for row in column.to_pylist()]
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts = column.to_pylist()
            if self._separator is None and not all(text is None or text.startswith("[") for text in texts):
                return nothing, np.array(texts, dtype=object), None
            return nothing, unnamed, [self._distinct(name, self._cut(name, text)) for text in texts]
        raise UsageError(
            "ST0287", f"'{name}' is of type {kind}: neither scores nor labels nor ranked lists.", remedy=NAME_ANOTHER
        )

    def _cut(self, name: str, text: str | None) -> list[Any] | None:
        if text is None:
            return None
        if self._separator is not None:
            return [word.strip() for word in text.split(self._separator) if word.strip()]
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, list) or any(isinstance(item, list | dict) for item in found):
            raise UsageError(
                "ST0287", f"'{name}' has a text that is no JSON list: {text[:40]!r}.",
                remedy=_LISTS,
            )  # fmt: skip
        return found

    def _distinct(self, name: str, ranked: list[Any] | None) -> list[str] | None:
        if ranked is None:
            return None
        ids = [str(item) for item in ranked]
        if len({*ids}) < len(ids) or None in ranked:
            raise UsageError(
                "ST0287", f"'{name}' has a list with an id twice, or without one: {str(ranked)[:60]}.",
                remedy="An id has one rank.",
            )  # fmt: skip
        return ids

    def _flags(self, name: str | None) -> Any:
        if name is None:
            return np.zeros(len(self._table), dtype=bool)
        try:
            return pc.fill_null(pc.cast(self._table[name], pa.bool_()), False).to_numpy()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UsageError("ST0287", f"'{name}' does not say true or false.", remedy=NAME_ANOTHER) from None

    def _seconds(self, name: str | None) -> Any:
        if name is None:
            return np.full(len(self._table), np.nan)
        factor = next((size for ending, size in _SECONDS.items() if name.lower().endswith(ending)), None)
        if factor is None:
            raise UsageError("ST0287", f"the name '{name}' does not tell its unit.", remedy="End it in _us, _ms or _s.")
        try:
            return pc.cast(self._table[name], pa.float64()).to_numpy() * factor
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UsageError("ST0287", f"'{name}' does not hold numbers.", remedy=NAME_ANOTHER) from None
