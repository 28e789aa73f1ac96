"""Units that stay on the champion of before after everybody else has left it, so that a release can still be judged.

A plan's ``holdout`` takes the last points of the hash from the first step on: they are in an arm of their own, and all
weights of the plan are shares of the rest. After the promotion they stay where they are, until the last reconciliation
or the plan's ``holdoutUntil``. The rollouts that follow in that time use the same salt, so that nobody moves. A holdout
is over as soon as the version that it is held against is not the champion any more: a rollback, and the next promotion,
end it without anybody having to say so. A kill passes over it as long as it lasts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.holdout import lasts_until
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.plans import plan_from_json

_PREFIX: Final = "holdout."


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """``held`` of 10,000 points of the hash with ``salt`` stay on ``version``; ``candidate`` replaced it."""

    model: ModelName
    rollout: RolloutId
    version: VersionNumber
    candidate: VersionNumber
    held: int
    salt: str
    until: datetime

    def document(self) -> dict[str, Any]:
        """``share`` in per cent."""
        return {
            "model": self.model,
            "rollout": self.rollout,
            "version": self.version,
            "against": self.candidate,
            "share": self.held / 100,
            "until": iso_z(self.until),
        }


def begin(tx: Transaction, state: RolloutState, at: datetime) -> None:
    """Keep the holdout of a rollout that was just promoted; nothing where its plan has none."""
    plan = plan_from_json(json.loads(tx.rollouts.get(state.rollout).plan))
    if plan.holdout is None:
        return
    made = Holdout(
        model=state.model, rollout=state.rollout, version=state.champion, candidate=state.candidate,
        held=plan.holdout.per_10k, salt=state.salt, until=lasts_until(plan, state, at),
    )  # fmt: skip
    tx.settings.put(_PREFIX + state.model, {**asdict(made), "until": iso_z(made.until)}, at)
    tx.audit.append("seatrial", "holdout.begin", state.rollout, made.document(), at)


def standing(tx: Transaction, model: str) -> Holdout | None:
    """The holdout of a model, if there is one now."""
    setting = tx.settings.get(_PREFIX + model)
    found = None if setting is None else _read(setting.value)
    return found if found is not None and tx.models.pointers(model).get("champion") == found.candidate else None


def holdout_document(tx: Transaction, model: str) -> dict[str, Any]:
    """``seatrial.holdout.v1``; raises NotFound for a model that is not known."""
    name, found = tx.models.get_model(model).name, standing(tx, model)
    none = dict.fromkeys(("rollout", "version", "against", "share", "until"))
    return {"schema": "seatrial.holdout.v1", "model": name, **(none if found is None else found.document())}


def release(tx: Transaction, model: str, *, reason: str, actor: str, now: datetime) -> Holdout:
    """End a holdout before its time. Raises UsageError (``ST1591``) without a reason, NotFound (``ST1592``)."""
    if not reason.strip():
        raise UsageError(
            "ST1591", f"without its holdout, what replaced '{model}' cannot be judged undiluted any more.",
            remedy="Say why: --reason '...'.",
        )  # fmt: skip
    tx.models.get_model(model)
    if (found := standing(tx, model)) is None:
        raise NotFound("ST1592", f"model '{model}' has no holdout.", remedy="`holdout: 5%` in a plan makes one.")
    _end(tx, found, reason, actor, now)
    return found


def expire(tx: Transaction, now: datetime) -> list[Holdout]:
    """End those whose time has come, and forget those that a promotion or a rollback ended."""
    ended = []
    for found in map(_read, tx.settings.items(_PREFIX).values()):
        if standing(tx, found.model) is None:
            tx.settings.delete(_PREFIX + found.model)
        elif found.until <= now:
            _end(tx, found, "its time is over", "seatrial", now)
            ended.append(found)
    return ended


def any_due(tx: Transaction, now: datetime) -> bool:
    """Whether ``expire`` has something to end."""
    return any(_read(value).until <= now for value in tx.settings.items(_PREFIX).values())


def check_start(tx: Transaction, model: str, plan: Plan, salt: str | None) -> None:
    """Raises Conflict (``ST1593``) for a rollout beside which a holdout cannot stay what it is."""
    if (found := standing(tx, model)) is None:
        return
    remedy = f"Wait until {found.until:%Y-%m-%d %H:%M}, or `seatrial model holdout {model} --release --reason ...`."
    if plan.holdout is not None:
        raise Conflict(
            "ST1593", f"model '{model}' has the holdout of {found.rollout}, and plan '{plan.name}' asks for another.",
            remedy=remedy,
        )  # fmt: skip
    if salt is not None and salt != found.salt:
        raise Conflict("ST1593", f"another salt would draw the holdout of {found.rollout} anew.", remedy=remedy)


def _end(tx: Transaction, found: Holdout, reason: str, actor: str, now: datetime) -> None:
    tx.settings.delete(_PREFIX + found.model)
    tx.audit.append(actor, "holdout.end", found.rollout, {"model": found.model, "reason": reason}, now)


def _read(value: Mapping[str, Any]) -> Holdout:
    return Holdout(**{**value, "until": datetime.fromisoformat(value["until"])})
