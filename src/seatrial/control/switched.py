"""The result of a change of traffic; apart from what makes one, so that an emergency needs no more than it must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.gateway.envoy import Envoy
from seatrial.gateway.routes import OFF, UNAVAILABLE, RouteTable


@dataclass(frozen=True, slots=True)
class Switched:
    """A change of traffic that was made and read back.

    ``took_ms``: from the call to Envoy's own word that the new routes are in use; ``split``: share of traffic by
    version, as read from Envoy's configuration afterwards (empty where no Envoy runs).
    """

    model: str
    to: str
    took_ms: float
    generation: int
    split: Mapping[str, float]
    text: str


def shares(envoy: Envoy, table: RouteTable, model: str) -> dict[str, float]:
    """Share of a model's traffic by version, as Envoy has it in use now. ``NotFound`` for an unknown model."""
    if model in table.unavailable:
        return {UNAVAILABLE: 1.0}
    route = table.model(model)
    if route.killed:
        return {OFF: 1.0}
    weights = envoy.split().get(model, {})
    found = {f"v{route.champion.version}": (weights.get("champion", 0) + weights.get("mirrored", 0)) / 10_000}
    if route.canary is not None and weights.get("canary"):
        found[f"v{route.canary.version}"] = weights["canary"] / 10_000
    return found
