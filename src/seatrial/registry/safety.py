"""How careful a model wants to be treated, whatever is released of it: tier, impact, and how its standby is kept."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Literal, get_args

from seatrial.errors import UsageError
from seatrial.registry.fallback import Fallback
from seatrial.values import to_camel

Impact = Literal["ordinary", "immediate", "irreversible", "clinical"]
StandbyPolicy = Literal["hot", "warm", "cold"]

IMPACTS: Final[tuple[Impact, ...]] = get_args(Impact)
"""From the least to the most careful."""

TIERS: Final = (1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """Everything has a default that suits a model whose mistakes can be made good.

    ``tier``: 1 for models that the company notices within minutes, 3 for those that nobody waits for.
    ``impact``: what a decision does; *immediate* ones act at once, *irreversible* ones cannot be taken back, *clinical*
    ones are about patients.
    ``standby``: how the previous champion is kept: *hot* at full size, *warm* loaded and scaled down, *cold* stored.
    ``fallback``: who answers when neither the champion nor the previous one does.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "alias_generator": to_camel,
        "populate_by_name": True,
    }

    tier: int = 2
    impact: Impact = "ordinary"
    standby: StandbyPolicy = "hot"
    fallback: Fallback = field(default_factory=Fallback)

    def __post_init__(self) -> None:
        if self.tier not in TIERS:
            raise UsageError("ST0140", f"safety: {self.tier} is no tier.", remedy="1 (most careful), 2 or 3.")
        for name, known in (("impact", IMPACTS), ("standby", get_args(StandbyPolicy))):
            if (given := getattr(self, name)) not in known:
                raise UsageError("ST0141", f"safety: {given!r} is no {name}.", remedy=f"Use {', '.join(known)}.")

    def document(self) -> dict[str, Any]:
        """All of it, as JSON.

        >>> Safety(tier=1).document()
        {'tier': 1, 'impact': 'ordinary', 'standby': 'hot', 'fallback': {}}
        """
        plain = {to_camel(f.name): getattr(self, f.name) for f in fields(self)}
        return {**plain, "fallback": self.fallback.document()}


def stricter(one: Impact, other: Impact) -> Impact:
    """The more careful of two impacts.

    >>> stricter("immediate", "ordinary")
    'immediate'
    """
    return max(one, other, key=IMPACTS.index)
