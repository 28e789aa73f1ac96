"""Models that are linked to registered models of MLflow, what was published of them, and what was asked for there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.ids import ModelName, RolloutId
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc, canonical
from seatrial.store.schema import (
    decisions,
    mlflow_deliveries,
    mlflow_links,
    mlflow_requests,
    mlflow_versions,
    rollouts,
)

Via = Literal["alias", "tag"]
RequestState = Literal["waiting", "started", "refused"]


@dataclass(frozen=True, slots=True)
class Link:
    """``view``: what was published, as JSON holds it."""

    model: ModelName
    registered: str
    view: Mapping[str, Any]
    linked_at: datetime
    linked_by: str


@dataclass(frozen=True, slots=True)
class MlflowRequest:
    """Somebody asked in MLflow for a rollout. ``number``: the version there; ``via``: by moving the champion's alias
    or by a tag. ``expected``: the version there that the alias was moved away from. ``text``: what came of it.
    """

    seq: int
    model: ModelName
    number: int
    via: Via
    state: RequestState
    expected: int | None
    rollout: RolloutId | None
    text: str
    asked_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class EvidenceDelivery:
    """The evidence of a rollout, on its way to the run of its version."""

    rollout: RolloutId
    decision: int
    run: str
    state: Literal["pending", "delivered"]
    attempts: int
    next_at: datetime
    last_error: str


class Mlflow:
    """Inside the caller's transaction."""

    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    # ── links ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def links(self) -> tuple[Link, ...]:
        """By model."""
        return tuple(map(_link, self._db.execute(select(mlflow_links).order_by(mlflow_links.c.model))))

    def link(self, model: str, registered: str, *, actor: str, now: datetime) -> bool:
        """Link a model; False if it is linked to just this. Raises Conflict (``ST1540``) where either is taken."""
        for known in self.links():
            if (known.model, known.registered) == (model, registered):
                return False
            if known.model == model or known.registered == registered:
                raise Conflict(
                    "ST1540", f"model '{known.model}' is linked to '{known.registered}' of MLflow.",
                    remedy="A model has one registered model, from its first release on.",
                )  # fmt: skip
        row = {"model": model, "registered": registered, "view": "{}", "linked_at": as_utc(now), "linked_by": actor}
        self._db.execute(insert(mlflow_links).values(row))
        self._audit.append(actor, "mlflow.link", model, {"registered": registered}, now)
        return True

    def view(self, model: str) -> Mapping[str, Any]:
        """What is remembered to be published of a linked model."""
        query = select(mlflow_links.c.view).where(mlflow_links.c.model == model)
        found: Mapping[str, Any] = json.loads(self._db.execute(query).scalar_one())
        return found

    def publish(self, model: str, view: Mapping[str, Any]) -> None:
        """Remember what is published of a model, or about to be."""
        self._db.execute(update(mlflow_links).where(mlflow_links.c.model == model).values(view=canonical(view)))

    def bind(self, registered: str, number: int, model: str, version: int, run: str) -> None:
        """A version of a registered model is one of a model here. Raises Conflict (``ST1541``) if it is another one."""
        known = self.numbers(registered)
        if known.get(number) == version:
            return
        if number in known or version in known.values():
            raise Conflict("ST1541", f"{model} v{version} and models:/{registered}/{number} are not both free.",
                           remedy="`seatrial mlflow status` shows which version is which.")  # fmt: skip
        row = {"registered": registered, "number": number, "model": model, "version": version, "run": run}
        self._db.execute(insert(mlflow_versions).values(row))

    def numbers(self, registered: str) -> dict[int, int]:
        """The versions here, by those of the registered model."""
        query = select(mlflow_versions).where(mlflow_versions.c.registered == registered)
        return {row.number: row.version for row in self._db.execute(query.order_by(mlflow_versions.c.number))}

    def run_of(self, model: str, version: int) -> str:
        """The run that made a version; empty if MLflow does not know the version, or the run."""
        query = select(mlflow_versions.c.run)
        query = query.where(mlflow_versions.c.model == model, mlflow_versions.c.version == version)
        return self._db.execute(query).scalar() or ""

    # ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, model: str, number: int, via: Via, *, expected: int | None, now: datetime) -> MlflowRequest:
        """Keep a request that waits for its answer."""
        row = {"model": model, "number": number, "via": via, "state": "waiting", "expected": expected, "text": "",
               "asked_at": as_utc(now)}  # fmt: skip
        made = self._db.execute(insert(mlflow_requests).values(row)).inserted_primary_key
        self._audit.append("mlflow", "mlflow.request", model, {"version": number, "via": via}, now)
        return self.request(0 if made is None else made[0])

    def request(self, seq: int) -> MlflowRequest:
        """Raises NotFound (``ST1542``)."""
        row = self._db.execute(select(mlflow_requests).where(mlflow_requests.c.seq == seq)).first()
        if row is None:
            raise NotFound("ST1542", f"there is no MLflow request {seq}.", remedy="See `seatrial mlflow status`.")
        return MlflowRequest(**row._mapping)

    def requests(self, model: str | None = None, state: RequestState | None = None) -> tuple[MlflowRequest, ...]:
        """Oldest first."""
        query = select(mlflow_requests).order_by(mlflow_requests.c.seq)
        if model is not None:
            query = query.where(mlflow_requests.c.model == model)
        if state is not None:
            query = query.where(mlflow_requests.c.state == state)
        return tuple(MlflowRequest(**row._mapping) for row in self._db.execute(query))

    def answer(
        self, request: MlflowRequest, state: RequestState, text: str, *, rollout: str | None = None, now: datetime
    ) -> bool:
        """Write what came of a request; False if it says so already."""
        if (request.state, request.text, request.rollout) == (state, text, rollout):
            return False
        answered = None if state == "waiting" else as_utc(now)
        values = {"state": state, "text": text, "rollout": rollout, "answered_at": answered}
        self._db.execute(update(mlflow_requests).where(mlflow_requests.c.seq == request.seq).values(values))
        detail = {"version": request.number, "state": state, "text": text, "rollout": rollout}
        self._audit.append("mlflow", "mlflow.answer", request.model, detail, now)
        return True

    # ── evidence on its way ────────────────────────────────────────────────────────────────────────────────────────

    def undelivered(self) -> tuple[EvidenceDelivery, ...]:
        """Rollouts that are over and whose version a run made, up to their last decision, where that is not on its way
        yet. ``next_at``: the time of the decision."""
        each = decisions.alias()
        last = select(func.max(each.c.seq)).where(each.c.rollout == rollouts.c.id).scalar_subquery()
        made = (mlflow_versions.c.model == rollouts.c.model) & (mlflow_versions.c.version == rollouts.c.candidate)
        known = (mlflow_deliveries.c.rollout == rollouts.c.id) & (mlflow_deliveries.c.decision == decisions.c.seq)
        query = (
            select(rollouts.c.id, decisions.c.seq, decisions.c.at, mlflow_versions.c.run)
            .join(mlflow_versions, made)
            .join(decisions, (decisions.c.rollout == rollouts.c.id) & (decisions.c.seq == last))
            .outerjoin(mlflow_deliveries, known)
            .where(~rollouts.c.active, mlflow_versions.c.run != "", mlflow_deliveries.c.rollout.is_(None))
            .order_by(rollouts.c.id)
        )
        return tuple(
            EvidenceDelivery(row.id, row.seq, row.run, "pending", 0, row.at, "") for row in self._db.execute(query)
        )

    def send(self, delivery: EvidenceDelivery) -> None:
        """Have the evidence of a rollout up to a decision delivered."""
        self._db.execute(insert(mlflow_deliveries).values(asdict(delivery)))

    def deliveries(self, rollout: str | None = None, *, pending: bool = False) -> tuple[EvidenceDelivery, ...]:
        """By rollout and decision."""
        query = select(mlflow_deliveries).order_by(mlflow_deliveries.c.rollout, mlflow_deliveries.c.decision)
        if rollout is not None:
            query = query.where(mlflow_deliveries.c.rollout == rollout)
        if pending:
            query = query.where(mlflow_deliveries.c.state == "pending")
        return tuple(_delivery(row) for row in self._db.execute(query))

    def settle(self, delivery: EvidenceDelivery) -> None:
        """Write what came of an attempt."""
        key = (
            mlflow_deliveries.c.rollout == delivery.rollout, mlflow_deliveries.c.decision == delivery.decision,
        )  # fmt: skip
        values = {name: getattr(delivery, name) for name in ("state", "attempts", "next_at", "last_error")}
        self._db.execute(update(mlflow_deliveries).where(*key).values(values))


def _link(row: Row[Any]) -> Link:
    return replace(Link(**row._mapping), view=json.loads(row.view))


def _delivery(row: Row[Any]) -> EvidenceDelivery:
    return EvidenceDelivery(**row._mapping)
