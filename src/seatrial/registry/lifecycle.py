"""The stages of a version and the one table of legal moves between them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from seatrial.errors import IllegalTransition


class Stage(enum.StrEnum):
    """Where a version stands. ``Standby`` is the previous champion, kept ready as the way home."""

    NONE = "None"
    STAGING = "Staging"
    SHADOW = "Shadow"
    CANARY = "Canary"
    PRODUCTION = "Production"
    STANDBY = "Standby"
    ARCHIVED = "Archived"


class Operation(enum.StrEnum):
    """What may make a move. Adoption and rollback are operations of their own, never a plain edit of the stage."""

    TRANSITION = "transition"
    ADOPT = "adopt"
    ROLLBACK = "rollback"


_PLAIN = Operation.TRANSITION

MOVES: Final[Mapping[Stage, Mapping[Stage, Operation]]] = {
    Stage.NONE: {Stage.STAGING: _PLAIN, Stage.ARCHIVED: _PLAIN, Stage.PRODUCTION: Operation.ADOPT},
    Stage.STAGING: {Stage.SHADOW: _PLAIN, Stage.CANARY: _PLAIN, Stage.ARCHIVED: _PLAIN},
    Stage.SHADOW: {Stage.CANARY: _PLAIN, Stage.STAGING: _PLAIN, Stage.ARCHIVED: _PLAIN},
    Stage.CANARY: {
        Stage.PRODUCTION: _PLAIN,
        Stage.SHADOW: _PLAIN,
        Stage.STAGING: _PLAIN,
        Stage.ARCHIVED: _PLAIN,
    },
    Stage.PRODUCTION: {Stage.STANDBY: _PLAIN, Stage.ARCHIVED: _PLAIN},
    Stage.STANDBY: {Stage.PRODUCTION: Operation.ROLLBACK, Stage.ARCHIVED: _PLAIN},
    Stage.ARCHIVED: {},
}

_OWN_OPERATION: Final[Mapping[Operation, str]] = {
    Operation.ADOPT: "Only the adoption of a first champion goes from None to Production.",
    Operation.ROLLBACK: "Rollback is its own operation: it restores the Standby champion.",
}


def legal_targets(current: Stage, operation: Operation = Operation.TRANSITION) -> tuple[Stage, ...]:
    """The stages that ``operation`` may move to from ``current``, in the order of the table.

    >>> [str(stage) for stage in legal_targets(Stage.PRODUCTION)]
    ['Standby', 'Archived']
    """
    return tuple(target for target, by in MOVES[current].items() if by is operation)


def transition(
    current: Stage,
    target: Stage,
    *,
    model: str = "",
    version: int | None = None,
    operation: Operation = Operation.TRANSITION,
) -> Stage:
    """The new stage, or ``IllegalTransition`` (a ``ValueError``) naming the version, both stages and what is legal."""
    if target in legal_targets(current, operation):
        return target
    subject = " ".join(filter(None, (model, f"v{version}" if version is not None else ""))) or "version"
    legal = ", ".join(legal_targets(current)) or "nowhere"
    raise IllegalTransition(
        "ST0110",
        f"{subject}: {operation} from {current} to {target} is not legal; from {current} it may go to: {legal}.",
        remedy=_remedy(current, target),
    )


def _remedy(current: Stage, target: Stage) -> str:
    if current is Stage.ARCHIVED:
        home = f" {_OWN_OPERATION[Operation.ROLLBACK]}" if target is Stage.PRODUCTION else ""
        return f"Archived is final: register the artifact again as a new version.{home}"
    return _OWN_OPERATION.get(MOVES[current].get(target, _PLAIN), "")


def adopt(current: Stage, *, model: str = "", version: int | None = None) -> Stage:
    """Make a version that already serves the first champion: ``None`` to ``Production``."""
    return transition(current, Stage.PRODUCTION, model=model, version=version, operation=Operation.ADOPT)


def roll_back(current: Stage, *, model: str = "", version: int | None = None) -> Stage:
    """Restore the previous champion: ``Standby`` to ``Production``."""
    return transition(current, Stage.PRODUCTION, model=model, version=version, operation=Operation.ROLLBACK)
