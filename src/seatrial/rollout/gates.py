"""Gates: evidence of one look becomes verdicts. Nothing here decides; rollout.decide reads what this says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import Tally
from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm
from seatrial.rollout.agreement import judge_agreement, unmatched_text
from seatrial.rollout.alarms import find_alarms
from seatrial.rollout.exact import judge_rare
from seatrial.rollout.inputs import pairs_told
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.sites import floors
from seatrial.rollout.stages import Stage
from seatrial.rollout.start_rule import (
    MAX_BUCKET_SHARE,
    MAX_SKEWNESS,
    MIN_EXPECTED_EVENTS,
    MIN_UNITS_CONTINUOUS,
    MIN_UNITS_PROPORTION,
    may_judge,
    remedy,
)
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import JOINED, VERDICT_OF, Arms, Judgement, MetricVerdict, Status, Verdict
from seatrial.stats.clustered import Effect, distinct_units, stratified_effect
from seatrial.stats.sequential import Bounds, bounds, planned_information, remaining_information
from seatrial.values import Margin


def judge(plan: Plan, stage: Stage, last: bool, state: RolloutState, evidence: Evidence) -> Judgement:
    """Verdicts of every metric at this look, in the plan's order. ``last``: the next step would be promotion."""
    factor = 1.0 if last else stage.tolerance
    arms: Arms = "shadow" if stage.kind == "shadow" else "live"
    judged = [
        _judge_metric(_Question(plan, _as_here(metric, stage), arms, factor, state, evidence))
        for metric in plan.metrics
        if metric.judged_in(arms)
    ]
    below = floors(plan, state, evidence)
    alarms = (*find_alarms(plan, state, evidence), *below.alarms)
    if arms == "shadow" and any(alarm.kind == "input_divergence" for alarm in alarms):
        judged = [(_untrusted(verdict), ()) for verdict, _ in judged]
    closed = {key for _, keys in judged for key in keys}
    treatment = SHADOW if arms == "shadow" else CANARY
    matured = [v.count_candidate for v, _ in judged if v.role == "guardrail" and v.losses]
    return Judgement(
        verdicts=tuple(v for v, _ in judged if v.role == "guardrail"),
        signals=tuple(v for v, _ in judged if v.role != "guardrail"),
        alarms=alarms,
        units=evidence.units.arms.get(treatment, 0),
        outcomes=min(matured, default=0),
        pairs=evidence.shadow.pairs,
        inputs=pairs_told(plan, evidence.inputs),
        closed=tuple(sorted(closed)),
        held=below.held,
        short=below.short,
    )


def _as_here(metric: Metric, stage: Stage) -> Metric:
    """A guardrail that counts from a later stage on is a signal until then."""
    return metric if stage.watches(metric) else replace(metric, role="signal")


def _untrusted(verdict: MetricVerdict) -> MetricVerdict:
    """What is said of answers to different inputs is not about the models; the planned look is not used up by it."""
    return replace(verdict, verdict="invalid", status="invalid", needs="the same inputs for both models")


@dataclass(frozen=True, slots=True)
class _Question:
    plan: Plan
    metric: Metric
    arms: Arms
    factor: float
    state: RolloutState
    evidence: Evidence

    @property
    def treatment(self) -> Arm:
        return SHADOW if self.arms == "shadow" else CANARY

    @property
    def alpha_fail(self) -> float:
        plan = self.plan.trying(self.metric) if self.metric.role == "dryRun" else self.plan
        return plan.budget().get((self.metric.name, self.arms), plan.alpha.rollback)

    @property
    def margin(self) -> Margin:
        return self.metric.margin or Margin(0.05, "relative")

    def data(self) -> MetricEvidence:
        source = self.evidence.pairs if self.arms == "shadow" else self.evidence.metrics
        return source.get(self.metric.name, MetricEvidence())

    def key(self, direction: str) -> str:
        return f"{self.metric.name}/{self.arms}/{direction}"


def _judge_metric(q: _Question) -> tuple[MetricVerdict, tuple[str, ...]]:
    if q.metric.kind == "agreement":
        return judge_agreement(q.plan, q.metric, q.evidence), ()
    if q.metric.rare:
        return judge_rare(q.plan, q.metric, q.arms, q.factor, q.alpha_fail, q.state, q.evidence), ()
    return _judge_sums(q)


