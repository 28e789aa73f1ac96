"""Do shadow and champion answer alike, over all and in every segment? Agreement is not quality: it never aborts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.lists import TOP_K, ListMean, ListStatistic, list_mean
from seatrial.evidence.snapshot import Evidence, ShadowEvidence
from seatrial.evidence.tally import TOTAL
from seatrial.ids import CHAMPION, SHADOW
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.reweighting import weigh
from seatrial.rollout.verdicts import AGREEMENT, VERDICT_OF, MetricVerdict, SegmentFinding, Status, Verdict
from seatrial.stats.agreement import cohens_kappa, effective_units, kappa_error
from seatrial.stats.ranking import fisher_bounds, spearman_from_grid
from seatrial.stats.sequential import TUNED_AT, confidence_sequence_width

DEFAULT_MIN_PAIRS = 200
MAX_UNMATCHED = 0.02
"""Share of mirrored requests without a counterpart above which a comparison of answers says nothing."""

SMALL = 0.02
"""Up to this share of the pairs, ``unknown`` and ``other`` are shown and not waited for: nobody can be asked more."""

MIN_BINS = 5
"""Scores that fall into fewer bins on one side are nearly all tied: their rank correlation would be that of labels."""

_STATISTIC = {"scores": "Spearman's rank correlation", "classes": "Cohen's kappa"}
_OF_LISTS: dict[ListStatistic, str] = {
    "rbo": "rank-biased overlap",
    "topK": f"overlap of the top {TOP_K}",
    "kendall": "Kendall's tau of common items",
}


def judge_agreement(plan: Plan, metric: Metric, evidence: Evidence) -> MetricVerdict:
    """Verdict of an agreement metric on the shadow's pairs.

    Scores are compared by Spearman's rank correlation, class labels by Cohen's kappa, ranked lists by the metric's
    statistic. *pass*: the lower bound over all
    reaches ``floor``, and in every segment that of the segment reaches ``segment_floor``, and none is more than
    ``max_gap`` below the whole. *fail*: somewhere the estimate itself misses. A segment with fewer pairs than
    ``min_pairs`` is *insufficient*. Bounds hold at every look (asymptotically, one-sided alpha of promotion, shared
    equally by the segments), and count a unit once, however often it came (``stats.agreement.effective_units``).
    Where segments are copied at shares of their own, what is made of several of them is re-weighted
    (rollout.reweighting).
    """
    shadow = evidence.shadow
    q = _Question(plan, metric, shadow)
    whole = q.find(TOTAL, metric.floor, plan.alpha.promotion, None)
    findings = [whole]
    if metric.segment_floor is not None or metric.max_gap is not None:
        names = segments_of(plan, metric, shadow)
        findings += [q.find(n, metric.segment_floor, plan.alpha.promotion / len(names), whole) for n in names]
    status, why = q.status(whole)
    verdict = _together(q, findings) if status == "ok" else VERDICT_OF[status]
    wanting = [f.why for f in findings if f.why and q.counts(f)]
    floor = -1.0 if metric.floor is None else metric.floor
    return MetricVerdict(
        metric=metric.name,
        role=metric.role,
        arms="shadow",
        verdict=verdict,
        status="not_enough" if verdict == "insufficient" and status == "ok" else status,
        method=f"{AGREEMENT} ({q.statistic})",
        scale="absolute",
        better="increase",
        bound=floor,
        margin=floor,
        estimate=whole.estimate,
        lower=whole.lower,
        upper=whole.upper,
        count_champion=whole.count,
        count_candidate=whole.count,
        units_champion=evidence.units.mirrored.get(CHAMPION, 0),
        units_candidate=evidence.units.arms.get(SHADOW, 0),
        information=whole.units,
        planned=q.min_pairs / TUNED_AT,
        needs=why or ("" if verdict == "pass" else "; ".join(wanting)),
        segments=tuple(findings),
    )


def _bins(grid: NDArray[np.int64]) -> int:
    """Bins that are taken, on the side that takes fewer."""
    return min(int(grid.any(axis=axis).sum()) for axis in (0, 1))


def unmatched_text(shadow: ShadowEvidence) -> str:
    """Why answers of this shadow cannot be compared; empty if they can."""
    every = shadow.pairs + shadow.unmatched
    if not every or shadow.unmatched <= MAX_UNMATCHED * every:
        return ""
    return (
        f"{shadow.unmatched:,} of {every:,} mirrored requests ({shadow.unmatched / every:.1%}) lack a primary answer "
        f"on one side, at most {MAX_UNMATCHED:.0%} may"
    )


def segments_of(plan: Plan, metric: Metric, shadow: ShadowEvidence) -> list[str]:
    """Names of the segments that are judged: every band of a rule, met or not, and every other value there is."""
    names: list[str] = []
    for segment in plan.segments:
        if metric.segment in (None, segment.name):
            known = {*shadow.grid, *shadow.lists}
            found = sorted(name for name in known if name.partition("=")[0] == segment.name)
            names += dict.fromkeys([*(f"{segment.name}={label}" for label in segment.labels or ()), *found])
    return names


@dataclass(frozen=True, slots=True)
class _Question:
    plan: Plan
    metric: Metric
    shadow: ShadowEvidence

    @property
    def min_pairs(self) -> int:
        return self.metric.min_pairs or DEFAULT_MIN_PAIRS

    @property
    def of_lists(self) -> ListStatistic | None:
        """Which statistic of ranked lists is asked; None where the answers are none."""
        return (self.metric.statistic or "rbo") if self.shadow.outputs == "lists" else None

    @property
    def statistic(self) -> str:
        return _OF_LISTS[self.of_lists] if self.of_lists else _STATISTIC.get(self.shadow.outputs, "of answers")

    def status(self, whole: SegmentFinding) -> tuple[Status, str]:
        """Whether anything can be said over all, and if not, why."""
        shadow, placed = self.shadow, whole.count
        if why := unmatched_text(shadow):
            return "invalid", why
        if not shadow.pairs:
            return "no_data", "no request was answered by both yet"
        if shadow.outputs == "mixed":
            kinds = "ranked lists and others are none" if shadow.lists else "scores and others are class labels"
            return "invalid", f"some answers are {kinds}: they cannot be ranked together"
        if self.of_lists and self.plan.samples:
            return "invalid", "ranked lists are not re-weighted, and segments are copied at shares of their own"
        if self.metric.statistic is not None and shadow.outputs and not self.of_lists:
            return "invalid", f"'{self.metric.statistic}' is of ranked lists, and the answers are {shadow.outputs}"
        if shadow.pairs - placed > MAX_UNMATCHED * shadow.pairs:
            if self.of_lists:
                return "invalid", f"{shadow.pairs - placed:,} of {shadow.pairs:,} pairs have no order in common"
            return "invalid", (
                f"{shadow.pairs - placed:,} of {shadow.pairs:,} pairs have no score between 0 and 1 to be ranked by; "
                "`seatrial shadow report` compares any score"
            )
        if whole.estimate is None and placed >= self.min_pairs:
            return "degenerate", "one side always gave the same answer: there is nothing to agree on"
        if shadow.outputs == "scores" and placed >= self.min_pairs and (few := _bins(shadow.grid[TOTAL])) < MIN_BINS:
            return (
                "degenerate",
                f"scores lie so close that they fall into {few} of the grid's bins: too few to rank them",
            )
        return "ok", ""

    def counts(self, finding: SegmentFinding) -> bool:
        """Whether the verdict waits for it."""
        value = finding.segment.partition("=")[2]
        few = finding.count < self.min_pairs and finding.count <= SMALL * self.shadow.pairs
        return not (few and value in ("unknown", "other"))

    def find(self, name: str, floor: float | None, alpha: float, whole: SegmentFinding | None) -> SegmentFinding:
        count, units, bounds = self._found(name, alpha)
        verdict, why = self._verdict(name, floor, whole, count, bounds)
        told = bounds if bounds is not None and count >= self.min_pairs else None
        return SegmentFinding(
            segment=name,
            verdict=verdict,
            estimate=None if bounds is None else bounds.estimate,
            lower=None if told is None else told.lower,
            upper=None if told is None else told.upper,
            count=count,
            units=round(units, 1),
            why=why,
        )

    def _found(self, name: str, alpha: float) -> tuple[int, float, _Bounds | None]:
        """Pairs of a segment, what they are worth, and what they say."""
        if self.of_lists:
            sums = self.shadow.lists.get(name)
            mean = None if sums is None else list_mean(sums, self.of_lists)
            return (0, 0.0, None) if mean is None else (mean.pairs, mean.units, _Bounds.of_mean(mean, self, alpha))
        grid = self.shadow.grid.get(name)
        count = 0 if grid is None else int(grid.sum())
        if (weighed := weigh(self.shadow, name)) is not None:
            bounds = _Bounds.of(weighed.grid, weighed.worth, self.shadow.outputs, self.min_pairs, alpha)
            return count, weighed.units, bounds
        units = effective_units(self.shadow.buckets[name]) if name in self.shadow.buckets else 0.0
        return count, units, _Bounds.of(grid, units, self.shadow.outputs, self.min_pairs, alpha)

    def _verdict(
        self, name: str, floor: float | None, whole: SegmentFinding | None, count: int, bounds: _Bounds | None
    ) -> tuple[Verdict, str]:
        if (short := self.min_pairs - count) > 0:
            return "insufficient", f"{name} needs {short:,} more pairs ({count:,} of {self.min_pairs:,})"
        if bounds is None:
            return "insufficient", f"{name}: one side always gave the same answer"
        told = f"{bounds.estimate:.3f} [{bounds.lower:.3f}, {bounds.upper:.3f}]"
        label = "floor" if whole is None else "segment floor"
        if floor is not None and bounds.estimate < floor:
            return "fail", f"{name}: {told} is below the {label} {floor:g}, n {count:,} pairs"
        most = self.metric.max_gap
        if most is not None and whole is not None and whole.estimate is not None:
            gap = whole.estimate - bounds.estimate
            if gap > most + 1e-9:
                return "fail", f"{name}: {told} is {gap:.3f} below the whole, more than {most:g}, n {count:,} pairs"
        if floor is not None and bounds.lower < floor:
            more = bounds.units_to_reach(floor)
            return "inconclusive", f"{name}: {told} may be below the {label} {floor:g}, {more}"
        return "pass", ""


def _together(q: _Question, findings: Sequence[SegmentFinding]) -> Verdict:
    """The worst word of all that count: what misses a floor before what is not known, that before what is not sure."""
    words = {finding.verdict for finding in findings if q.counts(finding)}
    for word in ("fail", "insufficient", "inconclusive"):
        if word in words:
            return word
    return "inconclusive" if q.metric.floor is None else "pass"


@dataclass(frozen=True, slots=True)
class _Bounds:
    """An estimate with bounds that hold at every look; ``units`` is what its pairs are worth."""

    estimate: float
    units: float
    error: float | None
    planned: float
    alpha: float

    @classmethod
    def of(
        cls,
        grid: NDArray[np.int64] | NDArray[np.float64] | None,
        units: float,
        outputs: str,
        min_pairs: int,
        alpha: float,
    ) -> _Bounds | None:
        """None where there is no agreement to speak of: no pairs, or one side without any variation.

        The sequence is tightest where judging begins, at ``min_pairs`` units.
        """
        if grid is None or units <= 0:
            return None
        planned = min_pairs / TUNED_AT
        if outputs != "classes":
            rho = spearman_from_grid(grid)
            return None if rho is None else cls(rho, units, None, planned, alpha)
        kappa = cohens_kappa(grid)
        return None if kappa is None else cls(kappa, units, kappa_error(grid, 1.0), planned, alpha)

    @classmethod
    def of_mean(cls, mean: ListMean, q: _Question, alpha: float) -> _Bounds:
        """Of a mean over lists, whose error is that of one unit here."""
        return cls(mean.value, mean.units, mean.error * math.sqrt(mean.units), q.min_pairs / TUNED_AT, alpha)

    @property
    def lower(self) -> float:
        return self._at(self.units)[0]

    @property
    def upper(self) -> float:
        return self._at(self.units)[1]

    def _at(self, units: float) -> tuple[float, float]:
        width = confidence_sequence_width(units, self.planned, self.alpha)
        if self.error is None:
            return fisher_bounds(self.estimate, units, width)
        reach = width * self.error / math.sqrt(units)
        return max(-1.0, self.estimate - reach), min(1.0, self.estimate + reach)

    def units_to_reach(self, floor: float) -> str:
        """How many more units put the lower bound above the floor if the estimate stays."""
        units = max(self.units, 4.0)
        while units < 1e9:
            units *= 1.05
            if self._at(units)[0] >= floor:
                return f"needs about {math.ceil(units - self.units):,} more units"
        return "more data will not help: it is at the floor"
