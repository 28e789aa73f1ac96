"""The boundary of a release: how far an estimate must be from a margin, at any look, before it counts.

Widths are in standard errors and one-sided: the interval is ``estimate -/+ width * standard_error``, and each of its
ends is wrong at *any* look with probability at most alpha. Two boundaries share the alpha, 70 to 30, and the
tighter one counts: an O'Brien-Fleming plan, sharpest at the planned end, and a confidence sequence, which never ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from scipy.special import ndtri

PLANNED_SHARE = 0.7
"""The part of alpha that the planned looks spend; the rest is for the sequence that outlives the plan."""

TUNED_AT = 0.25
"""The confidence sequence is tightest at this share of the planned information: harm is wanted early."""


class Spending(NamedTuple):
    obf: float
    cs: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """One-sided lower and upper bound on the scale of the estimate, and the width in standard errors behind both."""

    lower: float
    upper: float
    width: float


def spend(alpha: float) -> Spending:
    """Alpha of one direction, split between the planned looks and the confidence sequence.

    Raises ValueError unless 0 < alpha < 1.

    >>> [round(part, 6) for part in spend(0.05)]
    [0.035, 0.015]
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    planned = PLANNED_SHARE * alpha
    return Spending(planned, alpha - planned)


def final_z(alpha: float = 0.05) -> float:
    """Width at the final planned look, in standard errors: Phi^-1(1 - alpha_obf / 2).

    >>> round(final_z(), 3)
    2.108
    """
    return float(-ndtri(spend(alpha).obf / 2))


