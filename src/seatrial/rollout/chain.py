"""The releases of one metric since a fixed version, added up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from seatrial.ids import VersionNumber


@dataclass(frozen=True, slots=True)
class Chain:
    """What the promoted releases since the ``anchor`` were measured to change, together (rollout.erosion).

    ``total`` and ``variance`` are on the log scale (relative) or the linear one (absolute); a positive total is more of
    the metric, whether that is good or bad.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    metric: str
    scale: Literal["relative", "absolute"]
    anchor: VersionNumber
    releases: int = 0
    total: float = 0.0
    variance: float = 0.0

    def joined(self, estimate: float, variance: float) -> Chain:
        """With one more release. Releases have users of their own, so their variances add up."""
        return replace(self, releases=self.releases + 1, total=self.total + estimate, variance=self.variance + variance)
