"""Beginning a rollout on the record: whether it may, by which plan, and what is written when it does."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from seatrial.control import holdouts
from seatrial.control.documents.catalog import load
from seatrial.control.mlflow.scores import require_scores
from seatrial.control.recorder import record
from seatrial.control.render import active_release
from seatrial.control.states import state_to_json
from seatrial.errors import Conflict, UsageError
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.registry.lifecycle import Stage
from seatrial.registry.safety import stricter
from seatrial.registry.version import Model
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.store.canonical import canonical
from seatrial.store.db import Transaction
from seatrial.store.plans import agreement, check_plan, overridden, plan_to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What somebody wants to begin. ``salt``: a new one if None. ``override``: why the plan may do what validation
    refuses and a person can answer for. ``again``: the rollout that is tried once more, and ``reason`` why.
    """

    model: str
    version: int
    plan: Plan
    actor: str
    salt: str | None = None
    override: str = ""
    again: str = ""
    reason: str = ""


def careful(model: Model, plan: Plan) -> Plan:
    """The plan with the impact of its model, where that is the graver one: a plan cannot make a model harmless."""
    impact = stricter(plan.impact or "ordinary", model.safety.impact)
    return plan if impact == (plan.impact or "ordinary") else replace(plan, impact=impact)


def can_start(tx: Transaction, asked: Launch, killed: Collection[str]) -> VersionNumber:
    """The champion it would run against. ``killed``: models that are switched off.

    Raises PlanError for a plan that cannot be honoured, or not for this model; Conflict where the model or the version
    is not free; UsageError where the plan is of another unit.
    """
    model, plan = asked.model, asked.plan
    known = tx.models.get_model(model)
    candidate = tx.models.get_version(model, asked.version)
    champion = tx.models.pointers(model).get("champion")
    check_plan(careful(known, plan), override=asked.override)
    if champion is None:
        raise Conflict(
            "ST0311", f"model '{model}' has no champion to compare with.",
            remedy=f"`seatrial model adopt {model} --url URL` makes what serves today the champion.",
        )  # fmt: skip
    if candidate.stage not in (Stage.NONE, Stage.STAGING):
        raise Conflict("ST0312", f"{candidate.name} is in {candidate.stage}: only a new or staged version can start.")
    if (running := active_release(tx, model)) is not None:
        raise Conflict(
            "ST0313", f"model '{model}' is in rollout {running.state.rollout}.",
            remedy=f"Wait for it, or `seatrial rollout abort {running.state.rollout}`.",
        )  # fmt: skip
    if plan.unit is not None and plan.unit.header.lower() != known.unit_header.lower():
        raise UsageError(
            "ST0314",
            f"plan '{plan.name}' randomises by '{plan.unit.header}', model '{model}' by '{known.unit_header}'.",
            remedy="The unit belongs to the model: remove it from the plan or register the model with it.",
        )
    require_scores(plan, (tx.models.get_version(model, champion), candidate))
    if model in killed:
        raise Conflict("ST0315", f"model '{model}' is killed.", remedy=f"`seatrial revive {model}` first.")
    holdouts.check_start(tx, model, plan, asked.salt)
    return champion


def begin(tx: Transaction, asked: Launch, champion: VersionNumber, now: datetime) -> RolloutId:
    """Write the rollout and its first decision, with what was overridden and what it tries again."""
    rollout = tx.rollouts.next_id()
    kept = holdouts.standing(tx, asked.model)
    salt = asked.salt or (f"{rollout}-{secrets.token_hex(4)}" if kept is None else kept.salt)
    decision, state = start(
        asked.plan, rollout, ModelName(asked.model), champion, VersionNumber(asked.version),
        salt, now, asked.actor,
    )  # fmt: skip
    text = canonical(plan_to_json(asked.plan))
    stored = tx.rollouts.create(rollout, asked.model, asked.version, champion, text, state_to_json(state), now)
    record(
        tx, decision, state,
        revision=stored.revision, digest=None, store_decision=True, agreed=agreement(asked.plan),
    )  # fmt: skip
    passed = overridden(careful(tx.models.get_model(asked.model), asked.plan)) if asked.override else []
    if passed:
        tx.audit.append(asked.actor, "rollout.override", rollout, {"reason": asked.override, "passed": passed}, now)
    if asked.again:
        tx.audit.append(asked.actor, "rollout.retry", rollout, {"of": asked.again, "reason": asked.reason}, now)
    return rollout


def once_more(tx: Transaction, rollout: str, *, reason: str, override: str, actor: str) -> Launch:
    """The same version by the same plan as a rollout that is over, its units drawn anew.

    Raises NotFound for an unknown rollout, Conflict (ST0313) while it is not over.
    """
    release = load(tx.rollouts.get(rollout))
    state = release.state
    if not state.over:
        raise Conflict(
            "ST0313", f"rollout '{rollout}' is {state.status}: there is nothing to try again.",
            remedy=f"Wait for it, or `seatrial rollout abort {rollout}`.",
        )  # fmt: skip
    return Launch(
        model=state.model, version=state.candidate, plan=release.plan, actor=actor,
        override=override, again=rollout, reason=reason,
    )  # fmt: skip
