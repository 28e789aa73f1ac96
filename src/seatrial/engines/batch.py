"""Evidence of a whole table at one time: one statement for the sums, one for the units.

The sums are those of ``engines.evidence``, of the same expressions. Without parts that arrive one by one nothing has to
be remembered, so units are counted where the rows are and a table of any size comes back as a few thousand rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.clicks import ndcg_of_lists
from seatrial.engines.expressions import Clock, cross_sums, holds, mature_sums, prompt_sums, segment_column
from seatrial.engines.shape import reads_outcomes
from seatrial.engines.statements import column
from seatrial.engines.sums import (
    MAX_VALUES,
    OTHER,
    CellRows,
    Held,
    Ints,
    Places,
    Segments,
    first_seen,
    inside,
    integers,
    mature_values,
    prompt_values,
)
from seatrial.engines.wide import in_arms
from seatrial.events.schema import to_micros
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import MICRO, TOTAL
from seatrial.ids import CANARY, CHAMPION, Arm
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan

MOST_PHASES = 30
_ARMS: tuple[Arm, Arm] = (CANARY, CHAMPION)
_CODES = 64
"""A place is coded as twice the position of its phase, plus the arm: 64-bit masks hold them all."""

Run = Callable[[ir.Table], pa.Table]


@dataclass(frozen=True)
class Found:
    """What a table holds. ``mixed``: units that were in both arms within one phase, so in no group of their own."""

    evidence: Evidence
    units: int
    mixed: int


def evidence_of(run: Run, exposures: ir.Table, plan: Plan, phases: Sequence[int], at: datetime) -> Found:
    """Evidence at a time of exposures (see ``engines.wide``) in the phases of these numbers, ascending.

    An exposure of a metric with horizon *h* is mature if its time plus *h* is not later than ``at``, and takes its
    outcome if that became true within the horizon. ``run`` gives the rows of an expression.
    """
    if len(phases) > MOST_PHASES:
        raise ValueError(f"{len(phases)} phases, at most {MOST_PHASES}")
    batch = _Batch(plan, exposures, at)
    counts = _Units(plan, phases, run(batch.units(phases)))
    metrics, requests = batch.metrics(run)
    evidence = Evidence(at=at, metrics=metrics, units=counts.counts(), exposures=requests)
    return Found(evidence, counts.all, counts.mixed)


def metrics_of(run: Run, exposures: ir.Table, plan: Plan, at: datetime) -> Mapping[str, MetricEvidence]:
    """Only the sums, of the exposures up to a time."""
    return _Batch(plan, exposures.filter(exposures.t <= to_micros(at)), at).metrics(run)[0]


class _Batch:
    """The statements over one table of exposures."""

    def __init__(self, plan: Plan, exposures: ir.Table, at: datetime) -> None:
        self._plan, self._all, self._rows = plan, exposures, in_arms(exposures)
        self._at = to_micros(at)
        self._clock = Clock(round(plan.look_every.seconds * MICRO), round(plan.time_bucket.seconds * MICRO))
        self._outcomes = sorted({name for metric in plan.metrics for name in metric.outcomes})
        self.dimensions = [s.name for s in plan.segments if segment_column(s.name) in exposures.columns]
        self._columns = [segment_column(name) for name in self.dimensions]

    def metrics(self, run: Run) -> tuple[dict[str, MetricEvidence], Counter[tuple[int, Arm]]]:
        """Evidence of every metric, and requests by (phase, arm)."""
        sums = run(self.sums())
        sums = sums.filter(pc.is_in(sums["arm"], pa.array(_ARMS)))
        held = _held(self._plan, sums, self._segments(sums, run))
        places = Places(sums)
        rows, requests = (_by_arm(places, integers(sums, name)) for name in ("exposures", "requests"))
        metrics = {}
        for metric in self._plan.metrics:
            if metric.kind == "requests_per_unit":
                _absorb_units(held, metric.name, self, run)
            of = held.of[metric.name]
            young = rows - of.mature if reads_outcomes(metric) else Counter[tuple[int, Arm]]()
            metrics[metric.name] = MetricEvidence(of.tally(), young, dict(of.missing), 0, dict(of.outside))
        return metrics, requests

    def sums(self) -> ir.Table:
        """Sums of every metric by stratum, arm (others, too), bucket and crossed segments."""
        e = self._all
        sums = {"requests": holds(e.row == 0)}
        for n, metric in enumerate(self._plan.metrics):
            parts = self._mature(metric) if reads_outcomes(metric) else prompt_sums(metric, e)
            sums |= {column(n, name): value for name, value in parts.items()}
        by = ["phase", "arm", "bucket", *self._columns]
        return cross_sums(e, self._clock, by, sums, exposures=lambda rows: rows.count())

    def firsts(self, dimension: str) -> ir.Table:
        """When each value of a dimension was first met."""
        return self._rows.group_by(segment_column(dimension)).agg(first=self._rows.t.min())

    def _segments(self, sums: pa.Table, run: Run) -> Segments:
        """The values with cells of their own. Rows are asked for times only where there are more than may have some."""
        segments = Segments()
        for dimension in self.dimensions:
            found = pa.table({segment_column(dimension): pc.unique(sums[segment_column(dimension)])})
            times = np.zeros(len(found), dtype=np.int64)
            if len(found) > MAX_VALUES:
                found = run(self.firsts(dimension))
                times = integers(found, "first")
            segments.learn(first_seen(found, times, [dimension]).get(0, {}))
        return segments

    def distinct_units(self, dimension: str | None, known: Sequence[str] = ()) -> ir.Table:
        """Distinct units of each cell, in the total or in the segments of one dimension (``known``, and the others)."""
        rows = self._rows.mutate(stratum=self._clock.stratum(self._rows.t))
        by = ["stratum", "phase", "arm", "bucket"]
        if dimension is not None:
            name = segment_column(dimension)
            rows = rows.mutate(**{name: ibis.ifelse(rows[name].isin(known), rows[name], OTHER)})
            by.append(name)
        return rows.group_by(by).agg(units=rows.unit.nunique())

    def units(self, phases: Sequence[int]) -> ir.Table:
        """How many units have the same first place, the same places, and the same places of each rare event.

        Places are bits: each unit has one row a place before they are added up, so the sum is the union.
        """
        place = ibis.cases(
            *((self._rows.phase == number, ibis.literal(2 * n, "int64")) for n, number in enumerate(phases))
        )
        e = self._rows.mutate(place=place + ibis.ifelse(self._rows.arm == CHAMPION, 1, 0))
        met = {}
        for n, metric in enumerate(self._plan.metrics):
            if metric.rare:
                hit = prompt_sums(metric, e)["failed" if metric.kind == "error_rate" else "slow"]
                met[column(n, "places")] = hit.cast("int64").max()
        there = e.group_by(["unit", "place"]).agg(first=(e.t * _CODES + e.place).min(), **met)
        bit = ibis.cases(*((there.place == code, ibis.literal(1 << code, "int64")) for code in range(2 * len(phases))))
        there = there.mutate(places=bit, **{name: there[name] * bit for name in met})
        masks = {name: there[name].sum() for name in ("places", *met)}
        each = there.group_by("unit").agg(first=there.first.min() % _CODES, **masks)
        alike = each.group_by(["first", *masks])
        return alike.agg(n=each.count())

    def _mature(self, metric: Metric) -> dict[str, Any]:
        e = self._all
        horizon = 0 if metric.horizon is None else round(metric.horizon.seconds * MICRO)
        mature = e.t <= self._at - horizon
        values = {}
        for name in metric.outcomes:
            n = self._outcomes.index(name)
            counts = mature
            if f"when_{n}" in e.columns:
                when = e[f"when_{n}"]
                counts = mature & (when.isnull() | (when <= e.t + horizon))
            value = e[f"value_{n}"]
            value = ndcg_of_lists(e["items"], value, metric.depth) if metric.kind == "ndcg" else value
            values[name] = ibis.ifelse(counts, value, ibis.null("float64"))
        sums = mature_sums(metric, e, values)
        if metric.among is not None:
            sums["inside"] = sums["inside"] & holds(mature)
        return {"mature": holds(mature), **sums}


@dataclass
class _AllHeld:
    of: dict[str, Held]
    segments: Segments


def _held(plan: Plan, sums: pa.Table, segments: Segments) -> _AllHeld:
    """The rows of the sums, absorbed into cells."""
    dimensions = [s.name for s in plan.segments if segment_column(s.name) in sums.column_names]
    held = _AllHeld({metric.name: Held() for metric in plan.metrics}, segments)
    places = Places(sums)
    rows = CellRows(sums, places, dimensions, {0: segments})
    requests = integers(sums, "requests")
    for n, metric in enumerate(plan.metrics):
        of = held.of[metric.name]
        if reads_outcomes(metric):
            mature = integers(sums, column(n, "mature"))
            values, missing = mature_values(metric, sums, n, mature)
            of.mature.update(_by_arm(places, mature))
            of.missing.update(_by_arm(places, missing))
            of.outside.update(_by_arm(places, mature - inside(metric, sums, n, mature)))
        else:
            values = prompt_values(metric, sums, n, requests)
        for _, cell, added in rows.add_up(values):
            of.add(cell, added)
    return held


def _by_arm(places: Places, values: Ints) -> Counter[tuple[int, Arm]]:
    """Sums of a column by (phase, arm)."""
    return Counter({(phase, arm): n for (_, phase, arm), n in places.sums(values)})


def _absorb_units(held: _AllHeld, name: str, batch: _Batch, run: Run) -> None:
    """The denominator of requests per unit: distinct units, which do not add up over segments."""
    for dimension in (None, *batch.dimensions):
        known = held.segments.values(dimension) if dimension else []
        found = run(batch.distinct_units(dimension, known))
        units = integers(found, "units") * MICRO
        rows = CellRows(found, Places(found), [dimension] if dimension else [], {0: held.segments})
        for _, cell, added in rows.add_up(np.column_stack([0 * units, 0 * units, units])):
            if (cell.segment == TOTAL) == (dimension is None):
                held.of[name].add(cell, added)


class _Units:
    """Rows of ``_Batch.units`` as the counts that gates read."""

    def __init__(self, plan: Plan, phases: Sequence[int], found: pa.Table) -> None:
        columns = {name: integers(found, name).tolist() for name in found.column_names}
        rows = self._rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        self._places = [(phase, arm) for phase in phases for arm in _ARMS]
        self._arms = {arm: sum(1 << code for code, (_, a) in enumerate(self._places) if a == arm) for arm in _ARMS}
        self._rare = {column(n, "places"): metric.name for n, metric in enumerate(plan.metrics) if metric.rare}
        self.all = sum(row["n"] for row in rows)
        both = [3 << (2 * n) for n in range(len(phases))]
        self.mixed = sum(row["n"] for row in rows if any(row["places"] & b == b for b in both))

    def counts(self) -> UnitCounts:
        """All phases are live: a log of one's own has neither strikes nor a shadow."""
        new: Counter[tuple[int, Arm]] = Counter()
        for row in self._rows:
            new[self._places[row["first"]]] += row["n"]
        arms = self._by_arm("places")
        return UnitCounts(
            new=new,
            arms=arms,
            phases=self._by_place("places"),
            crossed=sum(arms.values()) - self.all,
            firsts={name: self._firsts(mask) for mask, name in self._rare.items()},
            met={name: self._by_place(mask) for mask, name in self._rare.items()},
            touched={name: self._by_arm(mask) for mask, name in self._rare.items()},
            live=arms,
        )

    def _by_place(self, mask: str) -> Counter[tuple[int, Arm]]:
        found: Counter[tuple[int, Arm]] = Counter()
        for row in self._rows:
            found.update({place: row["n"] for code, place in enumerate(self._places) if row[mask] >> code & 1})
        return found

    def _by_arm(self, mask: str) -> Counter[Arm]:
        found: Counter[Arm] = Counter()
        for row in self._rows:
            found.update({arm: row["n"] for arm, bits in self._arms.items() if row[mask] & bits})
        return found

    def _firsts(self, mask: str) -> Counter[tuple[int, Arm]]:
        """Units by the first place of their events: the lowest bit, earlier phases before later ones."""
        found: Counter[tuple[int, Arm]] = Counter()
        for row in self._rows:
            if places := row[mask]:
                found[self._places[(places & -places).bit_length() - 1]] += row["n"]
        return found
