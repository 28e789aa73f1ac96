"""Which columns of a user's table are what: named by the user, or found by the names that are usual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from seatrial.errors import UsageError
from seatrial.events.schema import SEGMENT_PREFIX
from seatrial.rollout.bands import Bands
from seatrial.rollout.plan import Plan

USUAL: Mapping[str, tuple[str, ...]] = {
    "unit": ("unit", "unit_id", "user_id", "user", "account_id", "customer_id", "device_id"),
    "arm": ("arm", "variant", "variation", "group", "version", "model_version"),
    "time": ("time", "event_time", "timestamp", "ts", "datetime"),
    "score": ("score", "prediction", "probability"),
    "latency": ("latency_us", "latency_ms", "latency_s", "latency"),
    "error": ("error", "failed", "is_error"),
    "phase": ("phase",),
    "items": ("items", "served", "ranked_list", "ranking"),
}
"""Names that are looked for, in this order, without regard to upper and lower case."""

_CAPTURED = {"request_id", "row", "outcome_key", "bucket"}
"""Columns that together tell an event log of seatrial: there ``row`` and ``bucket`` are what they are there."""

NONE = "-"
"""Given for a segment: do without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of columns; None: there is none and none is needed. Maps go from the plan's names to columns.

    ``clicked``: outcomes that are lists of items, those of ``items`` that somebody clicked. ``bands``: of the segments
    whose column holds numbers, what they are cut into.
    """

    unit: str
    arm: str
    time: str
    score: str | None = None
    latency: str | None = None
    error: str | None = None
    phase: str | None = None
    items: str | None = None
    row: str | None = None
    bucket: str | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)
    outcome_times: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    bands: Mapping[str, Bands] = field(default_factory=dict)
    clicked: tuple[str, ...] = ()

    def used(self) -> list[str]:
        """Every column once."""
        single = (self.unit, self.arm, self.time, self.score, self.latency, self.error, self.phase, self.items)
        many = (*self.outcomes.values(), *self.outcome_times.values(), *self.segments.values())
        return list(dict.fromkeys(name for name in (*single, self.row, self.bucket, *many) if name is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user said: a column by its part (``unit``, ``arm``, ...), and columns by the plan's names."""

    parts: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    outcome_times: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)


def find_columns(plan: Plan, present: Sequence[str], asked: Asked, where: str) -> Columns:
    """The columns the plan's metrics need. Raises UsageError (ST0273) with everything that is missing at once."""
    search = _Search(present, where)
    _known_names(plan, asked)
    parts = {part: search.part(part, asked.parts.get(part), why) for part, why in _needed(plan).items()}
    phase = search.part("phase", asked.parts.get("phase"), "", optional=True)
    outcomes = {
        name: search.named("outcome", name, (name,), asked.outcomes.get(name))
        for name in sorted({name for metric in plan.metrics for name in metric.outcomes})
    }
    times = {name: search.given("outcome-time", f"{name}=", column) for name, column in asked.outcome_times.items()}
    segments = {
        segment.name: search.named(
            "segment", segment.name, (segment.name, f"{SEGMENT_PREFIX}{segment.name}", segment.source),
            asked.segments.get(segment.name),
        )
        for segment in plan.segments
        if asked.segments.get(segment.name) != NONE
    }  # fmt: skip
    search.raise_missing()
    captured = set(present) >= _CAPTURED
    return Columns(
        **parts,
        phase=phase or None,
        row="row" if captured else None,
        bucket="bucket" if captured else None,
        outcomes=outcomes,
        outcome_times=times,
        segments=segments,
        bands={s.name: s.bands for s in plan.segments if s.bands and _raw(segments.get(s.name))},
        clicked=tuple(sorted({m.outcome for m in plan.metrics if m.kind == "ndcg" and m.outcome})),
    )


def _raw(column: str | None) -> bool:
    """Whether a segment's column holds what requests said; in an event log of seatrial it holds the bands already."""
    return column is not None and not column.startswith(SEGMENT_PREFIX)


def _needed(plan: Plan) -> dict[str, str]:
    """The parts of a row the plan needs, with the metric that reads them."""
    needed = {"unit": "", "arm": "", "time": ""}
    for part, kind in (("score", "loss"), ("latency", "latency"), ("error", "error_rate"), ("items", "ndcg")):
        metric = next((m.name for m in plan.metrics if m.kind == kind or (part == "score" and m.among)), None)
        if metric is not None:
            needed[part] = metric
    return needed


def _known_names(plan: Plan, asked: Asked) -> None:
    """A name that the plan does not know is a slip of the pen, never ignored."""
    outcomes = {name for metric in plan.metrics for name in metric.outcomes}
    segments = {segment.name for segment in plan.segments}
    for flag, given, known in (
        ("--outcome", asked.outcomes, outcomes),
        ("--outcome-time", asked.outcome_times, outcomes),
        ("--segment", asked.segments, segments),
    ):
        for name in given:
            if name not in known:
                listed = ", ".join(sorted(known)) or "none"
                raise UsageError("ST0273", f"{flag} {name}=...: plan '{plan.name}' has no such name ({listed}).")


class _Search:
    """Looks names up and remembers what was not there."""

    def __init__(self, present: Sequence[str], where: str) -> None:
        self._present, self._where = list(present), where
        self._missing: list[str] = []

    def part(self, part: str, given: str | None, why: str, *, optional: bool = False) -> str:
        if given is not None:
            return self.given(part, "", given)
        for name in self._alike(USUAL[part]):
            return name
        if not optional:
            need = f" (metric '{why}')" if why else ""
            self._missing.append(f"the {part}{need}: {self._nearest(USUAL[part])}--{part} COLUMN")
        return ""

    def named(self, flag: str, name: str, usual: Sequence[str], given: str | None) -> str:
        if given is not None:
            return self.given(flag, f"{name}=", given)
        for found in self._alike(usual):
            return found
        without = f" (or --segment {name}={NONE} to do without)" if flag == "segment" else ""
        self._missing.append(f"the {flag} '{name}': {self._nearest(usual)}--{flag} {name}=COLUMN{without}")
        return ""

    def given(self, flag: str, name: str, column: str) -> str:
        if column not in self._present:
            self._missing.append(f"'{column}': {self._nearest((column,))}--{flag} {name}COLUMN")
        return column

    def raise_missing(self) -> None:
        if self._missing:
            raise UsageError(
                "ST0273",
                f"'{self._where}' lacks {'; '.join(self._missing)}.",
                remedy=f"It has the columns {', '.join(self._present)}.",
            )

    def _alike(self, usual: Sequence[str]) -> Iterator[str]:
        lower = {name.lower(): name for name in reversed(self._present)}
        yield from (lower[name.lower()] for name in usual if name.lower() in lower)

    def _nearest(self, names: Sequence[str]) -> str:
        """``nearest is 'latenz', say ``, or nothing."""
        for name in names:
            near = get_close_matches(name.lower(), [n.lower() for n in self._present], n=1, cutoff=0.7)
            if near:
                found = next(n for n in self._present if n.lower() == near[0])
                return f"nearest is '{found}', say "
        return "say "
