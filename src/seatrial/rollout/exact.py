"""Rare events (errors, slow answers), judged exactly on units' first events: valid from the first event on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CANARY, CHAMPION, SHADOW
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import EXACT, VERDICT_OF, Arms, MetricVerdict, Status, Verdict
from seatrial.stats.counts import event_bounds, harm_grid, rate_ratio_log_e, relief_grid
from seatrial.values import Margin

DEFAULT_MARGIN = Margin(0.01, "absolute")

PLANNED_EVENTS = 4.0
"""The bounds of a share are tightest near so many events: where a share without any is shown to be small."""


def share_bounds(touched: float, units: float, *, alpha: float) -> tuple[float, float]:
    """Bounds of the share of units that were to meet an event, at every look (`stats.counts.event_bounds`)."""
    if not units:
        return 0.0, 1.0
    low, high = event_bounds(touched, alpha=alpha, planned_events=PLANNED_EVENTS)
    return low / units, min(high / units, 1.0)


@dataclass(frozen=True, slots=True)
class _Arm:
    """Distinct units of an arm, and how many of them met the event."""

    units: int
    touched: int

    @property
    def rate(self) -> float | None:
        return self.touched / self.units if self.units else None


@dataclass(frozen=True, slots=True)
class _Strata:
    """First events of the epoch: in the candidate, in both arms, and the candidate's planned share."""

    x: list[int]
    m: list[int]
    share: list[float]

    def log_e(self, theta0: float, thetas: np.ndarray) -> float:
        if not self.m:
            return 0.0
        return rate_ratio_log_e(
            np.array(self.x, float), np.array(self.m, float), np.array(self.share, float), theta0=theta0, thetas=thetas
        )


