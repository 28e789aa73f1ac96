"""Findings about a release as a whole: sample ratio, capture loss, absolute limits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import bdtr, bdtrc

from seatrial.evidence.snapshot import Captured, Evidence, MetricEvidence
from seatrial.evidence.tally import COUNT, MICRO, NUMERATOR, TOTAL, Cell
from seatrial.ids import CANARY, CHAMPION, Arm
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
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
    found = [_sample_ratio(plan, state, evidence), _capture(evidence)]
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


def _limit(metric: Metric, state: RolloutState, evidence: Evidence) -> Alarm | None:
    """The canary beyond an absolute limit in the open time bucket; an outage of both arms is nobody's regression."""
    data = evidence.metrics.get(metric.name, MetricEvidence())
    recent = [c.time for c in data.tally.cells if c.phase == state.phase.number and c.arm == CANARY]
    if not recent:
        return None
    time = max(recent)
    canary, champion = (_sums(data, state.phase.number, time, arm) for arm in (CANARY, CHAMPION))
    if isinstance(metric.limit, Share):
        return _share_limit(metric, metric.limit.fraction, canary, champion)
    if isinstance(metric.limit, Rate) and (total := canary[1]) > metric.limit.per_second * _elapsed(
        metric, state, evidence, time
    ):
        return Alarm(kind="limit", text=f"{metric.name}: {total:,.2f} in this time bucket, limit {metric.limit}")
    return None


def _share_limit(metric: Metric, limit: float, canary: tuple[int, float], champion: tuple[int, float]) -> Alarm | None:
    n, x = canary
    low, _ = bernoulli_bounds(round(x), n, alpha=2 * LIMIT_ALPHA, planned_n=50)
    if low <= limit:
        return None
    others, slips = champion
    outside = others > 0 and slips / others > limit
    text = f"{metric.name}: {x / n:.1%} of {n:,} canary requests in this time bucket, limit {limit:.1%}"
    if outside:
        return Alarm(kind="shared_outage", text=f"{text}; the champion is beyond it too ({slips / others:.1%})")
    return Alarm(kind="limit", text=text)


def _sums(data: MetricEvidence, phase: int, time: int, arm: Arm) -> tuple[int, float]:
    sums = data.tally.cells.get(Cell(phase, time, TOTAL, arm))
    return (0, 0.0) if sums is None else (int(sums[:, COUNT].sum()), float(sums[:, NUMERATOR].sum()) / MICRO)


def _elapsed(metric: Metric, state: RolloutState, evidence: Evidence, time: int) -> float:
    """Seconds of mature spending of this phase in the bucket: the budget accrues, so overspend is found early."""
    mature = evidence.at.timestamp() - (metric.horizon.seconds if metric.horizon else 0.0)
    return max(mature - max(time, state.phase.started.timestamp()), 60.0)
