"""Traffic to plan with: what is known of a metric before a release, from the champion's log or declared by somebody."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.tally import COUNT, DENOMINATOR, MICRO, NUMERATOR, TOTAL, UNIT_BUCKETS, Tally
from seatrial.ids import CANARY, CHAMPION, SHADOW
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.stats.clustered import stratified_effect

DAY = 86_400
FULL_WEEKS = 14
"""Days that a log must hold before it can say whether weekdays differ: each of them twice."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of a metric from the champion: its rate, how much there is of it, how noisy it is.

    ``variance``: of one exposure's contribution, clusters of units included (square of the metric's unit); the variance
    of a rate over n exposures is ``variance / n``. ``design_effect``: how many times larger that is than for
    independent exposures; None where the log cannot tell. ``weekly``: exposures of the busiest weekday over those of
    the quietest; None where that is not known. ``pair_variance``: of one pair in shadow, on the scale of the margin;
    None before there was a shadow. ``skewness``: of one exposure's contribution, beyond what chance alone shows; 0 for
    shares, whose events are counted instead. A metric that is judged on units has its rate in units.
    """

    rate: float
    exposures_per_day: float
    units_per_day: float
    variance: float
    design_effect: float | None = None
    weekly: float | None = None
    source: Literal["log", "declared"] = "log"
    pair_variance: float | None = None
    skewness: float = 0.0

    def unit_variance(self, scale: str) -> float:
        """Variance of one exposure on the scale that a margin is judged on: of the logarithm if relative."""
        if scale == "absolute":
            return self.variance
        return self.variance / self.rate**2 if self.rate else math.inf


def observe(tally: Tally, days: float, units: int, *, share: bool = False) -> Traffic | None:
    """Traffic of one metric from a past rollout over ``days``; None without the champion's cells.

    The rate and the variance are the champion's, the volume is that of both arms. ``units``: distinct ones in either.
    ``share``: the metric is one, so the design effect is known. Variance by the linearised bucket jackknife of one arm
    (stats.clustered): returning units count as what they are, repeated and not new evidence.
    """
    cells = [s for c, s in tally.cells.items() if c.arm == CHAMPION and c.segment == TOTAL]
    if not cells or days <= 0:
        return None
    sums = np.sum(cells, axis=0).astype(float)
    count, num, den = sums[:, COUNT].sum(), sums[:, NUMERATOR] / MICRO, sums[:, DENOMINATOR] / MICRO
    if den.sum() <= 0 or count < UNIT_BUCKETS:
        return None
    rate = float(num.sum() / den.sum())
    spread = (num - rate * den) / den.sum()
    variance = UNIT_BUCKETS / (UNIT_BUCKETS - 1) * float(np.sum(spread**2)) * float(count)
    both = sum(tally.exposures(arm) for arm in (CHAMPION, CANARY))
    effect = variance / (rate * (1 - rate)) if share and 0 < rate < 1 else None
    skewness = 0.0 if share else _skewness(spread, float(count))
    rhythm = weekly_rhythm(tally)
    return Traffic(rate, both / days, units / days, variance, effect, rhythm, skewness=skewness)


def _skewness(spread: NDArray[np.float64], count: float) -> float:
    """Of one exposure, from the influence of each bucket on the mean of so many: as ``stats.clustered`` takes it."""
    square = float(np.sum(spread**2))
    if square <= 0:
        return 0.0
    seen = float(np.sum((spread / math.sqrt(square)) ** 3))
    return math.copysign(max(abs(seen) - 2 * math.sqrt(6) / len(spread), 0.0), seen) * math.sqrt(count)


def observe_pairs(tally: Tally, scale: str) -> float | None:
    """Variance that one pair of answers contributed to the difference in a past shadow; None without a spread."""
    s = tally.strata(SHADOW, CHAMPION)
    on: Literal["log", "linear"] = "log" if scale == "relative" else "linear"
    found = stratified_effect(s.count_t, s.num_t, s.den_t, s.count_c, s.num_c, s.den_c, scale=on)
    return None if found.degenerate else found.variance * found.count_t


def declare(
    metric: Metric,
    per_day: float,
    baseline: float | None,
    *,
    deviation: float | None = None,
    skewness: float = 0.0,
    design_effect: float = 1.0,
    units_per_day: float | None = None,
) -> Traffic:
    """Traffic that somebody vouches for: exposures a day and the champion's rate.

    ``deviation``: standard deviation of one exposure, for means, losses and ratios; a share's follows from its rate.
    ``skewness``: of one exposure, likewise; it tells how many are needed before the mean is anywhere near normal.
    ``units_per_day``: new units; each exposure is a unit of its own without it. A rare event is planned without any
    where no baseline is given. Raises ValueError for what is missing or impossible.

    >>> ctr = Metric(name="ctr", kind="proportion")
    >>> round(declare(ctr, 20e6, 0.052, design_effect=2.5).variance, 6)
    0.12324
    """
    if not per_day > 0:
        raise ValueError("traffic must be positive")
    if not design_effect > 0:
        raise ValueError("a design effect must be positive")
    if metric.kind in SHARE_KINDS:
        rate = 0.0 if baseline is None and metric.rare else baseline
        if rate is None or not (0 <= rate < 1) or (rate == 0 and not metric.rare):
            raise ValueError("a share needs its baseline, between 0 and 1")
        variance = rate * (1 - rate)
    else:
        rate = baseline
        if rate is None or deviation is None or not deviation > 0:
            raise ValueError(f"kind {metric.kind} needs its baseline and the standard deviation of one exposure")
        if rate == 0 and metric.margin is not None and metric.margin.scale == "relative":
            raise ValueError("a relative margin of zero is zero: give the margin in the metric's own unit")
        variance = deviation**2
    units = per_day if units_per_day is None else units_per_day
    uneven = 0.0 if metric.kind in SHARE_KINDS else skewness
    return Traffic(rate, per_day, units, variance * design_effect, design_effect, None, "declared", skewness=uneven)


def weekly_rhythm(tally: Tally) -> float | None:
    """Exposures of the busiest weekday over those of the quietest; None below two weeks of whole days.

    The first and the last day are left out, because they are rarely whole.
    """
    days: defaultdict[int, int] = defaultdict(int)
    for cell, sums in tally.cells.items():
        if cell.segment == TOTAL and cell.arm in (CHAMPION, CANARY):
            days[cell.time // DAY] += int(sums[:, COUNT].sum())
    whole = range(min(days, default=0) + 1, max(days, default=0))
    if len(whole) < FULL_WEEKS:
        return None
    means = [float(np.mean([days[day] for day in whole if day % 7 == weekday])) for weekday in range(7)]
    return max(means) / min(means) if min(means) > 0 else None