def judge_rare(
    plan: Plan,
    metric: Metric,
    arms: Arms,
    factor: float,
    alpha_fail: float,
    state: RolloutState,
    evidence: Evidence,
) -> MetricVerdict:
    """Verdict of an error or latency metric.

    Harm: conditional-binomial mixture e-process on the epoch's first events per unit (evidence on the ratio of rates).
    Pass with an absolute margin: time-uniform bounds of both arms' share of the present phase's units that met the
    event in it, alpha/2 each; with a relative margin: the same e-process from the other side.
    """
    q = _Question(plan, metric, metric.margin or DEFAULT_MARGIN, arms, state, evidence)
    fair, strata = q.fair(), q.strata()
    harmful = strata.log_e(q.null, harm_grid(q.null)) >= math.log(1 / alpha_fail)
    status: Status = "ok" if fair.candidate.units and fair.champion.units else "no_data"
    verdict: Verdict
    if status != "ok":
        verdict = VERDICT_OF[status]
    elif harmful and not q.passes(fair, 1.0, strata):
        verdict = "fail"
    elif q.passes(fair, factor, strata):
        verdict = "pass"
    else:
        verdict = "inconclusive"
    told = q.epoch() if verdict == "fail" else fair  # what decided is what is told
    low, high = q.interval(told)
    ok = status == "ok"
    return MetricVerdict(
        metric=metric.name,
        role=metric.role,
        arms=arms,
        verdict=verdict,
        status=status,
        method=EXACT,
        scale="absolute",
        better="decrease",
        bound=q.margin.times(factor).value,
        crossed=0.0 if verdict == "fail" else None,
        margin=q.margin.value,
        estimate=(told.candidate.rate or 0.0) - (told.champion.rate or 0.0) if ok else None,
        lower=low if ok else None,
        upper=high if ok else None,
        rate_champion=told.champion.rate,
        rate_candidate=told.candidate.rate,
        count_champion=told.champion.units,
        count_candidate=told.candidate.units,
        units_champion=told.champion.units,
        units_candidate=told.candidate.units,
        alpha_fail=alpha_fail,
        needs="" if verdict in ("pass", "fail") else q.needs(told, q.margin.times(factor)),
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """Candidate and champion over the same phases."""

    candidate: _Arm
    champion: _Arm


@dataclass(frozen=True, slots=True)
class _Question:
    plan: Plan
    metric: Metric
    margin: Margin
    arms: Arms
    state: RolloutState
    evidence: Evidence

    @property
    def null(self) -> float:
        """The rate ratio of the null: 1, or the margin's where only inferiority counts as failure."""
        inferior = self.metric.fail_on == "inferior" and self.margin.scale == "relative"
        return 1.0 + self.margin.value if inferior else 1.0

    def fair(self) -> _Sides:
        """What a pass is judged on: arms whose units were watched for the same time, with the same traffic.

        Live: the units of the present phase, and those that met the event in it. Nobody changes arms within a phase, so
        at every look both arms have had the same chance to meet it. Over several phases they have not: many units of a
        canary that grows came to it late. Shadow: the units copied in this epoch; both models saw the same.
        """
        if self.arms == "shadow":
            return self.epoch()
        units, phase = self.evidence.units, self.state.phase.number
        met = units.met.get(self.metric.name, {})
        return _Sides(
            *(_Arm(units.phases.get((phase, arm), 0), met.get((phase, arm), 0)) for arm in (CANARY, CHAMPION))
        )

    def epoch(self) -> _Sides:
        """Units of this epoch's phases, and those of them whose first event of the epoch fell into the arm."""
        units, name = self.evidence.units, self.metric.name
        if self.arms == "shadow":
            met = units.shadowed.get(name, {})
            return _Sides(*(_Arm(units.mirrored.get(arm, 0), met.get(arm, 0)) for arm in (SHADOW, CHAMPION)))
        firsts = units.firsts.get(name, {})
        counts = {arm: sum(n for (_, where), n in firsts.items() if where == arm) for arm in (CANARY, CHAMPION)}
        return _Sides(*(_Arm(units.live.get(arm, 0), counts[arm]) for arm in (CANARY, CHAMPION)))

    def strata(self) -> _Strata:
        if self.arms == "shadow":
            # Both models saw the same units, so under the null either is equally likely to meet the event.
            sides = self.epoch()
            x, y = sides.candidate.touched, sides.champion.touched
            return _Strata([x], [x + y], [0.5])
        firsts = self.evidence.units.firsts.get(self.metric.name, {})
        phases = [p for p in self.state.phases if p.number >= self.state.epoch and p.weight > 0]
        x_h = [firsts.get((p.number, CANARY), 0) for p in phases]
        m_h = [x + firsts.get((p.number, CHAMPION), 0) for x, p in zip(x_h, phases, strict=True)]
        return _Strata(x_h, m_h, [p.weight / 10_000 for p in phases])

    def passes(self, sides: _Sides, factor: float, strata: _Strata) -> bool:
        bound = self.margin.times(factor)
        if bound.scale == "absolute":
            return self.interval(sides)[1] < bound.value
        theta0 = 1.0 + bound.value
        return strata.log_e(theta0, relief_grid(theta0)) >= math.log(1 / self.plan.alpha.promotion)

    def interval(self, sides: _Sides) -> tuple[float, float]:
        """Candidate minus champion, alpha/2 an arm: the mixture of one arm may err on one side alone."""
        alpha = self.plan.alpha.promotion / 2
        (low_t, high_t), (low_c, high_c) = (
            share_bounds(arm.touched, arm.units, alpha=alpha) for arm in (sides.candidate, sides.champion)
        )
        return low_t - high_c, high_t - low_c

    def needs(self, sides: _Sides, bound: Margin) -> str:
        """Units the candidate needs if its share of touched units stays what it is."""
        if bound.scale == "relative":
            return "needs more first events for a relative margin; an absolute one (1pp) needs only units"
        have = sides.candidate
        units = max(have.units, 50)
        for _ in range(40):
            _, high = self.interval(_Sides(_Arm(units, round((have.rate or 0.0) * units)), sides.champion))
            if high < bound.value:
                return f"needs {max(units - have.units, 1):,} more units without a new event"
            units = math.ceil(units * 1.25)
        return "at this rate more units will not help: the difference is not smaller than the bound"
