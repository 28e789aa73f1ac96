"""What releases lose together: each within its margin, and after some of them a lot.

Every promoted release left an estimate of the candidate against the champion before it. Ratios of rates multiply, so
their logarithms add up along the chain of champions, and so do their variances (relative margins); differences add up
as they are (absolute margins). Held against a fixed anchor, the sum says what users have lost since.

The estimate of a release that was promoted is flattered by having been promoted, so the guard asks for more than the
sum: a total loss of ``erosionAtMost`` margins must be excluded by a one-sided bound (D'Agostino, Massaro and Sullivan
2003, Statistics in Medicine 22:169-186, call the effect biocreep).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtri

from seatrial.ids import VersionNumber
from seatrial.rollout.chain import Chain
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.verdicts import MetricVerdict

AT_MOST = 3.0
"""Margins that all releases since the anchor may have lost together, unless the plan says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erosion:
    """A chain held against what the plan lets it lose. ``total``, ``worst`` and ``limit`` as people read them.

    ``worst``: the one-sided bound on the side of a loss; ``tripped``: a loss of ``limit`` is not excluded.
    """

    metric: str
    scale: Literal["relative", "absolute"]
    anchor: VersionNumber
    releases: int
    total: float
    worst: float
    limit: float
    margins: float
    tripped: bool

    @property
    def text(self) -> str:
        """``log_loss +4.6% since v1 (5 releases, at worst +5.2%, at most +3.0%)``"""
        shown = "{:+.2%}".format if self.scale == "relative" else "{:+.4g}".format
        releases = f"{self.releases} release{'s' * (self.releases != 1)}"
        return (
            f"{self.metric} {shown(self.total)} since v{self.anchor} ({releases}, at worst {shown(self.worst)}, "
            f"at most {shown(self.limit)})"
        )


def measured_of(verdict: MetricVerdict) -> tuple[float, float] | None:
    """Estimate and variance of a release on the scale on which releases add up; None without an estimate.

    Exact verdicts carry no variance: it is that of the difference of two shares, each with one unit more of either
    kind (Agresti and Caffo 2000), so that a share of zero is not taken for certain.
    """
    if verdict.estimate is None or verdict.status != "ok":
        return None
    if verdict.losses:
        relative = verdict.scale == "relative"
        if verdict.information <= 0 or (relative and verdict.estimate <= -1):
            return None
        estimate = math.log1p(verdict.estimate) if relative else verdict.estimate
        return estimate, 1.0 / verdict.information
    sides = ((verdict.rate_candidate, verdict.count_candidate), (verdict.rate_champion, verdict.count_champion))
    if verdict.scale != "absolute" or any(rate is None or n == 0 for rate, n in sides):
        return None
    return verdict.estimate, sum(_variance(rate or 0.0, n) for rate, n in sides)


def _variance(rate: float, n: int) -> float:
    share = (rate * n + 1.0) / (n + 2.0)
    return share * (1.0 - share) / (n + 2.0)


def chained(metric: Metric, anchor: VersionNumber, verdicts: Iterable[MetricVerdict | None]) -> Chain:
    """The chain of one metric from the promoting verdicts since the anchor, oldest first.

    A release that did not measure the metric is unknown, and what came before it says nothing of now: the chain
    begins again behind it.
    """
    scale = "absolute" if metric.rare or metric.margin is None else metric.margin.scale
    empty = chain = Chain(metric.name, scale, anchor)
    for verdict in verdicts:
        chain = (None if verdict is None else joined(chain, verdict)) or empty
    return chain


def joined(chain: Chain, verdict: MetricVerdict) -> Chain | None:
    """With one more release; None if that one has measured nothing that adds up."""
    measured = measured_of(verdict)
    return None if measured is None or verdict.scale != chain.scale else chain.joined(*measured)


def eroded(plan: Plan, metric: Metric, chain: Chain) -> Erosion | None:
    """The chain against the plan; None where it has no releases, or a margin of another scale."""
    margin = metric.margin
    if margin is None or margin.scale != chain.scale or not chain.releases:
        return None
    times = AT_MOST if plan.erosion_at_most is None else plan.erosion_at_most.factor
    sign = -1.0 if metric.better == "increase" else 1.0
    loss = margin.times(times).value
    limit = math.log1p(sign * loss) if chain.scale == "relative" else sign * loss
    worst = chain.total + sign * float(ndtri(1 - plan.alpha.promotion)) * math.sqrt(chain.variance)
    natural = math.expm1 if chain.scale == "relative" else float
    return Erosion(
        metric=metric.name,
        scale=chain.scale,
        anchor=chain.anchor,
        releases=chain.releases,
        total=natural(chain.total),
        worst=natural(worst),
        limit=natural(limit),
        margins=times,
        tripped=sign * worst >= sign * limit,
    )


def erosions(plan: Plan, chains: Iterable[Chain], verdicts: Iterable[MetricVerdict] = ()) -> tuple[Erosion, ...]:
    """Every guardrail of the plan that has a chain, the present release (its ``verdicts``) joined to it."""
    known = {chain.metric: chain for chain in chains}
    measured = {verdict.metric: verdict for verdict in verdicts}
    found = []
    for metric in plan.guardrails:
        chain = known.get(metric.name)
        if chain is not None and metric.name in measured:
            chain = joined(chain, measured[metric.name]) or chain
        erosion = None if chain is None else eroded(plan, metric, chain)
        if erosion is not None:
            found.append(erosion)
    return tuple(found)
