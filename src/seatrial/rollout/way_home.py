"""What the way home costs: requests that bad answers reach before it is taken, and what a standby costs to keep.

Rates are requests an hour, times seconds, shares parts of 1, money in any one currency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HOUR_S: Final = 3600.0
MONTH_H: Final = 730.0
"""Hours of a mean month (365 days / 12)."""

PULL_S, LOAD_S, WARM_UP_S, SWITCH_S = 30.0, 45.0, 15.0, 5.0
"""What a start takes where nobody has measured: the image, the model, the first inferences; and a change of routes."""

DECLARED_S: Final[Mapping[str, float]] = {
    "hot": SWITCH_S,
    "warm": LOAD_S + WARM_UP_S,
    "cold": PULL_S + LOAD_S + WARM_UP_S,
}
"""Time to serve by policy of the standby, until it is measured: *warm* has image and one replica, *cold* nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The four parts of one way home, in seconds; None where a part is not known.

    ``detection``: from the first bad evidence, or the alert, to the look that saw it; ``decision``: from there to the
    move; ``switch``: from the move to Envoy's own word; ``drain``: from there to the end of the last request in flight
    on the old arm.
    """

    detection: float | None = None
    decision: float | None = None
    switch: float | None = None
    drain: float | None = None

    @property
    def known(self) -> float:
        """The sum of the parts that are known."""
        return math.fsum(part for part in (self.detection, self.decision, self.switch, self.drain) if part is not None)


def affected(rate: float, share: float, seconds: float) -> float:
    """Requests that the old arm gets in so many seconds.

    >>> round(affected(5e6, 0.25, 5)), round(affected(5e6, 0.25, 300)), round(affected(5e6, 0.25, 1), 1)
    (1736, 104167, 347.2)
    """
    return rate * share * seconds / HOUR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Investment:
    """Whether a faster way home pays.

    ``saved``: requests an incident; ``saved_a_month``: money; ``months``: until it is paid back (None: never);
    ``incidents_a_year``: from how many on it is paid back within twelve months (None: from none).
    """

    saved: float
    saved_a_month: float
    months: float | None
    incidents_a_year: float | None


def investment(cost: float, slow: float, fast: float, *, incidents: float, loss: float) -> Investment:
    """``slow``, ``fast``: affected requests an incident; ``incidents`` a month; ``loss``: money a request.

    >>> found = investment(20_000, 104_167, 1_736, incidents=2, loss=0.01)
    >>> round(found.saved), round(found.saved_a_month, 2), round(found.months, 2), round(found.incidents_a_year, 1)
    (102431, 2048.62, 9.76, 19.5)
    """
    saved = slow - fast
    each = saved * loss
    return Investment(
        saved=saved,
        saved_a_month=each * incidents,
        months=cost / (each * incidents) if each * incidents > 0 else None,
        incidents_a_year=cost / each if each > 0 else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One way to keep a standby: what it costs a month, how fast it serves, whom that affects.

    ``pays_from``: incidents a month from which it loses less than *cold* does (None: from none).
    """

    policy: str
    cost: float
    share_of_revenue: float | None
    seconds: float
    affected: float
    pays_from: float | None


def kept(
    *,
    pods: int,
    pod_cost: float,
    idle_share: float,
    rate: float,
    revenue: float | None = None,
    loss: float | None = None,
    pull: float = PULL_S,
    load: float = LOAD_S,
    warm_up: float = WARM_UP_S,
    switch: float = SWITCH_S,
) -> tuple[Kept, ...]:
    """The three policies beside each other, for a model of ``pods`` at ``pod_cost`` a month.

    *hot* keeps all of them at ``idle_share`` of their price, *warm* one at its full price with the image and the model
    at hand, *cold* none. A lost request costs ``loss``, or its part of the revenue.

    >>> hot, warm, cold = kept(pods=8, pod_cost=3000, idle_share=0.5, rate=5e6, revenue=2e6)
    >>> hot.cost, f"{hot.share_of_revenue:.1%}", warm.cost, cold.cost
    (12000.0, '0.6%', 3000.0, 0.0)
    >>> cold.seconds, round(cold.affected)
    (90.0, 125000)
    """
    per_request = loss if loss is not None else revenue / (rate * MONTH_H) if revenue else None
    times = {"hot": switch, "warm": load + warm_up, "cold": pull + load + warm_up}
    costs = {"hot": pods * pod_cost * idle_share, "warm": float(pod_cost), "cold": 0.0}
    hit = {policy: affected(rate, 1.0, seconds) for policy, seconds in times.items()}

    def pays_from(policy: str) -> float | None:
        spared = (hit["cold"] - hit[policy]) * (per_request or 0.0)
        return costs[policy] / spared if spared > 0 else None

    return tuple(
        Kept(
            policy=policy,
            cost=costs[policy],
            share_of_revenue=costs[policy] / revenue if revenue else None,
            seconds=times[policy],
            affected=hit[policy],
            pays_from=pays_from(policy),
        )
        for policy in times
    )
