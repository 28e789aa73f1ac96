"""Rare events (errors, slow answers), judged exactly on units' first events: valid from the first event on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm
from seatrial.rollout.plan import Metric, Plan
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import EXACT, VERDICT_OF, Arms, MetricVerdict, Status, Verdict
from seatrial.stats.counts import bernoulli_bounds, harm_grid, rate_ratio_log_e, relief_grid
from seatrial.values import Margin

DEFAULT_MARGIN = Margin(0.01, "absolute")


@dataclass(frozen=True, slots=True)
class _Arm:
    """Distinct units of an arm, and how many of them ever met the event."""

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

    Harm: conditional-binomial mixture e-process on first events per unit (evidence on the ratio of rates). Pass with
    an absolute margin: exact time-uniform bounds of both arms' share of units that ever met the event, alpha/2 each;
    with a relative margin: the same e-process from the other side.
    """
    margin = metric.margin or DEFAULT_MARGIN
    treatment: Arm = SHADOW if arms == "shadow" else CANARY
    candidate, champion = _arm(metric, treatment, evidence), _arm(metric, CHAMPION, evidence)
    strata = _shadow_strata(metric, evidence) if arms == "shadow" else _live_strata(metric, state, evidence)
    status: Status = "ok" if candidate.units and champion.units else "no_data"
    low, high = _interval(candidate, champion, plan.alpha.promotion, margin)
    verdict: Verdict
    if status != "ok":
        verdict = VERDICT_OF[status]
    elif _passes(plan, margin, margin, strata, high):
        verdict = "pass"
    elif strata.log_e(_null(metric, margin), harm_grid(_null(metric, margin))) >= math.log(1 / alpha_fail):
        verdict = "fail"
    elif _passes(plan, margin, margin.times(factor), strata, high):
        verdict = "pass"
    else:
        verdict = "inconclusive"
    return MetricVerdict(
        metric=metric.name,
        role=metric.role,
        arms=arms,
        verdict=verdict,
        status=status,
        method=EXACT,
        scale="absolute",
        better="decrease",
        bound=margin.times(factor).value,
        margin=margin.value,
        estimate=None if status != "ok" else (candidate.rate or 0.0) - (champion.rate or 0.0),
        lower=low if status == "ok" else None,
        upper=high if status == "ok" else None,
        rate_champion=champion.rate,
        rate_candidate=candidate.rate,
        count_champion=champion.units,
        count_candidate=candidate.units,
        units_champion=champion.units,
        units_candidate=candidate.units,
        alpha_fail=alpha_fail,
        needs="" if verdict in ("pass", "fail") else _needs(plan, margin.times(factor), candidate, champion),
    )


def _null(metric: Metric, margin: Margin) -> float:
    """The rate ratio of the null: 1, or the margin's where only inferiority counts as failure."""
    return 1.0 + margin.value if metric.fail_on == "inferior" and margin.scale == "relative" else 1.0


def _passes(plan: Plan, margin: Margin, bound: Margin, strata: _Strata, high: float) -> bool:
    if margin.scale == "absolute":
        return high < bound.value
    theta0 = 1.0 + bound.value
    return strata.log_e(theta0, relief_grid(theta0)) >= math.log(1 / plan.alpha.promotion)


def _arm(metric: Metric, arm: Arm, evidence: Evidence) -> _Arm:
    units = evidence.units
    source = units.shadowed if arm == SHADOW else units.touched
    return _Arm(units.arms.get(arm, 0), source.get(metric.name, {}).get(arm, 0))


def _live_strata(metric: Metric, state: RolloutState, evidence: Evidence) -> _Strata:
    firsts = evidence.units.firsts.get(metric.name, {})
    phases = [p for p in state.phases if p.number >= state.epoch and p.weight > 0]
    x = [firsts.get((p.number, CANARY), 0) for p in phases]
    m = [firsts.get((p.number, CANARY), 0) + firsts.get((p.number, CHAMPION), 0) for p in phases]
    return _Strata(x, m, [p.weight / 10_000 for p in phases])


def _shadow_strata(metric: Metric, evidence: Evidence) -> _Strata:
    """Both models saw the same units, so under the null either is equally likely to meet the event."""
    met = evidence.units.shadowed.get(metric.name, {})
    x, y = met.get(SHADOW, 0), met.get(CHAMPION, 0)
    return _Strata([x], [x + y], [0.5])


def _interval(candidate: _Arm, champion: _Arm, alpha: float, margin: Margin) -> tuple[float, float]:
    planned = max(int(4 / margin.value), 100) if margin.scale == "absolute" else 1000
    low_t, high_t = bernoulli_bounds(candidate.touched, candidate.units, alpha=alpha, planned_n=planned)
    low_c, high_c = bernoulli_bounds(champion.touched, champion.units, alpha=alpha, planned_n=planned)
    return low_t - high_c, high_t - low_c


def _needs(plan: Plan, bound: Margin, candidate: _Arm, champion: _Arm) -> str:
    """Units the candidate needs if its share of touched units stays what it is."""
    if bound.scale == "relative":
        return "needs more first events for a relative margin; an absolute one (1pp) needs only units"
    rate = candidate.rate or 0.0
    units = max(candidate.units, 50)
    for _ in range(40):
        _, high = _interval(_Arm(units, round(rate * units)), champion, plan.alpha.promotion, bound)
        if high < bound.value:
            return f"needs {max(units - candidate.units, 1):,} more units without a new event"
        units = math.ceil(units * 1.25)
    return "at this rate more units will not help: the difference is not smaller than the bound"
