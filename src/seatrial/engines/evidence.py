"""Evidence of one rollout, grown look by look from the Parquet parts, the same whenever it is computed.

An event counts at its ``time``. An exposure of a metric with horizon *h* matures at the first tick at or after its
time plus *h*, and takes the outcomes received by that tick which became true within the horizon. Ticks lie at
``started`` plus whole multiples of the plan's ``look_every``. So evidence at a time is a function of the parts alone:
whether one asked once or at every tick, before or after a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import compress, repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seatrial.engines.duck import DuckEngine
from seatrial.engines.expressions import EARLY, EXPOSURES, OUTCOMES, segment_column
from seatrial.engines.feature_pairs import FeaturePairs
from seatrial.engines.outputs import Answers, primary
from seatrial.engines.source import PartSource
from seatrial.engines.statements import GRACE, MaturityGroup, column, rare_metrics, statements_of
from seatrial.engines.sums import (
    HIT,
    CellRows,
    Held,
    Segments,
    blocks,
    count_by_arm,
    first_seen,
    inside,
    integers,
    mature_values,
    prompt_values,
    segments_of,
)
from seatrial.events.parts import model_directory
from seatrial.events.schema import UNKNOWN, from_micros, to_micros
from seatrial.evidence.facts import MutableFacts, Seen, UnitRow
from seatrial.evidence.scores import SCORE_BINS, score_bins
from seatrial.evidence.snapshot import Captured, Evidence, MetricEvidence, ShadowEvidence
from seatrial.evidence.tally import MICRO, UNIT_BUCKETS, Cell
from seatrial.ids import CHAMPION, SHADOW, Arm
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan

_LONG_AGO = -(1 << 60)
_PRUNE_AT = 50_000
_ARROW = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "boolean": pa.bool_()}


class EvidenceBuilder:
    """Absorbs the log of one rollout up to a time, and hands out what a look sees.

    ``events_dir`` and ``outcomes_dir`` hold one directory of parts per model. ``engine``: where sums are made (DuckDB
    in memory unless given). Not for use by several threads at once.
    """

    def __init__(
        self,
        events_dir: Path,
        outcomes_dir: Path,
        plan: Plan,
        rollout: str,
        model: str,
        started: datetime,
        *,
        engine: DuckEngine | None = None,
    ) -> None:
        self.plan, self.rollout, self.model = plan, rollout, model
        self._directories = model_directory(events_dir, model), model_directory(outcomes_dir, model)
        self._start = to_micros(started)
        self._engine = engine or DuckEngine()
        self._statements = statements_of(plan)
        self._dimensions = [segment.name for segment in plan.segments]
        self._names = sorted({name for metric in plan.metrics for name in metric.outcomes})
        self._schema = _schema(EXPOSURES, [segment_column(name) for name in self._dimensions])
        self._reset()

    def _reset(self) -> None:
        """Forget everything: what follows reads the parts from the beginning."""
        events, outcomes = self._directories
        self._events, self._outcomes = PartSource(events, "time"), PartSource(outcomes, "received_at")
        self._engine.create("exposures", self._schema)
        self._engine.create("outcomes", _schema(OUTCOMES))
        self._told = FeaturePairs(self._engine, self.plan)
        self._last = _LONG_AGO
        self._numbered = 0
        self._received = _LONG_AGO
        self._kept = {"exposures": 0, "outcomes": 0}
        self._prune_at = {"exposures": _PRUNE_AT, "outcomes": _PRUNE_AT}
        self._phases: dict[int, int] = {}
        self._mirrored: set[int] = set()
        self._segments = Segments()
        self._facts = MutableFacts()
        self._live = {metric.name: Held() for metric in self.plan.metrics}
        self._pairs = {metric.name: Held() for metric in self.plan.metrics if metric.pairs}
        self._requests: Counter[tuple[int, Arm]] = Counter()
        self._rows: Counter[tuple[int, Arm]] = Counter()
        self._units_seen: dict[str, dict[Cell, set[str]]] = {
            metric.name: {} for metric in self.plan.metrics if metric.kind == "requests_per_unit"
        }
        self._grid: dict[str, NDArray[np.int64]] = {}
        self._buckets: dict[str, NDArray[np.int64]] = {}
        self._answers = Answers() if self.plan.agreements else None
        self._paired: Counter[int] = Counter()
        self._unmatched = 0

    @property
    def at(self) -> datetime | None:
        """Up to which time everything is absorbed; None before the first ``advance``."""
        return None if self._last == _LONG_AGO else from_micros(self._last)

    def advance(self, to: datetime) -> None:
        """Absorb the events with time up to ``to``, and the exposures that matured by then.

        What is not later than the last ``advance`` is settled and changes nothing; before ``started`` there is nothing.
        """
        end = to_micros(to)
        if end < self._start or end <= self._last:
            return
        if not (self._events.refresh() & self._outcomes.refresh()):
            self._reset()
            self._events.refresh()
            self._outcomes.refresh()
        while self._last < end:
            reach = self._load_events(end)
            if reach >= self._start and reach > self._last:
                self._load_outcomes(reach)
                self._absorb(reach)

    def snapshot(
        self,
        *,
        live: Collection[int],
        mirrored: Collection[int],
        capture: Mapping[tuple[int, Arm], Captured] | None = None,
    ) -> Evidence:
        """What a look sees now. ``live``, ``mirrored``: phases in which units' rare events count (``UnitCounts``)."""
        if self._last == _LONG_AGO:
            return Evidence(at=from_micros(self._start), capture=capture or {})
        return Evidence(
            at=from_micros(self._last),
            metrics={metric.name: self._evidence(metric) for metric in self.plan.metrics if metric.kind != "agreement"},
            pairs={name: self._pair_evidence(held) for name, held in self._pairs.items()},
            units=self._facts.counts(live=live, mirrored=mirrored),
            exposures=dict(self._requests),
            shadow=self._shadow_evidence(),
            inputs=self._told.tally(),
            capture=capture or {},
        )

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()

    def _shadow_evidence(self) -> ShadowEvidence:
        pairs = sum(self._paired.values())
        if self._answers is None:
            return ShadowEvidence(dict(self._grid), pairs, self._unmatched)
        grid, outputs = self._answers.in_order(self._grid), self._answers.outputs
        return ShadowEvidence(grid, pairs, self._unmatched, dict(self._buckets), outputs)

    def _evidence(self, metric: Metric) -> MetricEvidence:
        held = self._live[metric.name]
        waiting = {} if metric in self._statements.prompt else _left(self._rows, held.mature)
        return MetricEvidence(held.tally(), waiting, dict(held.missing), held.late, dict(held.outside))

    def _pair_evidence(self, held: Held) -> MetricEvidence:
        return MetricEvidence(held.tally(), _left(self._joined(), held.mature), dict(held.missing))

    # Reading

    def _load_events(self, to: int) -> int:
        columns = [*_EVENT_COLUMNS, *self._told.columns, *map(segment_column, self._dimensions)]
        tables, reach = self._events.take(to, columns)
        tables = [self._ours(table) for table in tables]
        if self._answers is not None:
            self._answers.learn(tables)
        rows = [self._exposures(table) for table in tables if len(table)]
        if rows:
            self._insert("exposures", pa.concat_tables(rows))
        return reach

    def _ours(self, part: pa.Table) -> pa.Table:
        """Rows of this rollout's arms."""
        arms = pc.or_(
            pc.and_(pc.is_in(part["arm"], pa.array(["champion", "canary"])), pc.is_valid(part["bucket"])),
            pc.equal(part["arm"], "shadow"),
        )
        wanted = pc.and_(pc.and_(pc.equal(part["rollout"], self.rollout), arms), pc.is_valid(part["phase"]))
        return part.filter(pc.fill_null(wanted, False))

    def _exposures(self, part: pa.Table) -> pa.Table:
        """The same rows as the statements expect them."""
        answered = primary(part)
        finite = pc.fill_null(pc.and_(answered, pc.is_finite(part["score"])), False)
        score = pc.if_else(finite, part["score"], None)
        scores = score.to_numpy()
        bins = score_bins(scores) if self._answers is None else self._answers.bins(scores, part["label"])
        columns = {
            "eid": pa.array(np.arange(self._numbered, self._numbered + len(part))),
            "request_id": part["request_id"],
            "row": part["row"],
            "outcome_key": part["outcome_key"],
            "arm": part["arm"],
            "phase": part["phase"],
            "unit": part["unit"],
            "bucket": part["bucket"],
            "t": pc.cast(part["time"], pa.int64()),
            "error": part["error"],
            "answered": answered,
            "latency": part["latency_us"],
            "score": score,
            "bin": pa.array(bins, mask=bins < 0),
        }
        for name in map(segment_column, self._dimensions):
            known = name in part.column_names
            columns[name] = pc.fill_null(part[name], UNKNOWN) if known else pa.array([UNKNOWN] * len(part))
        self._numbered += len(part)
        self._told.add(part, columns["eid"], answered)
        return pa.table(columns).cast(self._schema)

    def _load_outcomes(self, to: int) -> None:
        reach = -1
        while self._names and reach < to:
            tables, reach = self._outcomes.take(to, ["key", "name", "value", "time", "revision", "received_at"])
            for part in tables:
                part = part.filter(pc.is_in(part["name"], pa.array(self._names)))
                if len(part):
                    rows = _outcome_rows(part)
                    self._received = max(self._received, pc.max(rows["o_received"]).as_py())
                    self._insert("outcomes", rows)

    def _insert(self, name: str, rows: pa.Table) -> None:
        self._engine.insert(name, rows)
        self._kept[name] += len(rows)

    # Absorbing the window (after, until]

    def _absorb(self, to: int) -> None:
        self._window = {"after": self._last, "until": to, "started": self._start}
        if self._kept["exposures"]:
            self._absorb_arrivals()
            if self._mirrors():
                self._absorb_mirror()
            self._told.absorb(self._query, to)
            for group in self._statements.groups:
                self._absorb_matured(group)
            self._prune(to)
        self._last = to

    def _mirrors(self) -> bool:
        """Whether a mirrored request can still become a pair or turn out to lack one."""
        ended = max((self._phases[phase] for phase in self._mirrored), default=_LONG_AGO)
        return ended > self._last - 2 * GRACE - self._statements.clock.step

    def _query(self, sql: str) -> pa.Table:
        return self._engine.query(sql, self._window)

    def _absorb_arrivals(self) -> None:
        found = self._query(self._statements.arrivals)
        self._requests.update(count_by_arm(found, integers(found, "requests")))
        for phase, arm in set(zip(found["phase"].to_pylist(), found["arm"].to_pylist(), strict=True)):
            self._phases[phase] = self._window["until"]
            self._mirrored |= {phase} if arm == SHADOW else set()
        self._absorb_facts(found)
        found = found.filter(pc.not_equal(found["arm"], SHADOW))
        self._rows.update(count_by_arm(found, integers(found, "exposures")))
        self._segments.learn(
            first_seen(found, [int(first[:20]) for first in found["first"].to_pylist()], self._dimensions)
        )
        rows = CellRows(found, self._dimensions, self._segments)
        requests = integers(found, "requests")
        for n, metric in enumerate(self._statements.prompt):
            held = self._live[metric.name]
            held.absorb(rows, prompt_values(metric, found, n, requests))
            if metric.kind == "requests_per_unit":
                self._absorb_units(held, self._units_seen[metric.name], rows, found["unit"].to_pylist())
        still_open = self._window["until"] // self._statements.clock.bucket * self._statements.clock.bucket // MICRO
        for seen in self._units_seen.values():
            for cell in [cell for cell in seen if cell.time < still_open]:
                del seen[cell]

    def _absorb_facts(self, found: pa.Table) -> None:
        """First requests and rare events of the units; a row may hold several requests of a unit."""
        rare = rare_metrics(self.plan)
        hits = [integers(found, column(self._statements.prompt.index(m), HIT[m.kind])) for m in rare]
        names = [metric.name for metric in rare]
        met = zip(*((of_metric > 0).tolist() for of_metric in hits), strict=True) if rare else repeat(())
        keys = zip(*(found[name].to_pylist() for name in ("unit", "phase", "arm", "first")), strict=True)
        self._facts.absorb(
            UnitRow(unit, Seen(int(first[:20]), first[20:], phase, arm), frozenset(compress(names, flags)))
            for (unit, phase, arm, first), flags in zip(keys, met, strict=False)
            if unit is not None
        )

    def _absorb_units(self, held: Held, seen: dict[Cell, set[str]], rows: CellRows, units: list[str]) -> None:
        """The denominator of requests per unit: a unit counts once in each cell, at its first exposure there."""
        for cell, where in rows.cells:
            known = seen.setdefault(cell, set())
            new = {units[row]: int(rows.bucket[row]) for row in where.tolist() if units[row] not in known}
            if new:
                known.update(new)
                values = np.tile(np.array([0, 0, MICRO], dtype=np.int64), (len(new), 1))
                held.add(cell, np.array(list(new.values()), dtype=np.int64), values)

    def _absorb_matured(self, group: MaturityGroup) -> None:
        if _left(self._rows, self._live[group.metrics[0].name].mature):
            found = self._query(group.live)
            rows = CellRows(found, self._dimensions, self._segments)
            for n, metric in enumerate(group.metrics):
                self._absorb_metric(metric, self._live[metric.name], found, rows, n)
        if self._received > self._window["after"]:
            late = self._query(group.late).to_pydict()
            counts = dict(zip(late["o_name"], late["n"], strict=True))
            for metric in group.metrics:
                self._live[metric.name].late += sum(counts.get(name, 0) for name in metric.outcomes)
        if group.paired and _left(self._joined(), self._pairs[group.paired[0].name].mature):
            found = self._query(group.pairs)
            rows = CellRows(found, self._dimensions, self._segments)
            for n, metric in enumerate(group.paired):
                self._absorb_pair(self._pairs[metric.name], found, rows, n)

    def _absorb_metric(self, metric: Metric, held: Held, found: pa.Table, rows: CellRows, n: int) -> None:
        exposures = integers(found, "exposures")
        values, missing = mature_values(metric, found, n, exposures)
        held.mature.update(count_by_arm(found, exposures))
        held.missing.update(count_by_arm(found, missing))
        held.outside.update(count_by_arm(found, exposures - inside(metric, found, n, exposures)))
        held.absorb(rows, values)

    def _absorb_pair(self, held: Held, found: pa.Table, rows: CellRows, n: int) -> None:
        exposures, present = integers(found, "exposures"), integers(found, column(n, "found"))
        for arm, name in ((CHAMPION, "sum"), (SHADOW, "s_sum")):
            held.mature.update(count_by_arm(found, exposures, arm=arm))
            held.missing.update(count_by_arm(found, exposures - present, arm=arm))
            held.absorb(rows, np.column_stack([present, integers(found, column(n, name)), present * MICRO]), arm=arm)

    def _absorb_mirror(self) -> None:
        found = self._query(self._statements.mirror)
        lone = found.filter(pc.equal(found["kind"], "champion")).to_pydict()
        for unit, phase, due, n in zip(lone["unit"], lone["phase"], lone["due"], lone["n"], strict=True):
            mirrored = self._facts.by_phase.get((unit, phase, SHADOW))
            self._unmatched += n if mirrored is not None and mirrored.time <= due else 0
        self._unmatched += int(integers(found.filter(pc.equal(found["kind"], "shadow")), "n").sum())
        found = found.filter(pc.equal(found["kind"], "pair"))
        for phase, n in zip(found["phase"].to_pylist(), found["n"].to_pylist(), strict=True):
            self._paired[phase] += n
        binned = found.filter(pc.and_(pc.is_valid(found["bin_c"]), pc.is_valid(found["bin_s"])))
        places = integers(binned, "bin_c"), integers(binned, "bin_s")
        count = integers(binned, "n")
        for names, codes in segments_of(binned, self._dimensions, self._segments):
            for group, where in blocks(codes):
                grid = self._grid.get(names[group])
                grid = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64) if grid is None else grid.copy()
                np.add.at(grid, (places[0][where], places[1][where]), count[where])
                self._grid[names[group]] = grid
                if self._answers is not None:
                    self._count_buckets(names[group], integers(binned, "bucket")[where], count[where])

    def _count_buckets(self, segment: str, bucket: NDArray[np.int64], count: NDArray[np.int64]) -> None:
        """Pairs by unit bucket; arrays handed out before are left alone."""
        known = self._buckets.get(segment)
        sums = np.zeros(UNIT_BUCKETS, dtype=np.int64) if known is None else known.copy()
        np.add.at(sums, bucket, count)
        self._buckets[segment] = sums

    def _joined(self) -> dict[tuple[int, Arm], int]:
        """Pairs so far, on both their sides."""
        return {(phase, arm): n for phase, n in self._paired.items() for arm in (CHAMPION, SHADOW)}

    def _prune(self, to: int) -> None:
        """Drop what no later look can need; not each time, so that it stays cheap."""
        for name, moment, keep in (
            ("exposures", "t", self._statements.reach),
            ("outcomes", "o_received", self._statements.reach + EARLY),
        ):
            if self._kept[name] >= self._prune_at[name]:
                self._engine.execute(f'DELETE FROM "{name}" WHERE "{moment}" <= $before', {"before": to - keep})
                left = self._engine.query(f'SELECT count(*) AS n FROM "{name}"', {})["n"][0].as_py()
                self._kept[name], self._prune_at[name] = left, max(2 * left, _PRUNE_AT)


_EVENT_COLUMNS = (
    "request_id", "row", "outcome_key", "rollout", "phase", "arm", "unit", "bucket", "time",
    "error", "error_kind", "latency_us", "score", "label",
)  # fmt: skip


def _schema(columns: Mapping[str, str], more: Collection[str] = ()) -> pa.Schema:
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()] + [(name, pa.string()) for name in more])


def _outcome_rows(part: pa.Table) -> pa.Table:
    columns = [
        part["key"], part["name"], part["value"], pc.cast(part["time"], pa.int64()), part["revision"],
        pc.cast(part["received_at"], pa.int64()),
    ]  # fmt: skip
    return pa.table(columns, schema=_schema(OUTCOMES))


def _left(all_of: Mapping[tuple[int, Arm], int], done: Mapping[tuple[int, Arm], int]) -> dict[tuple[int, Arm], int]:
    """What is left of each count; nothing is not written down."""
    left = {key: n - done.get(key, 0) for key, n in all_of.items()}
    return {key: n for key, n in left.items() if n > 0}
