"""Rollouts, what was decided, what followed, and how fast the way home was."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, ForeignKeyConstraint, Index, Integer, Table, Text, text

from seatrial.store.schema.base import UtcTime, metadata

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

Index("ix_rollouts_model", rollouts.c.model)

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
