"""Findings about a release as a whole: sample ratio, inputs, capture loss, absolute limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
from scipy.special import bdtr, bdtrc

from seatrial.evidence.snapshot import Captured, Evidence, MetricEvidence
from seatrial.evidence.tally import COUNT, MICRO, NUMERATOR, TOTAL, Cell
from seatrial.ids import CANARY, CHAMPION, Arm
from seatrial.rollout.inputs import input_alarm
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import Alarm
from seatrial.stats.counts import bernoulli_bounds
from seatrial.stats.srm import alarms as srm_alarms
from seatrial.stats.srm import sample_ratio_log_e
from seatrial.values import Rate, Share

CAPTURE_GAP = 0.001
CAPTURE_SLACK = 5
"""Lines that may be in flight between Envoy's counter and its log."""

UNEQUAL_ALPHA = 1e-6
"""Chance that equal loss looks unequal. Looks are many, but their losses are nearly the same ones."""

LIMIT_ALPHA = 0.001


def find_alarms(plan: Plan, state: RolloutState, evidence: Evidence) -> tuple[Alarm, ...]:
    """Every alarm at this look, most serious first."""
    found = [_sample_ratio(plan, state, evidence), input_alarm(plan, evidence), _capture(evidence)]
    found += [_limit(metric, state, evidence) for metric in plan.metrics if metric.limit is not None]
    return tuple(alarm for alarm in found if alarm is not None)


def _sample_ratio(plan: Plan, state: RolloutState, evidence: Evidence) -> Alarm | None:
    """Newly seen units per phase against the phase's own split (stats.srm); returning units are not recounted."""
    phases = [p for p in state.phases if p.weight > 0]
    x = [evidence.units.new.get((p.number, CANARY), 0) for p in phases]
    m = [n + evidence.units.new.get((p.number, CHAMPION), 0) for n, p in zip(x, phases, strict=True)]
    if not any(m):
        return None
    share = np.array([p.weight / 10_000 for p in phases])
    log_e = sample_ratio_log_e(np.array(x, float), np.array(m, float), share)
    if not srm_alarms(log_e, alpha=plan.alpha.srm):
        return None
    planned = float(np.sum(share * np.array(m)))
    return Alarm(
        kind="sample_ratio",
        text=f"{sum(x):,} of {sum(m):,} new units reached the canary where {planned:,.0f} were planned "
        f"(evidence 1 in {np.exp(min(log_e, 700)):,.0f})",
    )


def _capture(evidence: Evidence) -> Alarm | None:
    for (phase, arm), captured in sorted(evidence.capture.items()):
        if captured.counted is None:
            continue
        gap = abs(captured.counted - captured.lost - captured.logged)
        if gap > max(CAPTURE_SLACK, CAPTURE_GAP * captured.counted):
            return Alarm(
                kind="capture_loss",
                text=f"phase {phase} {arm}: Envoy counted {captured.counted:,} requests, "
                f"the capture log has {captured.logged:,}",
            )
    return _unequal_loss(evidence.capture)


def _unequal_loss(capture: Mapping[tuple[int, Arm], Captured]) -> Alarm | None:
    """Loss that prefers an arm biases what is compared, however small it is and whatever caused it.

    Given how many lines of a phase are lost, those of the canary are binomial with its share of the requests.
    """
    for phase in sorted({phase for phase, _ in capture}):
        found = [capture.get((phase, arm)) for arm in (CANARY, CHAMPION)]
        counted = [0 if c is None or c.counted is None else c.counted for c in found]
        missing = [0 if c is None or c.counted is None else max(c.counted - c.logged, 0) for c in found]
        if not all(counted) or not any(missing):
            continue
        share = counted[0] / sum(counted)
        tails = bdtr(missing[0], sum(missing), share), bdtrc(missing[0] - 1, sum(missing), share)
        if 2 * min(tails) < UNEQUAL_ALPHA:
            return Alarm(
                kind="capture_loss",
                text=f"phase {phase}: the capture log lacks {missing[0]:,} of {counted[0]:,} canary requests and "
                f"{missing[1]:,} of {counted[1]:,} champion requests: an arm loses more than the other",
            )
    return None


