"""What people say of a model that no system can know: what it is for, what it is not for, and who depends on it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from seatrial.errors import UsageError
from seatrial.values import Duration, to_camel


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """All of it is text for people but ``regulated`` and ``validate_every``.

    ``upstream``: models and systems that its inputs come from; ``downstream``: those that take its answers.
    ``regulated``: the rules that it falls under ("SR 26-2", "MDR"); any makes retention's floors hold for it.
    ``tier_reason``, ``tier_confirmed_by``: why the model has the tier it has, and who agreed.
    ``validate_every``: how long a validation holds. ``vendor``: of a model that somebody else made.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "alias_generator": to_camel,
        "populate_by_name": True,
    }

    intended_use: str = ""
    users: str = ""
    out_of_scope: str = ""
    limits: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    regulated: tuple[str, ...] = ()
    tier_reason: str = ""
    tier_confirmed_by: str = ""
    validate_every: Duration | None = None
    vendor: str = ""

    def __post_init__(self) -> None:
        if self.validate_every is not None and self.validate_every.seconds <= 0:
            raise UsageError("ST1504", "declaration: validateEvery is a span of time that is not empty.")

    def document(self) -> dict[str, Any]:
        """All of it, as JSON.

        >>> Declaration(limits=("adults only",)).document()["limits"]
        ['adults only']
        """
        return {to_camel(f.name): _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: object) -> object:
    match value:
        case tuple():
            return list(value)
        case Duration():
            return str(value)
    return value
