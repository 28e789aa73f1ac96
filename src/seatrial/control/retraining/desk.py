"""What people and programs ask of retraining: policies, runs by hand, cancelling, logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from seatrial.control.retraining import documents, policies, runs
from seatrial.control.retraining.sensing import LogSensor
from seatrial.control.retraining.stages import Stages
from seatrial.errors import Conflict, UsageError
from seatrial.training.launcher import Launcher
from seatrial.training.process import ProcessLauncher
from seatrial.training.ray import RayLauncher

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

Document = dict[str, Any]


@cache
def launchers() -> Mapping[str, Launcher]:
    """By the name that policies call them; one of each for a process, and none of them connected before it is asked."""
    return {"process": ProcessLauncher(), "ray": RayLauncher()}


class RetrainingDesk:
    """Of one project; keeps nothing of its own."""

    def __init__(self, operations: Operations, known: Mapping[str, Launcher] | None = None) -> None:
        self._operations, self._store = operations, operations.store
        self._stages = Stages(operations, launchers() if known is None else known)

    def set(self, text: str, *, model: str | None = None, actor: str) -> Document:
        """Put a policy in force. Raises UsageError or NotFound for one that cannot be honoured."""
        now, project = self._operations.clock.now(), self._operations.project
        policy = policies.put(self._store, text, project=project, actor=actor, now=now, model=model)
        with self._store.read() as tx:
            return documents.policy_document(tx, policy.model)

    def ask(self, model: str, trigger: str | None = None, *, actor: str) -> Document:
        """``seatrial.retrain-asked.v1``: a run is asked for; ``after``: the number of runs there were before."""
        with self._store.read() as tx:
            before = policies.load(tx, model).state.runs
        name = policies.ask(self._store, model, trigger, actor=actor, now=self._operations.clock.now())
        return {"schema": "seatrial.retrain-asked.v1", "model": model, "trigger": name, "after": before}

    def cancel(self, id: str, *, actor: str) -> Document:
        """The run is ended by the loop, with whatever its command began. Raises Conflict (ST1307) if it is over."""
        with self._store.begin() as tx:
            stored = tx.training.run(id)
            run = runs.run_of(stored)
            if run.over:
                raise Conflict("ST1307", f"training run {id} is over: {run.status}.",
                               remedy=f"`seatrial retrain status {run.model}` shows what came of it.")  # fmt: skip
            kept = runs.save(tx, stored, replace(run, cancelled_by=actor))
            tx.audit.append(actor, "retrain.cancel", run.model, {"run": id}, self._operations.clock.now())
            return documents.run_document(kept)

    def log(self, id: str, *, last: int | None = None) -> Document:
        """``seatrial.training-log.v1``: what the command printed. Raises UsageError (ST1308) for no lines."""
        if last is not None and last < 1:
            raise UsageError("ST1308", f"the last {last} lines are none.", remedy="--last 50")
        with self._store.read() as tx:
            run = runs.run_of(tx.training.run(id))
            policy = policies.load(tx, run.model).policy
        text = self._stages.launcher(run).log(self._stages.job(id, run, policy), last=last)
        return {"schema": "seatrial.training-log.v1", "run": id, "text": text}

    def test(self, model: str) -> Document:
        """What is measured now, and what the manager would do; nothing is changed."""
        operations = self._operations
        with self._store.read() as tx:
            tx.models.get_model(model)
            kept = policies.load(tx, model)
        now = operations.clock.now()
        sensor = LogSensor(operations.project, self._store)
        sensed = sensor.sense(kept.policy, kept.state.last_start or kept.stored.set_at, now)
        return documents.test_document(kept, sensed, now)
