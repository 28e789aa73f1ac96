"""What is known of one rollout so far: grown by what the statements find, handed out as what a look sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.outputs import Answers
from seatrial.engines.pair_counts import PairCounts
from seatrial.engines.ranked import ListSums
from seatrial.engines.shape import reads_outcomes
from seatrial.engines.statements import GRACE
from seatrial.engines.sums import Held, Ints, Segments, blocks, integers, segments_of
from seatrial.evidence.facts import MutableFacts
from seatrial.evidence.inputs import InputCounter
from seatrial.evidence.snapshot import Captured, Evidence, MetricEvidence, Outputs, ShadowEvidence
from seatrial.evidence.tally import Cell
from seatrial.ids import CHAMPION, SHADOW, Arm
from seatrial.rollout.inputs import rule_of
from seatrial.rollout.plan import Plan

_LONG_AGO = -(1 << 60)


class Account:
    """Sums, first facts and counts of one rollout. Metrics are known by their places in the plan.

    ``requests``: of every arm, by (phase, arm); ``rows``: exposures of champion and canary.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.segments = Segments()
        self.facts = MutableFacts()
        self.live = [Held() for _ in plan.metrics]
        self.pairs = [Held() for _ in plan.metrics]
        self.requests: Counter[tuple[int, Arm]] = Counter()
        self.rows: Counter[tuple[int, Arm]] = Counter()
        self.answers = Answers() if plan.agreements else None
        self.inputs = InputCounter(rule_of(plan.inputs))
        self._phases: dict[int, int] = {}
        self._mirrored: set[int] = set()
        self._units_seen: dict[int, dict[Cell, set[str]]] = {}
        self._counts = PairCounts()
        self._copied: dict[tuple[str, int, int], int] = {}
        self.lists = ListSums([segment.name for segment in plan.segments])
        self._paired: Counter[int] = Counter()
        self._unmatched = 0

    # What came

    def saw(self, phase: int, arm: Arm, until: int) -> None:
        """Something of a phase and an arm came, at ``until`` at the latest."""
        self._phases[phase] = until
        self._mirrored |= {phase} if arm == SHADOW else set()

    def mirrors(self, since: int) -> bool:
        """Whether a request mirrored then or later can be there: one that may become a pair or turn out to lack one."""
        return max((self._phases[phase] for phase in self._mirrored), default=_LONG_AGO) > since - 2 * GRACE

    def immature(self, n: int) -> bool:
        """Whether exposures can still mature for a metric."""
        return bool(_left(self.rows, self.live[n].mature))

    def unjudged(self, n: int) -> bool:
        """Whether pairs can still mature for a metric."""
        return bool(_left(self._joined(), self.pairs[n].mature))

    def new_units(self, n: int, cell: Cell, units: list[str], buckets: Ints) -> Ints:
        """The buckets of those who were not in the cell before: for requests per unit, a unit counts there once."""
        known = self._units_seen.setdefault(n, {}).setdefault(cell, set())
        new = {unit: bucket for unit, bucket in zip(units, buckets.tolist(), strict=True) if unit not in known}
        known.update(new)
        return np.array(list(new.values()), dtype=np.int64)

    def learn_copied(self, unit: str, phase: int, share: int, time: int) -> None:
        """A copy of a unit's request where this share of the units is copied."""
        key = (unit, phase, share)
        self._copied[key] = min(time, self._copied.get(key, time))

    def close_cells(self, before: int) -> None:
        """Nobody comes to the cells of time buckets before this one (seconds) any more."""
        for seen in self._units_seen.values():
            for cell in [cell for cell in seen if cell.time < before]:
                del seen[cell]

    def absorb_mirror(self, found: pa.Table) -> None:
        """Pairs, and what lacks an answer (``Statements.mirror``)."""
        lone = found.filter(pc.equal(found["kind"], "champion")).to_pydict()
        shares = lone.get("sampled", [None] * len(lone["n"]))
        for unit, phase, share, due, n in zip(lone["unit"], lone["phase"], shares, lone["due"], lone["n"], strict=True):
            since = self._copied_since(unit, phase, share)
            self._unmatched += n if since is not None and since <= due else 0
        self._unmatched += int(integers(found.filter(pc.equal(found["kind"], "shadow")), "n").sum())
        found = found.filter(pc.equal(found["kind"], "pair"))
        for phase, n in zip(found["phase"].to_pylist(), found["n"].to_pylist(), strict=True):
            self._paired[phase] += n
        self._absorb_grid(found.filter(pc.and_(pc.is_valid(found["bin_c"]), pc.is_valid(found["bin_s"]))))

    def _absorb_grid(self, binned: pa.Table) -> None:
        places, count = (integers(binned, "bin_c"), integers(binned, "bin_s")), integers(binned, "n")
        bucket = None if self.answers is None else integers(binned, "bucket")
        sampled = integers(binned, "sampled") if self.plan.samples else None
        for names, codes in segments_of(binned, [s.name for s in self.plan.segments], self.segments):
            for group, where in blocks(codes):
                rows = (places[0][where], places[1][where]), None if bucket is None else bucket[where], count[where]
                self._counts.add(names[group], *rows, None if sampled is None else sampled[where])

    def _copied_since(self, unit: str, phase: int, share: int | None) -> int | None:
        """When a unit was first copied in a phase; a segment of another share says nothing of it."""
        if share is not None:
            return self._copied.get((unit, phase, share))
        return self.facts.first_time(unit, (phase, SHADOW))

    # What a look sees

    def snapshot(
        self,
        at: datetime,
        live: Collection[int],
        mirrored: Collection[int],
        capture: Mapping[tuple[int, Arm], Captured],
    ) -> Evidence:
        """Everything so far. ``live``, ``mirrored``: phases in which units' rare events count (``UnitCounts``)."""
        metrics, pairs = {}, {}
        for metric, of_live, of_pairs in zip(self.plan.metrics, self.live, self.pairs, strict=True):
            if metric.kind != "agreement":
                waiting = _left(self.rows, of_live.mature) if reads_outcomes(metric) else {}
                metrics[metric.name] = _evidence(of_live, waiting)
            if metric.pairs:
                pairs[metric.name] = _evidence(of_pairs, _left(self._joined(), of_pairs.mature))
        return Evidence(
            at=at,
            metrics=metrics,
            pairs=pairs,
            units=self.facts.counts(live=live, mirrored=mirrored),
            exposures=dict(self.requests),
            shadow=self._shadow_evidence(),
            inputs=self.inputs.freeze(),
            capture=capture,
        )

    def _shadow_evidence(self) -> ShadowEvidence:
        pairs = sum(self._paired.values())
        if self.answers is None:
            return ShadowEvidence(dict(self._counts.grid), pairs, self._unmatched)
        return ShadowEvidence(
            grid=self.answers.in_order(self._counts.grid),
            pairs=pairs,
            unmatched=self._unmatched,
            buckets=dict(self._counts.buckets),
            outputs=self._outputs(self.answers),
            lists=self.lists.sums(),
            shares=self._counts.shares(self.answers),
        )

    def _outputs(self, answers: Answers) -> Outputs:
        if not self.lists.seen:
            return answers.outputs
        return "lists" if answers.empty else "mixed"

    def _joined(self) -> dict[tuple[int, Arm], int]:
        """Pairs so far, on both their sides."""
        return {(phase, arm): n for phase, n in self._paired.items() for arm in (CHAMPION, SHADOW)}


def _evidence(held: Held, immature: Mapping[tuple[int, Arm], int]) -> MetricEvidence:
    return MetricEvidence(held.tally(), immature, dict(held.missing), held.late, dict(held.outside))


def _left(all_of: Mapping[tuple[int, Arm], int], done: Mapping[tuple[int, Arm], int]) -> dict[tuple[int, Arm], int]:
    """What is left of each count; nothing is not written down."""
    left = {key: n - done.get(key, 0) for key, n in all_of.items()}
    return {key: n for key, n in left.items() if n > 0}
