"""What MLflow and this store know of each other."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Integer, Table, Text

from seatrial.store.schema.base import UtcTime, metadata

# The view is what was published of a model, alias by alias and tag by tag: read and written as one.
mlflow_links: Final = Table(
    "mlflow_links",
    metadata,
    Column("model", Text, ForeignKey("models.name"), primary_key=True),
    Column("registered", Text, nullable=False, unique=True),
    Column("view", Text, nullable=False),
    Column("linked_at", UtcTime, nullable=False),
    Column("linked_by", Text, nullable=False),
)

mlflow_versions: Final = Table(
    "mlflow_versions",
    metadata,
    Column("registered", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("run", Text, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.number"]),
    Index("ix_mlflow_versions_model_version", "model", "version"),
)

mlflow_requests: Final = Table(
    "mlflow_requests",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("via", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("expected", Integer),
    Column("rollout", Text, ForeignKey("rollouts.id")),
    Column("text", Text, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("answered_at", UtcTime),
)

mlflow_deliveries: Final = Table(
    "mlflow_deliveries",
    metadata,
    Column("rollout", Text, ForeignKey("rollouts.id"), primary_key=True),
    Column("decision", Integer, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcTime, nullable=False),
    Column("last_error", Text, nullable=False),
)