def _judge_sums(q: _Question) -> tuple[MetricVerdict, tuple[str, ...]]:
    data = q.data()
    everything = _Look.at(q, data.tally, q.plan.alpha.promotion, "pass")
    epoch = _Look.at(q, data.tally.since(q.state.epoch), q.alpha_fail, "fail")
    whole = q.state.epoch <= q.state.phases[0].number
    same = everything if whole else _Look.at(q, data.tally.since(q.state.epoch), q.plan.alpha.promotion, "epoch")
    status = _status(q, data, same)
    verdict, reached = _verdict(q, status, everything, epoch, same)
    closed = tuple(look.key for look in (everything, same, epoch) if look.over)
    told = same if verdict == "fail" or not reached else everything  # what decided is what is told
    effect = told.effect
    shown = status in ("ok", "not_enough") and not effect.degenerate
    low, high = told.interval if status == "ok" else (None, None)
    bound = _signed(q, q.margin.times(q.factor))
    result = MetricVerdict(
        metric=q.metric.name,
        role=q.metric.role,
        arms=q.arms,
        verdict=verdict,
        status=status,
        method=JOINED if q.metric.cap is None else f"{JOINED}, values capped at {q.metric.cap:g}",
        scale=q.margin.scale,
        better=q.metric.better,
        bound=_natural(bound, q.margin.scale),
        crossed=_natural(_harm_line(q), q.margin.scale) if verdict == "fail" else None,
        margin=_natural(_signed(q, q.margin), q.margin.scale),
        estimate=_natural(effect.estimate, q.margin.scale) if shown else None,
        lower=None if low is None else _natural(low, q.margin.scale),
        upper=None if high is None else _natural(high, q.margin.scale),
        rate_champion=_finite(effect.rate_c),
        rate_candidate=_finite(effect.rate_t),
        count_champion=int(effect.count_c),
        count_candidate=int(effect.count_t),
        units_champion=q.evidence.units.arms.get(CHAMPION, 0),
        units_candidate=q.evidence.units.arms.get(q.treatment, 0),
        information=told.information,
        planned=told.planned,
        alpha_fail=q.alpha_fail,
        needs="" if reached else _needs(q, status, told, bound),
        unobserved_champion=_outside(data, CHAMPION),
        unobserved_candidate=_outside(data, q.treatment),
    )
    return result, closed


def _outside(data: MetricEvidence, arm: Arm) -> int:
    return sum(n for (_, where), n in data.outside.items() if where == arm)


@dataclass(frozen=True, slots=True)
class _Look:
    """An effect with its bounds on one information clock."""

    key: str
    effect: Effect
    units: float
    planned: float
    interval: tuple[float, float]
    over: bool
    closed_before: bool
    alpha: float

    @property
    def information(self) -> float:
        return self.effect.information

    @classmethod
    def at(cls, q: _Question, tally: Tally, alpha: float, direction: str) -> _Look:
        s = tally.strata(q.treatment, CHAMPION)
        scale: Literal["log", "linear"] = "log" if q.margin.scale == "relative" else "linear"
        effect = stratified_effect(s.count_t, s.num_t, s.den_t, s.count_c, s.num_c, s.den_c, scale=scale)
        units = distinct_units(s.count_t)
        planned = planned_information(_signed(q, q.margin))
        key = q.key(direction)
        closed = key in q.state.closed
        if _identical(q, effect):
            return cls(key, effect, units, planned, (0.0, 0.0), False, closed, alpha)
        b: Bounds = bounds(effect.estimate, effect.variance, planned, alpha=alpha, planned_looks_over=closed)
        over = closed or effect.information >= planned
        return cls(key, effect, units, planned, (b.lower, b.upper), over, closed, alpha)


def _verdict(q: _Question, status: Status, everything: _Look, epoch: _Look, same: _Look) -> tuple[Verdict, bool]:
    """The verdict, and whether this metric is done for this step.

    On the same strata (``same``: those harm is judged on) a pass within the margin beats harm: proven worse, and proven
    tolerable. Older strata may not excuse what happens in this epoch: after a strike, both must pass.
    """
    if status != "ok":
        return VERDICT_OF[status], False
    harmful = _status(q, q.data(), epoch) == "ok" and _is_harm(q, epoch.interval)
    if harmful and not _clears(q, same.interval, _signed(q, q.margin)):
        return "fail", True
    bound = _signed(q, q.margin.times(q.factor))
    if _clears(q, everything.interval, bound) and _clears(q, same.interval, bound):
        return "pass", True
    return "inconclusive", False


