"""The three moves that change who the champion is, each whole or not at all: stages and pointers together."""

from __future__ import annotations

from datetime import datetime

from seatrial.errors import Conflict
from seatrial.registry.lifecycle import Operation, Stage
from seatrial.registry.version import ModelVersion
from seatrial.store.models import Models
from seatrial.store.pointers import PointerName


def adopt_champion(
    models: Models, model: str, number: int, *, actor: str, now: datetime, reason: str = ""
) -> ModelVersion:
    """Make a version the first champion of its model: None to Production. ``Conflict`` if there is a champion."""
    move = _Move(models, model, actor, now, reason)
    move.point("champion", None, number)
    return move.stage(number, Stage.PRODUCTION, Operation.ADOPT)


def promote(
    models: Models, model: str, number: int, *, expected_champion: int, actor: str, now: datetime, reason: str = ""
) -> ModelVersion:
    """Make the canary the champion. The champion becomes the Standby, and the Standby before it is archived."""
    move = _Move(models, model, actor, now, reason)
    pointers = models.pointers(model)
    former = pointers.get("previous")
    move.point("champion", expected_champion, number)
    move.point("previous", former, expected_champion)
    if pointers.get("challenger") == number:
        move.point("challenger", number, None)
    if former is not None:
        move.stage(former, Stage.ARCHIVED)
    move.stage(expected_champion, Stage.STANDBY)
    return move.stage(number, Stage.PRODUCTION)


def roll_back(
    models: Models, model: str, *, expected_champion: int, actor: str, now: datetime, reason: str = ""
) -> ModelVersion:
    """Bring the Standby back as champion and archive the champion. ``Conflict`` if there is no Standby to return to."""
    home = models.pointers(model).get("previous")
    if home is None:
        raise Conflict(
            "ST0643",
            f"model {model!r} has no previous champion to return to.",
            remedy=f"Stop it with `seatrial kill {model}`, or promote another version.",
        )
    move = _Move(models, model, actor, now, reason)
    move.point("champion", expected_champion, home)
    move.point("previous", home, None)
    move.stage(expected_champion, Stage.ARCHIVED)
    return move.stage(home, Stage.PRODUCTION, Operation.ROLLBACK)


class _Move:
    """Who moves things in one model, when and why."""

    def __init__(self, models: Models, model: str, actor: str, now: datetime, reason: str) -> None:
        self._models, self._model = models, model
        self._actor, self._now, self._reason = actor, now, reason

    def stage(self, number: int, target: Stage, operation: Operation = Operation.TRANSITION) -> ModelVersion:
        return self._models.set_stage(
            self._model,
            number,
            target,
            operation=operation,
            actor=self._actor,
            now=self._now,
            reason=self._reason,
        )

    def point(self, name: PointerName, expected: int | None, to: int | None) -> None:
        self._models.move_pointer(
            self._model, name, expected=expected, to=to, actor=self._actor, now=self._now, reason=self._reason
        )
