"""The result of a change of traffic; apart from what makes one, so that an emergency needs no more than it must."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seatrial.errors import Conflict
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.kill import KillLatch
from seatrial.gateway.routes import OFF, UNAVAILABLE, RouteTable
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


def require_another(model: Model, latches: Iterable[KillLatch], actor: str) -> None:
    """Raises Conflict where who killed a model of the first tier would revive it, too."""
    for latch in latches:
        if latch.model == model.name and latch.actor == actor and model.safety.tier == 1:
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
    version = route.champion.version
    found = {
        f"v{version}" if version.isdigit() else version: (weights.get("champion", 0) + weights.get("mirrored", 0))
        / 10_000
    }
    if route.canary is not None and weights.get("canary"):
        found[f"v{route.canary.version}"] = weights["canary"] / 10_000
    return found
