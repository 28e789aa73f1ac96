"""What the release did to the metrics that outlast it: the arms of the canary compared long afterwards.

Everything is by intention to treat: a unit belongs to the arm of its first exposure, whatever it met later. After a
promotion the champion's units meet the candidate too, which pulls the arms together: such an effect is *diluted*, a
lower bound of what the release does to somebody who never meets the champion again.

Each metric has its part of the plan's ``alpha.rollback``. Of that, 70% is spent in equal parts on its planned looks,
and 30% on a confidence sequence, by which a look at any other time is judged: asking often finds no harm that is not
there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scipy.special import ndtri

from seatrial.evidence.follow_up import CohortCount, FollowUp, Reach
from seatrial.evidence.tally import TOTAL
from seatrial.ids import CANARY, CHAMPION
from seatrial.rollout.maturity import State, enrolment
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.reconciliation.confounds import Confound, confounds
from seatrial.rollout.reconciliation.schedule import followed, schedule, surrogates, turns
from seatrial.rollout.start_rule import may_judge
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import VERDICT_OF, Status, Verdict
from seatrial.stats.clustered import Effect, stratified_effect
from seatrial.stats.sequential import confidence_sequence_width, planned_information, spend
from seatrial.values import Margin

DEFAULT_MARGIN = Margin(0.05, "relative")
"""What a look between the planned ones is tuned to where a metric has no margin; it excludes nothing by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """One metric, candidate minus champion, over units by first exposure.

    ``estimate``, ``lower``, ``upper`` are relative or absolute by ``scale``, as in a verdict; ``difference`` is
    absolute in every case, per unit, with its own bounds. ``diluted``: the share of the champion's matured units that
    met the candidate within their horizon; ``contaminated``: matured units of either arm that met the other version
    after the rollout. ``surrogates``: leading indicators, and their historic correlations. ``alpha`` is that of each
    end of the interval. ``planned``: this is one of the metric's planned looks.
    """

    metric: str
    role: str
    verdict: Verdict
    status: Status
    planned: bool
    horizon: float
    scale: Literal["relative", "absolute"]
    better: Literal["increase", "decrease"]
    margin: float | None
    alpha: float
    estimate: float | None
    lower: float | None
    upper: float | None
    difference: tuple[float, float, float] | None
    rate_champion: float | None
    rate_candidate: float | None
    units_champion: int
    units_candidate: int
    missing_champion: int
    missing_candidate: int
    maturity: State
    cohorts: tuple[CohortCount, ...]
    diluted: float
    contaminated: int
    surrogates: tuple[tuple[str, float], ...]

    @property
    def harm(self) -> bool:
        return self.verdict == "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """All that is known at ``at`` of what outlasts a rollout.

    ``day`` counts from the canary's first exposure, ``days_since`` from the end of the rollout. ``exposed``: units that
    have met the candidate by then; ``daily``: how many a day do so lately.
    """

    rollout: str
    at: datetime
    day: int
    days_since: float
    planned: bool
    metrics: tuple[Reconciled, ...]
    confounds: tuple[Confound, ...]
    exposed: int
    daily: float

    def harms(self) -> tuple[Reconciled, ...]:
        """Metrics that are shown to be worse."""
        return tuple(metric for metric in self.metrics if metric.harm)


def wanted(plan: Plan, state: RolloutState, at: datetime) -> tuple[Metric, ...]:
    """The metrics of a reconciliation: those whose turn it is, or at any other time all that are followed."""
    due = next((due for due in schedule(plan, state) if due.at == at), None)
    return tuple(metric for metric in followed(plan) if due is None or metric.name in due.metrics)


def reconcile(
    plan: Plan,
    state: RolloutState,
    at: datetime,
    evidence: Mapping[str, FollowUp],
    reach: Reach,
    *,
    others: tuple[str, ...] = (),
) -> Reconciliation:
    """Judge what was followed up to ``at``: a pure function, so the same records give the same result.

    ``others``: rollouts of the same model that began since. ValueError for a rollout that never had a canary.
    """
    window = enrolment(state)
    if window is None:
        raise ValueError(f"rollout {state.rollout} never had a canary")
    start, end = window
    due = next((due for due in schedule(plan, state) if due.at == at), None)
    metrics = tuple(
        _metric(plan, state, metric, evidence[metric.name], due is not None) for metric in wanted(plan, state, at)
    )
    followed_up = {metric.metric: evidence[metric.metric] for metric in metrics}
    return Reconciliation(
        rollout=state.rollout,
        at=at,
        day=math.ceil((at - start).total_seconds() / 86_400),
        days_since=0.0 if end is None else (at - end).total_seconds() / 86_400,
        planned=due is not None,
        metrics=metrics,
        confounds=confounds(plan, state, followed_up, start, end or at, others),
        exposed=reach.exposed,
        daily=reach.daily,
    )


def _metric(plan: Plan, state: RolloutState, metric: Metric, data: FollowUp, planned: bool) -> Reconciled:
    scale = (metric.margin or DEFAULT_MARGIN).scale
    s = data.tally.strata(CANARY, CHAMPION, TOTAL)
    log = scale == "relative"
    effect = stratified_effect(
        s.count_t, s.num_t, s.den_t, s.count_c, s.num_c, s.den_c, scale="log" if log else "linear"
    )
    alpha, width = _level(plan, state, metric, effect, planned)
    status = _status(metric, data, effect)
    reach = width * effect.standard_error if status == "ok" else math.nan
    low, high = effect.estimate - reach, effect.estimate + reach
    shown = status in ("ok", "not_enough") and not effect.degenerate
    return Reconciled(
        metric=metric.name,
        role=metric.role,
        verdict=_verdict(metric, low, high) if status == "ok" else VERDICT_OF[status],
        status=status,
        planned=planned,
        horizon=metric.horizon.seconds if metric.horizon else 0.0,
        scale=scale,
        better=metric.better,
        margin=None if metric.margin is None else _natural(_signed(metric, metric.margin), log),
        alpha=alpha,
        estimate=_natural(effect.estimate, log) if shown else None,
        lower=_natural(low, log) if status == "ok" else None,
        upper=_natural(high, log) if status == "ok" else None,
        difference=_difference(effect, low, high, log) if status == "ok" else None,
        rate_champion=_finite(effect.rate_c),
        rate_candidate=_finite(effect.rate_t),
        units_champion=int(effect.count_c),
        units_candidate=int(effect.count_t),
        missing_champion=data.missing.get(CHAMPION, 0),
        missing_candidate=data.missing.get(CANARY, 0),
        maturity=_maturity(data),
        cohorts=data.cohorts,
        diluted=data.crossed.get(CHAMPION, 0) / max(data.matured(CHAMPION), 1),
        contaminated=sum(data.after.values()),
        surrogates=tuple((m.name, m.surrogate_of.correlation) for m in surrogates(plan, metric) if m.surrogate_of),
    )


def _level(plan: Plan, state: RolloutState, metric: Metric, effect: Effect, planned: bool) -> tuple[float, float]:
    """Alpha of each end of the interval, and its width in standard errors."""
    part = spend(plan.alpha.rollback / len(followed(plan)))
    if planned:
        alpha = part.obf / turns(plan, state, metric)
        return alpha, float(-ndtri(alpha))
    tuned = planned_information(_signed(metric, metric.margin or DEFAULT_MARGIN))
    return part.cs, confidence_sequence_width(effect.information, tuned, part.cs)


def _status(metric: Metric, data: FollowUp, effect: Effect) -> Status:
    if effect.count_t == 0 or effect.count_c == 0:
        waiting = data.units(CANARY) > data.matured(CANARY) or data.units(CHAMPION) > data.matured(CHAMPION)
        return "immature" if waiting else "no_data"
    if effect.degenerate:
        return "degenerate"
    return "ok" if may_judge(metric, effect, effect.count_t) else "not_enough"


def _verdict(metric: Metric, low: float, high: float) -> Verdict:
    """Worse at all is harm, unless the plan tolerates a margin and the loss is shown to lie within it."""
    up = metric.better == "increase"
    margin = None if metric.margin is None else _signed(metric, metric.margin)
    if margin is not None and (low > margin if up else high < margin):
        return "pass"
    line = margin if metric.fail_on == "inferior" and margin is not None else 0.0
    return "fail" if (high < line if up else low > line) else "inconclusive"


def _maturity(data: FollowUp) -> State:
    units = sum(cohort.units for cohort in data.cohorts)
    matured = sum(cohort.matured for cohort in data.cohorts)
    if not matured:
        return "immature"
    return "mature" if matured == units else "partially_mature"


def _difference(effect: Effect, low: float, high: float, log: bool) -> tuple[float, float, float]:
    """Candidate minus champion per unit, with its bounds, at the champion's rate."""
    if not log:
        return effect.estimate, low, high
    estimate, lower, upper = (effect.rate_c * math.expm1(value) for value in (effect.estimate, low, high))
    return estimate, lower, upper


def _signed(metric: Metric, margin: Margin) -> float:
    down = metric.better == "increase"
    if margin.scale == "absolute":
        return -margin.value if down else margin.value
    return math.log1p(-margin.value) if down else math.log1p(margin.value)


def _natural(value: float, log: bool) -> float:
    return math.expm1(value) if log else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
