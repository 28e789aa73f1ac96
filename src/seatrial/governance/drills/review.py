"""What people learned from a drill: a template with required fields, and actions that are carried on until done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Final

from seatrial.errors import Conflict, UsageError
from seatrial.values import to_camel

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do. ``due`` is a date (2026-04-01); ``since``: the drill that it was carried on from."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    text: str
    owner: str
    due: str
    done: bool = False
    since: str = ""

    def faults(self) -> list[str]:
        """What an action lacks."""
        lacking = [name for name in ("text", "owner", "due") if not str(getattr(self, name)).strip()]
        if "due" not in lacking and not _is_date(self.due):
            lacking.append("due (a date such as 2026-04-01)")
        return lacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is filled in by people. Measurements, criteria and the timeline come from the evidence."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    facilitator: str = ""
    participants: tuple[str, ...] = ()
    went_well: str = ""
    went_wrong: str = ""
    lessons: str = ""
    actions: tuple[Action, ...] = field(default=())

    @property
    def open_actions(self) -> tuple[Action, ...]:
        return tuple(action for action in self.actions if not action.done)


REQUIRED: Final = ("facilitator", "participants", "went_well", "went_wrong", "lessons")


def missing(review: Review, failed: Sequence[str]) -> list[str]:
    """What keeps a review from being closed. A drill with ``failed`` criteria has an action at least."""
    lacking = [to_camel(name) for name in REQUIRED if not _filled(getattr(review, name))]
    if failed and not review.actions:
        lacking.append(f"actions (the drill failed: {', '.join(failed)})")
    for n, action in enumerate(review.actions, 1):
        lacking += [f"actions[{n}].{fault}" for fault in action.faults()]
    return lacking


def require_complete(drill: str, review: Review, failed: Sequence[str]) -> None:
    """Raises UsageError (ST0368) that names what is missing."""
    if lacking := missing(review, failed):
        raise UsageError(
            "ST0368", f"the review of drill {drill} is not complete: {', '.join(lacking)}.",
            remedy=f"`seatrial drill review {drill} FILE` fills it; `seatrial drill template` is an empty one.",
        )  # fmt: skip


def require_open(drill: str, closed: str | None) -> None:
    """Raises Conflict (ST0369) for a review that was closed."""
    if closed:
        raise Conflict("ST0369", f"the review of drill {drill} was closed ({closed}).",
                       remedy="Open actions are carried on to the next drill of the model.")  # fmt: skip


def carried(before: Mapping[str, Review], drill: str) -> tuple[Action, ...]:
    """Open actions of earlier drills, for ``drill``; ``before`` is by drill, and only the last one counts.

    Each drill takes over what the one before left open, so nothing is lost between the two.
    """
    if not before:
        return ()
    last, review = list(before.items())[-1]
    return tuple(
        Action(text=a.text, owner=a.owner, due=a.due, since=a.since or last)
        for a in review.open_actions
        if last != drill
    )


def _filled(value: object) -> bool:
    """Some text, or a list of texts, that is not empty."""
    return bool(str(value).strip()) if isinstance(value, str) else bool(value)


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
