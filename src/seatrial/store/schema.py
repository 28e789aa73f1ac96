"""The tables, one schema for SQLite and PostgreSQL. Migrations create them; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

from seatrial.store.canonical import as_utc

if TYPE_CHECKING:
    _Times = TypeDecorator[datetime]
else:
    _Times = TypeDecorator


class UtcTime(_Times):
    """Aware times, stored in UTC and read back in UTC on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else as_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

models: Final = Table(
    "models",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("unit_header", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("contract", Text, nullable=False, server_default="{}"),
    Column("safety", Text, nullable=False, server_default="{}"),
)

versions: Final = Table(
    "versions",
    metadata,
    Column("model", Text, ForeignKey("models.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("stage", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("lineage", Text),
    Column("serving", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", Text, nullable=False),
)

# A model has at most one version in Production, whoever writes.
Index(
    "uq_versions_production",
    versions.c.model,
    unique=True,
    sqlite_where=text("stage = 'Production'"),
    postgresql_where=text("stage = 'Production'"),
)

pointers: Final = Table(
    "pointers",
    metadata,
    Column("model", Text, ForeignKey("models.name"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("moved_at", UtcTime, nullable=False),
    Column("moved_by", Text, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.number"]),
)

pointer_moves: Final = Table(
    "pointer_moves",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False),
    Column("name", Text, nullable=False),
    Column("from_version", Integer),
    Column("to_version", Integer),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_pointer_moves_model_name", "model", "name"),
)

rollouts: Final = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("candidate", Integer, nullable=False),
    Column("champion", Integer, nullable=False),
    Column("plan", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    ForeignKeyConstraint(["model", "candidate"], ["versions.model", "versions.number"]),
    ForeignKeyConstraint(["model", "champion"], ["versions.model", "versions.number"]),
)

# A model has at most one active rollout, whoever writes.
Index(
    "uq_rollouts_active",
    rollouts.c.model,
    unique=True,
    sqlite_where=text("active"),
    postgresql_where=text("active"),
)

decisions: Final = Table(
    "decisions",
    metadata,
    Column("rollout", Text, ForeignKey("rollouts.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("action", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("step", Integer),
    Column("document", Text, nullable=False),
    Column("evidence_digest", Text),
    Column("given", Text),
)

# Everything here is text that is hashed as it stands, so no change of a byte is a change of format only.
audit: Final = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

# Where the chain ends, kept apart from it: without this, entries cut off at the end would not be missed.
audit_head: Final = Table(
    "audit_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)

settings: Final = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    Column("fence", Integer, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

# Tokens are kept as digests: whoever reads the store cannot act in somebody's name.
people: Final = Table(
    "people",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("token_digest", Text, nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", UtcTime),
)

alerts: Final = Table(
    "alerts",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

# One row an alert and target, so that one receiver that is down keeps nothing from the others.
deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("alert", Integer, ForeignKey("alerts.seq"), primary_key=True),
    Column("target", Text, primary_key=True),
    Column("state", Text, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcTime, nullable=False),
    Column("last_error", Text, nullable=False),
)

# Rollouts that are followed after their end. The event log is kept as long as one of them needs it.
follow_ups: Final = Table(
    "follow_ups",
    metadata,
    Column("rollout", Text, ForeignKey("rollouts.id"), primary_key=True),
    Column("model", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("next_at", UtcTime),
    Column("document", Text, nullable=False),
)

reconciliations: Final = Table(
    "reconciliations",
    metadata,
    Column("rollout", Text, ForeignKey("rollouts.id"), primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("document", Text, nullable=False),
)

incidents: Final = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("rollout", Text, ForeignKey("rollouts.id"), nullable=False),
    Column("model", Text, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("document", Text, nullable=False),
    Column("choice", Text),
    Column("reason", Text, nullable=False),
    Column("closed_at", UtcTime),
    Column("closed_by", Text, nullable=False),
)

ci_runs: Final = Table(
    "ci_runs",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), index=True),
    Column("started_at", UtcTime, nullable=False),
    Column("document", Text, nullable=False),
)

recalls: Final = Table(
    "recalls",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("found", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("opened_by", Text, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.number"]),
)

recall_marks: Final = Table(
    "recall_marks",
    metadata,
    Column("recall", Text, ForeignKey("recalls.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
)

# The steps of a drill, its evidence and its review are one document: they are read and written together.
drills: Final = Table(
    "drills",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("document", Text, nullable=False),
)

homecomings: Final = Table(
    "homecomings",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False, index=True),
    Column("rollout", Text, ForeignKey("rollouts.id")),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("document", Text, nullable=False),
)

standby_times: Final = Table(
    "standby_times",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("policy", Text, nullable=False),
    Column("seconds", Float),
    Column("at", UtcTime, nullable=False),
    Column("occasion", Text, nullable=False),
    Column("document", Text, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.number"]),
    Index("ix_standby_times_model_policy", "model", "policy"),
)
