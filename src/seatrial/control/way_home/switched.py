"""The result of a change of traffic; apart from what makes one, so that an emergency needs no more than it must."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seatrial.errors import Conflict
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.kill import KillLatch
from seatrial.gateway.routes import OFF, UNAVAILABLE, RouteTable
from seatrial.governance.approvals.identity import Identities
from seatrial.ids import CANARY, HOLDOUT
from seatrial.registry.version import Model
from seatrial.rollout.way_home import Times


@dataclass(frozen=True, slots=True)
class Switched:
    """A change of traffic that was made and read back.

    ``took_ms``: from the call to Envoy's own word that the new routes are in use; ``split``: share of traffic by
    version, as read from Envoy's configuration afterwards (empty where no Envoy runs). ``changed``: False where there
    was nothing to do. Of a way home also ``times``, in their parts, and how its end was ``proven`` before that.
    """

    model: str
    to: str
    took_ms: float
    generation: int
    split: Mapping[str, float]
    text: str
    changed: bool = True
    times: Times | None = None
    proven: str = ""


def require_another(model: Model, latches: Iterable[KillLatch], actor: str, people: Identities) -> None:
    """Raises Conflict where who killed a model of the first tier would revive it, too, under whichever name."""
    for latch in latches:
        if latch.model == model.name and people.same(latch.actor, actor) and model.safety.tier == 1:
            raise Conflict(
                "ST0736", f"model '{model.name}' is of tier 1 and was killed by {actor}: somebody else revives it.",
                remedy="An approver with a token of their own: SEATRIAL_TOKEN=... seatrial revive.",
            )  # fmt: skip


def shares(envoy: Envoy, table: RouteTable, model: str) -> dict[str, float]:
    """Share of a model's traffic by version, as Envoy has it in use now. ``NotFound`` for an unknown model."""
    if model in table.unavailable:
        return {UNAVAILABLE: 1.0}
    route = table.model(model)
    if route.killed:
        return {OFF: 1.0}
    weights = envoy.split().get(model, {})
    answering = [(route.champion, weights.get("champion", 0) + weights.get("mirrored", 0))]
    answering += [(one, weights.get(arm, 0)) for one, arm in ((route.canary, CANARY), (route.holdout, HOLDOUT)) if one]
    found: dict[str, float] = {}
    for backend, points in answering:
        if points or backend is route.champion:
            name = f"v{backend.version}" if backend.version.isdigit() else backend.version
            found[name] = found.get(name, 0.0) + points / 10_000
    return found
