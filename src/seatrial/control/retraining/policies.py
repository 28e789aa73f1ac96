"""Retraining policies of a project: set, read, and with them what their managers know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from pydantic import TypeAdapter

from seatrial.control.analyses.triggers import parse_policy
from seatrial.control.project import Project
from seatrial.control.quality import pipeline_of_project
from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.retrain.lint import lint
from seatrial.retrain.manager import State, asked, from_start
from seatrial.retrain.policy import Policy
from seatrial.rollout.plan import Plan
from seatrial.store.canonical import digest_of_bytes
from seatrial.store.db import Store, Transaction
from seatrial.store.plans import read_plan
from seatrial.store.training import StoredPolicy


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy that is in force, and the state of its manager."""

    policy: Policy
    state: State
    stored: StoredPolicy


@cache
def _states() -> TypeAdapter[State]:
    return TypeAdapter(State)


def state_to_json(state: State) -> dict[str, Any]:
    document: dict[str, Any] = _states().dump_python(state, mode="json")
    return document


def load(tx: Transaction, model: str) -> Kept:
    """Raises NotFound (ST1300) for a model without a policy."""
    return kept_of(tx.training.policy(model))


def kept_of(stored: StoredPolicy) -> Kept:
    return Kept(_parsed(stored.policy, stored.model), _states().validate_python(stored.state), stored)


@lru_cache(maxsize=4096)
def _parsed(text: str, model: str) -> Policy:
    """Managers are asked every second, and YAML takes 10 ms to read: of a fleet's policies each text is read once."""
    return parse_policy(text, f"policy of {model}")


def put(store: Store, text: str, *, project: Project, actor: str, now: datetime, model: str | None = None) -> Policy:
    """Put a policy in force, or another one in its place: what its manager knows is kept.

    ``model``: whose it must be. Raises UsageError or NotFound for a policy that cannot be honoured here.
    """
    policy = _read(text, model)
    with store.begin() as tx:
        tx.models.get_model(policy.model)
        _require(policy, project)
        known = [one for one in tx.training.policies() if one.model == policy.model]
        state = known[0].state if known else state_to_json(from_start(now))
        tx.training.put_policy(policy.model, text, state, actor=actor, now=now)
        detail = {"digest": digest_of_bytes(text.encode()), "triggers": [one.name for one in policy.triggers]}
        tx.audit.append(actor, "trigger.set", policy.model, detail, now)
    return policy


def ask(store: Store, model: str, trigger: str | None, *, actor: str, now: datetime) -> str:
    """Somebody, or a webhook, asks for a run; returns the trigger's name. Kept until a run answers it.

    Raises NotFound (ST1300), and Conflict (ST1304) for a trigger that nobody may pull.
    """
    with store.begin() as tx:
        kept = load(tx, model)
        name = trigger or _first_manual(kept.policy)
        try:
            state = asked(kept.policy, kept.state, name, now, actor)
        except ValueError as error:
            raise Conflict("ST1304", f"{error}.", remedy=f"See `seatrial trigger show {model}`.") from None
        tx.training.put_state(model, state_to_json(state))
        tx.audit.append(actor, "retrain.ask", model, {"trigger": name}, now)
    return name


def plan_of(policy: Policy, project: Project) -> Plan | None:
    """The plan that a trained model is released by. Raises NotFound or PlanError."""
    return None if policy.release.plan is None else read_plan(project.root / "plans" / f"{policy.release.plan}.yaml")


def _first_manual(policy: Policy) -> str:
    for trigger in policy.triggers:
        if trigger.kind == "manual":
            return trigger.name
    raise Conflict(
        "ST1304", f"the policy of '{policy.model}' has no manual trigger.",
        remedy="Add one: - {name: by-hand, manual: true}",
    )  # fmt: skip


def _read(text: str, model: str | None) -> Policy:
    policy = parse_policy(text, "policy")
    errors = [finding.text for finding in lint(policy) if finding.level == "error"]
    if model is not None and policy.model != model:
        errors.append(f"it is of '{policy.model}', not of '{model}'")
    if errors:
        raise UsageError("ST0391", f"the policy cannot be honoured: {'; '.join(errors)}.",
                         remedy="See docs/retraining.md.")  # fmt: skip
    return policy


def _require(policy: Policy, project: Project) -> None:
    """What a policy names must be there."""
    if policy.run is None:
        raise UsageError(
            "ST1303", f"the policy of '{policy.model}' does not say what trains.",
            remedy="Add e.g. run: {command: [python, '{project}/train.py']}",
        )  # fmt: skip
    plan_of(policy, project)
    if not policy.watch.checks:
        return
    pipeline = pipeline_of_project(project)
    steps = {step.name for step in pipeline.steps if step.data is not None} if pipeline else set()
    for name in policy.watch.checks:
        if name not in steps:
            raise NotFound(
                "ST1305", f"ci.yaml has no data step '{name}'.", remedy=f"It has: {', '.join(sorted(steps)) or 'none'}."
            )
