"""The result of a change of traffic; apart from what makes one, so that an emergency needs no more than it must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
