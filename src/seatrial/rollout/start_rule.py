"""Start of the asymptotic part: below it no bound on sums is valid, in a look, afterwards, or in a forecast.

Why each number is what it is: docs/statistics.md.
"""

from __future__ import annotations

from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.stats.clustered import Effect

MIN_UNITS_PROPORTION = 100
MIN_UNITS_CONTINUOUS = 200
MIN_EXPECTED_EVENTS = 50
MAX_BUCKET_SHARE = 0.10
MAX_SKEWNESS = 0.10


def may_judge(metric: Metric, effect: Effect, units: float) -> bool:
    """Whether an effect may be judged. ``units``: of the candidate, with a mature outcome.

    A share needs units, and as many events and non-events as the champion's rate lets expect; everything else units, no
    bucket of them that carries the sum, and a spread that is not a few large values'.
    """
    if metric.kind in SHARE_KINDS:
        return units >= MIN_UNITS_PROPORTION and expected(effect) >= MIN_EXPECTED_EVENTS
    spread = effect.largest_bucket <= MAX_BUCKET_SHARE and abs(effect.skewness) <= MAX_SKEWNESS
    return units >= MIN_UNITS_CONTINUOUS and spread


def expected(effect: Effect) -> float:
    """Events or non-events of the candidate that the champion's rate lets expect, whichever are fewer."""
    events = effect.count_t * effect.rate_c
    return min(events, effect.count_t - events)


def remedy(metric: Metric) -> str:
    """What helps where a few large values carry a mean, besides more of them."""
    if not metric.may_cap:
        return ""
    return f", or a lower cap than {metric.cap:g}" if metric.cap else ", or 'cap' them in the plan"