def past_limit(plan: Plan, state: RolloutState, evidence: Evidence) -> Alarm | None:
    """The first limit that the canary exceeded in a time bucket before the open one, each judged when it was over.

    For who comes when all is over: whoever watches finds it in the open bucket.
    """
    found = []
    for metric in (metric for metric in plan.metrics if metric.limit is not None):
        horizon = metric.horizon.seconds if metric.horizon else 0.0
        for phase, time in _buckets(metric, state, evidence)[:-1]:
            over = min(time + plan.time_bucket.seconds + horizon, evidence.at.timestamp())
            words = f"the time bucket of {datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"
            alarm = _beyond(metric, evidence, phase, time, over, words)
            if alarm is not None and alarm.kind == "limit":
                found.append((time, alarm))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _buckets(metric: Metric, state: RolloutState, evidence: Evidence) -> list[tuple[Phase, int]]:
    """Phases and time buckets in which the canary had exposures of a metric, the latest one last."""
    cells = evidence.metrics.get(metric.name, MetricEvidence()).tally.cells
    places = {(c.phase, c.time) for c in cells if c.arm == CANARY}
    return [(phase, time) for phase in state.phases for number, time in sorted(places) if number == phase.number]


def _limit(metric: Metric, state: RolloutState, evidence: Evidence) -> Alarm | None:
    """The canary beyond an absolute limit in the open time bucket."""
    recent = [time for phase, time in _buckets(metric, state, evidence) if phase == state.phase]
    if not recent:
        return None
    return _beyond(metric, evidence, state.phase, recent[-1], evidence.at.timestamp(), "this time bucket")


def _beyond(metric: Metric, evidence: Evidence, phase: Phase, time: int, at: float, bucket: str) -> Alarm | None:
    """Whether a bucket is beyond the limit at a time (seconds); an outage of both arms is nobody's regression."""
    data = evidence.metrics[metric.name]
    canary, champion = (_sums(data, phase.number, time, arm) for arm in (CANARY, CHAMPION))
    if isinstance(metric.limit, Share):
        return _share_limit(metric, metric.limit.fraction, canary, champion, bucket)
    if isinstance(metric.limit, Rate) and (total := canary[1]) > metric.limit.per_second * _elapsed(
        metric, phase, at, time
    ):
        return Alarm(kind="limit", text=f"{metric.name}: {total:,.2f} in {bucket}, limit {metric.limit}")
    return None


def _share_limit(
    metric: Metric, limit: float, canary: tuple[int, float], champion: tuple[int, float], bucket: str
) -> Alarm | None:
    n, x = canary
    low, _ = bernoulli_bounds(round(x), n, alpha=2 * LIMIT_ALPHA, planned_n=50)
    if low <= limit:
        return None
    others, slips = champion
    outside = others > 0 and slips / others > limit
    text = f"{metric.name}: {x / n:.1%} of {n:,} canary requests in {bucket}, limit {limit:.1%}"
    if outside:
        return Alarm(kind="shared_outage", text=f"{text}; the champion is beyond it too ({slips / others:.1%})")
    return Alarm(kind="limit", text=text)


def _sums(data: MetricEvidence, phase: int, time: int, arm: Arm) -> tuple[int, float]:
    sums = data.tally.cells.get(Cell(phase, time, TOTAL, arm))
    return (0, 0.0) if sums is None else (int(sums[:, COUNT].sum()), float(sums[:, NUMERATOR].sum()) / MICRO)


def _elapsed(metric: Metric, phase: Phase, at: float, time: int) -> float:
    """Seconds of mature spending of this phase in the bucket: the budget accrues, so overspend is found early."""
    mature = at - (metric.horizon.seconds if metric.horizon else 0.0)
    return max(mature - max(time, phase.started.timestamp()), 60.0)
