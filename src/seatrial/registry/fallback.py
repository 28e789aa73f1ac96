"""What answers for a model when none of its versions does: reviewed rules, and below them a last resort."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Literal, NamedTuple, get_args

from seatrial.errors import UsageError
from seatrial.ids import StandInName, VersionNumber
from seatrial.values import to_camel

LastResort = Literal["review", "banner"]
StandInLevel = Literal["rules", "review", "banner"]

HEX: Final = 8
"""Digits of a scorecard's digest in the name of what serves it: other rules are another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """The levels below the previous version.

    ``rules``: digest of a scorecard in the artifact store. ``reviewed_by``: who has read it. ``last``: *review* puts
    requests into a queue that people decide, *banner* says that there is no answer of a model. ``review_limit``: from
    so many undecided requests on people are told.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "alias_generator": to_camel,
        "populate_by_name": True,
    }

    rules: str | None = None
    reviewed_by: str | None = None
    last: LastResort | None = None
    review_limit: int = 100

    def __post_init__(self) -> None:
        if self.rules is not None and not (self.rules.startswith("sha256:") and len(self.rules) == len("sha256:") + 64):
            raise UsageError(
                "ST0145", f"fallback: {self.rules!r} is not the digest of a scorecard.",
                remedy="`seatrial fallback set MODEL --rules FILE` stores one.",
            )  # fmt: skip
        if self.rules is not None and not (self.reviewed_by or "").strip():
            raise UsageError(
                "ST0146", "fallback: rules that nobody has reviewed.", remedy="Name who has read them: --reviewed-by."
            )
        if self.last is not None and self.last not in get_args(LastResort):
            known = ", ".join(get_args(LastResort))
            raise UsageError("ST0147", f"fallback: {self.last!r} is no last resort.", remedy=f"Use {known}.")
        if self.review_limit < 1:
            raise UsageError(
                "ST0148", f"fallback: people are to be told from {self.review_limit} waiting requests on.",
                remedy="A limit is 1 or more.",
            )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON.

        >>> Fallback(last="banner").document()
        {'last': 'banner'}
        """
        return {to_camel(f.name): value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


class StandIn(NamedTuple):
    """A host that answers without a version of the model: its name, and its level in the chain."""

    name: StandInName
    level: StandInLevel


def stand_ins(fallback: Fallback) -> list[StandIn]:
    """In the order of the chain.

    >>> [one.name for one in stand_ins(Fallback(rules="sha256:" + "ab" * 32, reviewed_by="ann", last="review"))]
    ['rules-abababab', 'review']
    """
    found = []
    if fallback.rules is not None:
        digits = fallback.rules.removeprefix("sha256:")[:HEX]
        found.append(StandIn(StandInName(f"rules-{digits}"), "rules"))
    if fallback.last is not None:
        found.append(StandIn(StandInName(fallback.last), fallback.last))
    return found


def host_name(version: str) -> VersionNumber | StandInName:
    """The number of a version, or the name of what stands in for all of them, from a host's label.

    >>> host_name("12"), host_name("review")
    (12, 'review')
    """
    return VersionNumber(int(version)) if version.isdigit() else StandInName(version)


def called(model: str, name: VersionNumber | StandInName) -> str:
    """As people write it.

    >>> called("fraud", VersionNumber(2)), called("fraud", StandInName("review"))
    ('fraud v2', 'fraud review')
    """
    return f"{model} v{name}" if isinstance(name, int) else f"{model} {name}"
