"""Versions that were approved as a whole, and envelopes of declared changes; rows are added, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc
from seatrial.store.schema import change_baselines, change_envelopes


@dataclass(frozen=True, slots=True)
class Baseline:
    """A version that changes are held against. ``rollout``: once this is promoted; None: somebody said so."""

    model: ModelName
    version: VersionNumber
    rollout: str | None
    at: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredEnvelope:
    """``document`` is the YAML text as it was declared, ``digest`` of its canonical JSON."""

    model: ModelName
    digest: Digest
    document: str
    at: datetime
    actor: str
    reason: str


class Changes:
    """Inside the caller's transaction."""

    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    def add_baseline(self, baseline: Baseline, detail: Mapping[str, Any]) -> None:
        """Audited with ``detail``."""
        self._db.execute(insert(change_baselines).values({**asdict(baseline), "at": as_utc(baseline.at)}))
        told = {"version": baseline.version, "rollout": baseline.rollout, "reason": baseline.reason, **detail}
        self._audit.append(baseline.actor, "change.baseline", baseline.model, told, baseline.at)

    def baselines(self, model: str) -> tuple[Baseline, ...]:
        """All that were noted, oldest first, also those whose rollout came to nothing."""
        found = change_baselines
        query = select(*(found.c[name] for name in Baseline.__slots__)).where(found.c.model == model)
        return tuple(Baseline(**row._mapping) for row in self._db.execute(query.order_by(found.c.seq)))

    def set_envelope(self, envelope: StoredEnvelope) -> None:
        """From now on in force. Audited with its digest and the one before."""
        before = self.envelope(envelope.model)
        self._db.execute(insert(change_envelopes).values({**asdict(envelope), "at": as_utc(envelope.at)}))
        told = {"digest": envelope.digest, "before": before and before.digest, "reason": envelope.reason}
        self._audit.append(envelope.actor, "change.envelope", envelope.model, told, envelope.at)

    def envelope(self, model: str) -> StoredEnvelope | None:
        """The one in force."""
        found = change_envelopes
        query = select(*(found.c[name] for name in StoredEnvelope.__slots__)).where(found.c.model == model)
        row = self._db.execute(query.order_by(found.c.seq.desc()).limit(1)).first()
        return None if row is None else StoredEnvelope(**row._mapping)
