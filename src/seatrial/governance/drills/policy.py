"""How often the way home is rehearsed, by whom, when, and what a drill must achieve: ``drills:`` in seatrial.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final

from seatrial.values import Duration, Share, to_camel

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
BLOCKING_TIER: Final = 1
"""The tier whose releases wait for an overdue drill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a drill must achieve: seconds from the first faulty answer to its detection, and to a share of 0%."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    detect: Duration = Duration(60.0, "60s")
    zero: Duration = Duration(60.0, "60s")

    def __post_init__(self) -> None:
        if min(self.detect.seconds, self.zero.seconds) <= 0:
            raise ValueError("targets are spans of time that are not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPolicy:
    """``tier1`` to ``tier3``: how often a model of that tier is drilled. ``share``: of the faulty canary.

    ``business_hours``: when drills may happen, Monday to Friday in UTC. ``unannounced``: the time of each is chosen
    within them by ``seed``, and only the audit log knows it beforehand.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    tier1: Duration = Duration(30 * 86_400.0, "30d")
    tier2: Duration = Duration(91 * 86_400.0, "91d")
    tier3: Duration = Duration(365 * 86_400.0, "365d")
    owner: str = ""
    participants: tuple[str, ...] = ()
    business_hours: str = "09:00-17:00"
    unannounced: bool = False
    seed: int = 0
    share: Share = Share.parse("1%")
    targets: Targets = field(default_factory=Targets)

    def __post_init__(self) -> None:
        if min(every.seconds for every in self.every.values()) < 86_400:
            raise ValueError("a model is drilled once a day at most")
        found = _HOURS.fullmatch(self.business_hours)
        if found is None or found[1] + found[2] >= found[3] + found[4]:
            raise ValueError(f"businessHours is a span such as 09:00-17:00, not {self.business_hours!r}")
        if not 0 < self.share.per_10k <= 1000:
            raise ValueError("share of a drill is above 0 and at most 10%")

    @property
    def every(self) -> Mapping[int, Duration]:
        """By tier."""
        return MappingProxyType({1: self.tier1, 2: self.tier2, 3: self.tier3})

    @property
    def minutes(self) -> tuple[int, int]:
        """Business hours in minutes of the day.

        >>> DrillPolicy().minutes
        (540, 1020)
        """
        opens, closes = ((int(end[:2]) * 60 + int(end[3:])) for end in self.business_hours.split("-"))
        return opens, closes
