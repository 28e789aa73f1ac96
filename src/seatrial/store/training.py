"""Retraining policies with the state of their managers, what the managers did, and training runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.store.canonical import as_utc, canonical
from seatrial.store.schema import retraining, training_events, training_runs


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """``policy``: the YAML as somebody wrote it; ``state``: the manager's, as JSON."""

    model: str
    policy: str
    state: Mapping[str, Any]
    set_at: datetime
    set_by: str


@dataclass(frozen=True, slots=True)
class StoredRun:
    """``number``: among the model's own runs, as its manager counts; ``revision`` rises with every save."""

    id: str
    model: str
    number: int
    status: str
    started_at: datetime
    revision: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    seq: int
    model: str
    at: datetime
    what: str
    document: Mapping[str, Any]


class Training:
    """Everything about retraining, inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    # ── policies ───────────────────────────────────────────────────────────────────────────────────────────────────

    def policies(self) -> tuple[StoredPolicy, ...]:
        """By name of the model."""
        return tuple(_policy(row) for row in self._db.execute(select(retraining).order_by(retraining.c.model)))

    def policy(self, model: str) -> StoredPolicy:
        """Raises NotFound (ST1300)."""
        row = self._db.execute(select(retraining).where(retraining.c.model == model)).first()
        if row is None:
            raise NotFound(
                "ST1300", f"model '{model}' has no retraining policy.",
                remedy=f"`seatrial trigger set {model} POLICY.yaml`; `seatrial trigger templates` shows some.",
            )  # fmt: skip
        return _policy(row)

    def put_policy(self, model: str, policy: str, state: Mapping[str, Any], *, actor: str, now: datetime) -> None:
        values = {"policy": policy, "state": canonical(state), "set_at": as_utc(now), "set_by": actor}
        there = update(retraining).where(retraining.c.model == model).values(**values)
        if self._db.execute(there).rowcount == 0:
            self._db.execute(insert(retraining).values(model=model, **values))

    def put_state(self, model: str, state: Mapping[str, Any]) -> None:
        self._db.execute(update(retraining).where(retraining.c.model == model).values(state=canonical(state)))

    # ── events ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_event(self, model: str, at: datetime, what: str, document: Mapping[str, Any]) -> None:
        row = {"model": model, "at": as_utc(at), "what": what, "document": canonical(document)}
        self._db.execute(insert(training_events).values(**row))

    def events(self, model: str, *, last: int | None = None) -> tuple[StoredEvent, ...]:
        """Oldest first; ``last``: only that many, the latest ones."""
        query = select(training_events).where(training_events.c.model == model).order_by(training_events.c.seq.desc())
        rows = self._db.execute(query if last is None else query.limit(last)).all()
        return tuple(
            StoredEvent(row.seq, row.model, row.at, row.what, json.loads(row.document)) for row in reversed(rows)
        )

    # ── runs ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_run(self, model: str, number: int, at: datetime, status: str, document: Mapping[str, Any]) -> StoredRun:
        """A new run under the next id: ``t-0001``."""
        count = self._db.execute(select(func.count()).select_from(training_runs)).scalar_one()
        id = f"t-{count + 1:04d}"
        row = {"id": id, "model": model, "number": number, "status": status, "started_at": as_utc(at), "revision": 1}
        self._db.execute(insert(training_runs).values(**row, document=canonical(document)))
        return self.run(id)

    def run(self, id: str) -> StoredRun:
        """Raises NotFound (ST1301)."""
        row = self._db.execute(select(training_runs).where(training_runs.c.id == id)).first()
        if row is None:
            raise NotFound("ST1301", f"there is no training run '{id}'.", remedy="See `seatrial retrain list`.")
        return _run(row)

    def run_of(self, model: str, number: int) -> StoredRun | None:
        """The run that a manager counts as this one."""
        query = select(training_runs).where(training_runs.c.model == model, training_runs.c.number == number)
        row = self._db.execute(query).first()
        return None if row is None else _run(row)

    def runs(self, model: str | None = None) -> tuple[StoredRun, ...]:
        """Oldest first."""
        query = select(training_runs).order_by(training_runs.c.started_at, training_runs.c.id)
        if model is not None:
            query = query.where(training_runs.c.model == model)
        return tuple(_run(row) for row in self._db.execute(query))

    def save_run(self, run: StoredRun, status: str, document: Mapping[str, Any]) -> StoredRun:
        """Over the revision that was read; ``Conflict`` (ST1302) if somebody else saved it since."""
        change = (
            update(training_runs)
            .where(training_runs.c.id == run.id, training_runs.c.revision == run.revision)
            .values(status=status, revision=run.revision + 1, document=canonical(document))
        )
        if self._db.execute(change).rowcount == 0:
            raise Conflict("ST1302", f"training run {run.id} was changed by somebody else meanwhile.",
                           remedy="See `seatrial retrain status`.")  # fmt: skip
        return self.run(run.id)


def _policy(row: Row[Any]) -> StoredPolicy:
    return StoredPolicy(row.model, row.policy, json.loads(row.state), row.set_at, row.set_by)


def _run(row: Row[Any]) -> StoredRun:
    return StoredRun(**{**row._mapping, "document": json.loads(row.document)})
