"""Incidents, CI runs, recalls and drills."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, Table, Text

from seatrial.store.schema.base import UtcTime, metadata

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