def planned_information(effect: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Information (1 / variance) at which ``effect`` is told from zero with ``power`` at the final planned look.

    ``((2.108 + 0.8416) / |effect|)^2`` by default; ``effect`` is on the scale of the estimate: ln(1 - margin) for a
    relative margin, the margin itself for an absolute one. Raises ValueError when the effect is zero or not finite, or
    alpha or power is not in (0, 1).

    >>> round(planned_information(math.log(1 - 0.03)))
    9380
    """
    if not math.isfinite(effect) or effect == 0:
        raise ValueError(f"the effect to plan for must be finite and not zero, not {effect}")
    if not 0 < power < 1:
        raise ValueError(f"power must be between 0 and 1, not {power}")
    ratio = (final_z(alpha) + float(ndtri(power))) / effect
    return ratio * ratio


def confidence_sequence_width(information: float, planned: float, alpha_cs: float) -> float:
    """Width of the one-sided asymptotic confidence sequence at this information; infinite without information.

    ``sqrt(2 (1 + 1/x) ln(1 + sqrt(1 + x) / (2 alpha)))`` with ``x = q(alpha) information / (planned / 4)`` and
    ``q(a) = -2 ln(2a) + ln(1 - 2 ln(2a))``: valid at all looks together, tightest at a quarter of the plan, and only
    slowly wider away from it. Raises ValueError unless 0 < alpha_cs < 0.5 and planned > 0.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), one-sided form and appendix on tuning.

    >>> [round(confidence_sequence_width(share, 1.0, 0.015), 3) for share in (0.01, 0.25, 1.0, 4.0)]
    [5.258, 3.22, 3.307, 3.477]
    """
    if not 0 < alpha_cs < 0.5:
        raise ValueError(f"alpha of the confidence sequence must be between 0 and 0.5, not {alpha_cs}")
    if not planned > 0:
        raise ValueError(f"planned information must be positive, not {planned}")
    log_term = -2 * math.log(2 * alpha_cs)
    x = (log_term + math.log1p(log_term)) * information / (TUNED_AT * planned)
    if not 0 < x < math.inf:
        return math.inf
    return math.sqrt(2 * (1 + 1 / x) * math.log1p(math.sqrt(1 + x) / (2 * alpha_cs)))


def obrien_fleming_width(information: float, planned: float, alpha_obf: float) -> float:
    """Width of the planned boundary, ``Phi^-1(1 - alpha/2) / sqrt(min(1, information / planned))``.

    Spends alpha over continuous looks up to the planned information (reflection principle). A look beyond it gets the
    final width; only the first such look may use it. Infinite without information; ValueError unless 0 < alpha < 1 and
    planned > 0. Sources: O'Brien & Fleming (1979); Lan & DeMets (1983, eq. 4).

    >>> [round(obrien_fleming_width(share, 1.0, 0.035), 3) for share in (0.25, 1.0, 1.3)]
    [4.217, 2.108, 2.108]
    """
    if not 0 < alpha_obf < 1:
        raise ValueError(f"alpha of the planned looks must be between 0 and 1, not {alpha_obf}")
    if not planned > 0:
        raise ValueError(f"planned information must be positive, not {planned}")
    share = information / planned
    return float(-ndtri(alpha_obf / 2)) / math.sqrt(min(1.0, share)) if share > 0 else math.inf


def joined_width(information: float, planned: float, *, alpha: float, planned_looks_over: bool) -> float:
    """The tighter of both boundaries, each at its part of alpha.

    The first look at or beyond the planned information is the final planned look. The caller remembers it: from the
    next look on, ``planned_looks_over`` is true and only the confidence sequence counts. Errors as in its parts.

    >>> [round(joined_width(i, 1.0, alpha=0.05, planned_looks_over=False), 3) for i in (0.1, 0.5, 1.0)]
    [3.306, 2.982, 2.108]
    >>> round(joined_width(1.1, 1.0, alpha=0.05, planned_looks_over=True), 3)
    3.317
    """
    part = spend(alpha)
    always = confidence_sequence_width(information, planned, part.cs)
    return always if planned_looks_over else min(always, obrien_fleming_width(information, planned, part.obf))


def bounds(estimate: float, variance: float, planned: float, *, alpha: float, planned_looks_over: bool) -> Bounds:
    """Lower and upper bound of an effect, one-sided alpha on each side, at this look.

    Without a usable variance or estimate the bounds are infinite: such an effect excludes nothing.

    >>> at_plan = bounds(-0.01, 1 / 10_000, 10_000, alpha=0.05, planned_looks_over=False)
    >>> round(at_plan.lower, 5), round(at_plan.upper, 5)
    (-0.03108, 0.01108)
    >>> bounds(0.0, 0.0, 10_000, alpha=0.05, planned_looks_over=False)
    Bounds(lower=-inf, upper=inf, width=inf)
    """
    if not (math.isfinite(estimate) and math.isfinite(variance) and variance > 0):
        return Bounds(-math.inf, math.inf, math.inf)
    width = joined_width(1 / variance, planned, alpha=alpha, planned_looks_over=planned_looks_over)
    reach = width * math.sqrt(variance)
    return Bounds(estimate - reach, estimate + reach, width)


def remaining_information(
    estimate: float, target: float, planned: float, *, alpha: float, planned_looks_over: bool = False
) -> float:
    """Total information at which, if the estimate stays, the lower bound reaches ``target``; infinite if it never does.

    Units still needed follow as ``units_now * (this / information_now - 1)``, since information grows with units. For
    an upper bound negate both ``estimate`` and ``target``. The final planned look is at the planned information, so an
    estimate that misses it there has to wait for the confidence sequence.

    >>> round(remaining_information(0.0, math.log(0.97), 9380, alpha=0.05))
    6704
    >>> remaining_information(-0.05, math.log(0.97), 9380, alpha=0.05)
    inf
    """
    gap = estimate - target
    if not gap > 0 or math.isinf(gap):
        return math.inf
    part = spend(alpha)
    always = _sequence_reaches(gap, planned, part.cs)
    plan_ends = obrien_fleming_width(planned, planned, part.obf) * math.sqrt(planned) / gap
    return min(always, plan_ends) if plan_ends <= planned and not planned_looks_over else always


def _sequence_reaches(gap: float, planned: float, alpha_cs: float) -> float:
    """Information at which width / sqrt(information), which falls from infinity to zero, is down to ``gap``."""

    def too_wide(log_information: float) -> bool:
        information = math.exp(log_information)
        return confidence_sequence_width(information, planned, alpha_cs) / math.sqrt(information) > gap

    low, high = -650.0, 650.0
    if too_wide(high):
        return math.inf
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if too_wide(middle) else (low, middle)
    return math.exp(high)
