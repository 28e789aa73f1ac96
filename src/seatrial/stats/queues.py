"""How long something waits for one of several people who serve: Erlang's formula."""

from __future__ import annotations

import math


def chance_of_wait(load: float, servers: int) -> float:
    """The chance that whoever arrives finds all servers busy (Erlang C), for arrivals at random.

    ``load``: arrivals per unit of time x mean time of service, in erlangs. From ``servers`` on everybody waits. Raises
    ValueError for a load that is not a finite number >= 0, or no servers. Source: Erlang (1917), by the recursion of
    Erlang B.

    >>> round(chance_of_wait(2.0, 3), 4), round(chance_of_wait(0.375, 3), 4)
    (0.4444, 0.0069)
    """
    if not 0 <= load < math.inf or servers < 1:
        raise ValueError("a load is a finite number that is not negative, and somebody serves")
    if load >= servers:
        return 1.0
    blocked = 1.0
    for busy in range(1, servers + 1):
        blocked = load * blocked / (busy + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def mean_wait(load: float, servers: int, mean: float, second_moment: float) -> float:
    """The mean time before service begins, in the unit of ``mean``; infinite from ``servers`` on.

    ``mean`` and ``second_moment``: of the time of service. Exact where that is exponential (second moment twice the
    square of the mean); else the approximation of Allen & Cunneen (Allen 1990, section 5.3.6.2). Raises ValueError.

    >>> round(mean_wait(2.0, 3, 1.0, 2.0), 4)
    0.4444
    """
    if load >= servers:
        return math.inf
    busy = chance_of_wait(load, servers)
    if mean <= 0:
        return 0.0
    return busy * mean / (servers - load) * second_moment / (2 * mean**2)
