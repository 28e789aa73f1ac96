"""What is released: models, their versions, and which of them is what."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Integer, Table, Text, text

from seatrial.store.schema.base import UtcTime, metadata

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
    Column("signature", Text),
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
