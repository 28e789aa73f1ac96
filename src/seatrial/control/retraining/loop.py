"""The outer loop: every model's manager is asked again and again, and what it starts is carried through.

A run is recorded before it is started, and every step of it before the next one: whatever crashes, the next round goes
on from what is stored, and begins nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from seatrial.control.alerting import alerts
from seatrial.control.changes.tickets import ticket_from_trigger
from seatrial.control.clock import Clock
from seatrial.control.retraining import runs
from seatrial.control.retraining.policies import Kept, kept_of, load, state_to_json
from seatrial.control.retraining.sensing import LogSensor, Sensed, Sensor
from seatrial.control.retraining.stages import Stages
from seatrial.retrain.manager import Event, State, checked, finished, observed, step
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.leases import LeaseLost
from seatrial.store.training import StoredPolicy
from seatrial.training.launcher import Launcher

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

log = logging.getLogger("seatrial.control")

ACTOR = "seatrial"
MOST_STAGES = 12
"""More than a run has: a round ends, whatever a stage answers."""


class Loop:
    """``launchers`` by the name that policies call them; ``clock`` and ``sensor``: the project's own, unless given."""

    def __init__(
        self,
        operations: Operations,
        launchers: Mapping[str, Launcher],
        *,
        clock: Clock | None = None,
        sensor: Sensor | None = None,
    ) -> None:
        self._operations, self._store = operations, operations.store
        self._clock = clock or operations.clock
        self._sensor = sensor or LogSensor(operations.project, operations.store)
        self._stages = Stages(operations, launchers)
        self._sensed: dict[str, datetime] = {}
        self._told: dict[str, str] = {}

    def tick(self) -> None:
        """One round at the clock's time: managers, and then runs as far as they go."""
        self.watch()
        self.carry()

    def watch(self) -> None:
        """Measure what is due, and step every manager. What fails for one model keeps no other from it."""
        now = self._clock.now()
        with self._store.read() as tx:
            policies = tx.training.policies()
        for stored in policies:
            self._guarded(stored.model, partial(self._watch, stored, now))

    def carry(self) -> None:
        """Take every run that is under way as far as it goes now."""
        with self._store.read() as tx:
            models = [stored.model for stored in tx.training.policies() if stored.state.get("running")]
        for model in models:
            self._guarded(f"run of {model}", partial(self._carry, model))

    # ── managers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, stored: StoredPolicy, now: datetime) -> None:
        kept = kept_of(stored)
        sensed = self._sense(kept, now)
        if sensed is None and not _acts(kept, now):
            return
        with self._store.begin() as tx:
            self._step(tx, load(tx, stored.model), sensed, now)

    def _sense(self, kept: Kept, now: datetime) -> Sensed | None:
        """None before it is time."""
        model = kept.policy.model
        last = self._sensed.get(model)
        if last is not None and now < last + kept.policy.watch.every.delta:
            return None
        self._sensed[model] = now
        return self._sensor.sense(kept.policy, kept.state.last_start or kept.stored.set_at, now)

    def _step(self, tx: Transaction, kept: Kept, sensed: Sensed | None, now: datetime) -> None:
        policy, state = kept.policy, kept.state
        if sensed is not None:
            state = checked(observed(policy, state, sensed.reading), sensed.failure)
        state, events = step(policy, state, max(now, state.looked))
        self._record(tx, policy.model, state, events)
        if state.running is not None and state.runs > kept.state.runs:
            run = runs.new_run(policy, state.running)
            tx.training.add_run(policy.model, run.number, run.started, run.status, runs.run_to_json(run))
            ticket_from_trigger(tx, policy, state, now)

    def _record(self, tx: Transaction, model: str, state: State, events: tuple[Event, ...]) -> None:
        tx.training.put_state(model, state_to_json(state))
        for event in events:
            until = None if event.until is None else iso_z(event.until)
            told: dict[str, Any] = {
                "trigger": event.trigger, "reason": event.reason, "run": event.run, "until": until,
            }  # fmt: skip
            if event.moved is not None:
                told["moved"] = event.moved.document()
            tx.training.add_event(model, event.at, event.what, told)
            tx.audit.append(ACTOR, f"retrain.{event.what}", model, told, event.at)
            if (alert := alerts.of_trigger(model, event)) is not None:
                tx.alerts.put(alert)

    # ── runs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _carry(self, model: str) -> None:
        for _ in range(MOST_STAGES):
            with self._store.read() as tx:
                kept = load(tx, model)
                running = kept.state.running
                stored = None if running is None else tx.training.run_of(model, running.number)
            if stored is None:
                return
            run = runs.run_of(stored)
            after = run if run.over else self._stages.next(stored.id, run, kept.policy, self._clock.now())
            if after == run and not run.over:
                return
            with self._store.begin() as tx:
                if after != run:
                    runs.save(tx, stored, after)
                if after.over:
                    self._finish(tx, stored.id, after)
            if not after.over and after.status == run.status:
                return

    def _finish(self, tx: Transaction, id: str, run: runs.TrainingRun) -> None:
        """The manager learns of the end in the transaction in which it is recorded."""
        kept, now = load(tx, run.model), self._clock.now()
        state, events = finished(kept.state, now, f"{run.status}: {run.reason}" if run.reason else run.status)
        self._record(tx, run.model, state, events)
        if (alert := alerts.of_training(id, run.model, run.status, run.reason, now)) is not None:
            tx.alerts.put(alert)

    def _guarded(self, what: str, do: Callable[[], None]) -> None:
        """An error is logged once for as long as it is the same one."""
        try:
            do()
            self._told.pop(what, None)
        except LeaseLost:
            raise
        except Exception as error:
            if self._told.get(what) != str(error):
                log.exception("retraining: %s failed; it is tried again", what)
            self._told[what] = str(error)


def _acts(kept: Kept, now: datetime) -> bool:
    """Whether the manager has something to do or to say, beside having looked."""
    state, events = step(kept.policy, kept.state, max(now, kept.state.looked))
    return bool(events) or replace(state, looked=kept.state.looked) != kept.state
