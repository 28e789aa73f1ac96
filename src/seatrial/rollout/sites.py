"""Units that can leave a rollout one by one: sites and readers, by their own wish or because they fare too badly.

Whoever leaves is on the champion from then on and in no arm; everybody else stays where the hash put them, so nothing
is randomised anew. What was seen before stays with the arm it was assigned to (intention to treat).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from seatrial.errors import Conflict, UsageError
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import COUNT, MICRO, NUMERATOR
from seatrial.ids import CANARY
from seatrial.rollout.plan import Floor, Plan
from seatrial.rollout.state import RolloutState, Withdrawn
from seatrial.rollout.verdicts import Alarm
from seatrial.stats.counts import bernoulli_bounds

FLOOR_ALPHA = 0.05
"""Chance that any site of a floor is held though it is not below it, shared by its sites (Bonferroni)."""

PLANNED = 200
"""Outcomes of one site at which its bound is tightest."""


@dataclass(frozen=True, slots=True)
class Floors:
    """What the floors of a plan say at one look: alarms that hold everybody, units that leave, and what is missing."""

    alarms: tuple[Alarm, ...] = ()
    held: tuple[str, ...] = ()
    short: tuple[str, ...] = ()


def floors(plan: Plan, state: RolloutState, evidence: Evidence) -> Floors:
    """Every site of the canary against every floor. Sites that have left are not asked again."""
    gone = {one.unit for one in state.withdrawn}
    alarms: list[Alarm] = []
    held: list[str] = []
    short: list[str] = []
    for floor in plan.floors or ():
        sites = {site: seen for site, seen in _sites(floor, evidence) if site not in gone}
        for site, (n, hits) in sites.items():
            _, high = bernoulli_bounds(hits, n, alpha=2 * FLOOR_ALPHA / len(sites), planned_n=PLANNED)
            if high < floor.least.fraction:
                alarms.append(Alarm(kind="floor", text=_text(floor, site, n, hits, high)))
                held += [site] if floor.hold == "unit" else []
            elif n < floor.min_outcomes:
                short.append(f"{floor.metric} in {floor.segment} {site}: {n:,} of {floor.min_outcomes:,} outcomes")
    return Floors(tuple(alarms), tuple(dict.fromkeys(held)), tuple(short))


def withdraw(state: RolloutState, unit: str, *, reason: str, actor: str, now: datetime) -> RolloutState:
    """The state without one unit. Raises Conflict if the rollout is over or the unit has left."""
    if state.over:
        raise Conflict("ST0310", f"rollout '{state.rollout}' is already {state.status}.")
    if not unit.strip() or not unit.isprintable():
        raise UsageError(
            "ST0347", f"rollout '{state.rollout}': {unit!r} is not a unit.", remedy="Give it as its header carries it."
        )
    if any(one.unit == unit for one in state.withdrawn):
        raise Conflict(
            "ST0347", f"rollout '{state.rollout}': '{unit}' has left it already.",
            remedy=f"`seatrial rollout get {state.rollout}` shows who did.",
        )  # fmt: skip
    return replace(state, withdrawn=(*state.withdrawn, Withdrawn(unit, now, actor, reason)))


def _sites(floor: Floor, evidence: Evidence) -> Iterator[tuple[str, tuple[int, int]]]:
    """Outcomes of each site of the canary, and how many of them are hits."""
    data = evidence.metrics.get(floor.metric, MetricEvidence())
    found: dict[str, tuple[int, int]] = {}
    for cell, sums in sorted(data.tally.cells.items()):
        dimension, _, site = cell.segment.partition("=")
        if cell.arm == CANARY and dimension == floor.segment:
            n, hits = found.get(site, (0, 0))
            found[site] = n + int(sums[:, COUNT].sum()), hits + round(int(sums[:, NUMERATOR].sum()) / MICRO)
    yield from ((site, seen) for site, seen in found.items() if seen[0])


def _text(floor: Floor, site: str, n: int, hits: int, high: float) -> str:
    follows = "it goes back to the champion" if floor.hold == "unit" else "everybody waits"
    return (
        f"{floor.metric} in {floor.segment} {site} is {hits / n:.1%} of {n:,}, at most {high:.1%} for sure, "
        f"floor {floor.least}: {follows}"
    )
