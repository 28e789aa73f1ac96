"""Requests for approval and what was done about them; added to, never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from seatrial.errors import NotFound
from seatrial.governance.approvals.acts import Act, Request, Reviewed
from seatrial.ids import Digest
from seatrial.registry.people import Role
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc, canonical, iso_z
from seatrial.store.schema import approval_acts, approval_requests

PREFIX = "a-"


class Approvals:
    """Inside the caller's transaction; every act is in the audit log as well."""

    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    def ask(self, request: Request) -> Request:
        """Keep a request under the next id (``a-0001``)."""
        count = self._db.execute(select(func.count()).select_from(approval_requests)).scalar() or 0
        made = replace(request, id=f"{PREFIX}{count + 1:04d}", requested_at=as_utc(request.requested_at))
        document = {"authors": made.authors, "reason": made.reason, "detail": dict(made.detail)}
        columns = ("id", "kind", "model", "version", "subject", "rollout", "requested_by", "requested_at")
        row = {name: getattr(made, name) for name in columns}
        self._db.execute(insert(approval_requests).values(**row, document=canonical(document)))
        told = {"kind": made.kind, "model": made.model, "version": made.version, "rollout": made.rollout,
                "authors": made.authors, "reason": made.reason}  # fmt: skip
        self._audit.append(made.requested_by, "approval.request", made.id, told, made.requested_at)
        return made

    def add(self, request: str, act: Act) -> Act:
        """Keep an act, which gets its number."""
        row = {"request": request, "kind": act.kind, "actor": act.by, "at": as_utc(act.at), "rollout": act.rollout}
        told = _document(act)
        seq = self._db.execute(insert(approval_acts).values(**row, document=canonical(told))).inserted_primary_key
        assert seq is not None
        detail = {name: value for name, value in told.items() if value not in (None, "")}
        self._audit.append(
            act.by, f"approval.{act.kind}", request, {**detail, "act": seq[0], "rollout": act.rollout}, act.at
        )
        return replace(act, seq=seq[0], at=as_utc(act.at))

    def get(self, id: str) -> Request:
        """Raises NotFound (ST1457)."""
        row = self._db.execute(select(approval_requests).where(approval_requests.c.id == id)).first()
        if row is None:
            raise NotFound("ST1457", f"there is no approval request {id!r}.", remedy="See `seatrial approvals list`.")
        return _request(row)

    def list(self, model: str | None = None, *, rollout: str | None = None) -> tuple[Request, ...]:
        """Oldest first; of one model, or of one rollout's stages."""
        query = select(approval_requests).order_by(approval_requests.c.id)
        if model is not None:
            query = query.where(approval_requests.c.model == model)
        if rollout is not None:
            query = query.where(approval_requests.c.rollout == rollout)
        return tuple(map(_request, self._db.execute(query)))

    def unsettled(self) -> tuple[Request, ...]:
        """Requests for a release that did not begin by them and that nobody closed; and, as they are few, all by which
        one ever began in an emergency. Oldest first."""
        acts = select(approval_acts.c.seq).where(approval_acts.c.request == approval_requests.c.id)
        ended = acts.where(approval_acts.c.kind.in_(("start", "close"))).exists()
        emergency = acts.where(approval_acts.c.kind == "break_glass").exists()
        query = select(approval_requests).where(approval_requests.c.kind == "release", ~ended | emergency)
        return tuple(map(_request, self._db.execute(query.order_by(approval_requests.c.id))))

    def acts(self, id: str) -> tuple[Act, ...]:
        """In the order in which they were done."""
        query = select(approval_acts).where(approval_acts.c.request == id).order_by(approval_acts.c.seq)
        return tuple(map(_act, self._db.execute(query)))

    def begun_by(self, rollout: str) -> Request | None:
        """The request by which a rollout began; None where nobody had to be asked."""
        query = select(approval_acts.c.request).where(
            approval_acts.c.rollout == rollout, approval_acts.c.kind == "start"
        )
        found = self._db.execute(query).scalar()
        return None if found is None else self.get(found)


def _document(act: Act) -> dict[str, Any]:
    reviewed = act.reviewed
    return {
        "role": None if act.role is None else act.role.value,
        "meaning": act.meaning,
        "reason": act.reason,
        "digest": None if reviewed is None else reviewed.digest,
        "parts": None if reviewed is None else dict(reviewed.parts),
        "of": act.of,
        "until": None if act.until is None else iso_z(act.until),
        "due": None if act.due is None else iso_z(act.due),
    }


def _request(row: Row[Any]) -> Request:
    columns = {**row._mapping}
    document = json.loads(columns.pop("document"))
    return Request(**columns, **{**document, "authors": tuple(document["authors"])})


def _act(row: Row[Any]) -> Act:
    told: Mapping[str, Any] = json.loads(row.document)
    digest = told["digest"]
    return Act(
        seq=row.seq, kind=row.kind, by=row.actor, at=row.at,
        role=None if told["role"] is None else Role(told["role"]),
        meaning=told["meaning"], reason=told["reason"], of=told["of"], rollout=row.rollout,
        reviewed=None if digest is None else Reviewed(Digest(digest), told["parts"]),
        until=_time(told["until"]), due=_time(told["due"]),
    )  # fmt: skip


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
