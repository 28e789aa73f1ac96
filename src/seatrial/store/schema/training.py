"""What starts the training of models, what it did, and the runs that came of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from seatrial.store.schema.base import UtcTime, metadata

# A policy and the state of its manager are read and written together: one is nothing without the other.
retraining: Final = Table(
    "retraining",
    metadata,
    Column("model", Text, ForeignKey("models.name"), primary_key=True),
    Column("policy", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("set_at", UtcTime, nullable=False),
    Column("set_by", Text, nullable=False),
)

training_events: Final = Table(
    "training_events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("what", Text, nullable=False),
    Column("document", Text, nullable=False),
)

training_runs: Final = Table(
    "training_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Index("uq_training_runs_model_number", "model", "number", unique=True),
)