def _signed(q: _Question, margin: Margin) -> float:
    """The margin as a bound of the effect: on the log scale if relative, negative where higher is better."""
    down = q.metric.better == "increase"
    if margin.scale == "absolute":
        return -margin.value if down else margin.value
    return math.log1p(-margin.value) if down else math.log1p(margin.value)


def _clears(q: _Question, interval: tuple[float, float], bound: float) -> bool:
    low, high = interval
    return low > bound if q.metric.better == "increase" else high < bound


def _is_harm(q: _Question, interval: tuple[float, float]) -> bool:
    """Proven worse at all; in shadow proven worse by the margin, because waiting for more costs no user anything."""
    low, high = interval
    line = _harm_line(q)
    return high < line if q.metric.better == "increase" else low > line


def _harm_line(q: _Question) -> float:
    return 0.0 if q.metric.fail_on == "harm" and q.arms == "live" else _signed(q, q.margin)


def _status(q: _Question, data: MetricEvidence, look: _Look) -> Status:
    effect = look.effect
    if q.arms == "shadow" and unmatched_text(q.evidence.shadow):
        return "invalid"
    waiting = sum(n for (phase, arm), n in data.immature.items() if arm == q.treatment)
    if effect.count_t == 0 or effect.count_c == 0:
        return "immature" if waiting else "no_data"
    if _identical(q, effect):
        return "ok" if look.units >= MIN_UNITS_PROPORTION else "not_enough"
    if effect.degenerate:
        return "degenerate"
    if not may_judge(q.metric, effect, look.units):
        return "immature" if waiting > effect.count_t else "not_enough"
    return "ok"


def _identical(q: _Question, effect: Effect) -> bool:
    """Shadow and champion answered every joined request with the same loss: no variance, and rightly so."""
    return q.arms == "shadow" and effect.count_t > 0 and effect.rate_t == effect.rate_c and effect.degenerate


def _needs(q: _Question, status: Status, look: _Look, bound: float) -> str:
    """How many more exposures the verdict needs if the estimate stays where it is."""
    effect = look.effect
    if status == "invalid":
        return unmatched_text(q.evidence.shadow)
    if status == "immature":
        return "outcomes are younger than their horizon"
    if status == "no_data":
        return "no mature exposure of both arms in the same time bucket yet"
    if status == "degenerate":
        return "no variation between units: no events in one arm"
    if status == "not_enough":
        return _needs_start(q, look)
    sign = 1.0 if q.metric.better == "increase" else -1.0
    wanted = remaining_information(
        sign * effect.estimate, sign * bound, look.planned, alpha=look.alpha, planned_looks_over=look.closed_before
    )
    if not math.isfinite(wanted):
        return "at this estimate more data will not help: the loss is not smaller than the bound"
    more = math.ceil(effect.count_t * max(wanted / look.information - 1.0, 0.0))
    return f"needs about {more:,} more mature {q.treatment} exposures"


def _needs_start(q: _Question, look: _Look) -> str:
    effect, units = look.effect, look.units
    proportion = q.metric.kind in SHARE_KINDS
    wanted = MIN_UNITS_PROPORTION if proportion or q.arms == "shadow" else MIN_UNITS_CONTINUOUS
    if units < wanted:
        return f"needs {wanted - units:,.0f} more {q.treatment} units with an outcome ({units:,.0f} of {wanted:,})"
    if proportion:
        return f"needs {MIN_EXPECTED_EVENTS} expected events and non-events in the {q.treatment}"
    if effect.largest_bucket > MAX_BUCKET_SHARE:
        return f"one bucket of units carries {effect.largest_bucket:.0%} of the sum (at most {MAX_BUCKET_SHARE:.0%})"
    more = math.ceil(effect.count_t * ((effect.skewness / MAX_SKEWNESS) ** 2 - 1))
    return (
        f"a few large values carry the mean: needs about {more:,} more mature {q.treatment} exposures{remedy(q.metric)}"
    )


def _natural(value: float, scale: str) -> float:
    return math.expm1(value) if scale == "relative" else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
