"""Changes of models: what was approved as a whole, envelopes, locked test sets, tickets of re-validation."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, Table, Text

from seatrial.store.schema.base import UtcTime, metadata

# Rows are added, never changed. ``rollout``: the release that it was approved for; none where somebody declared it.
change_baselines: Final = Table(
    "change_baselines",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("rollout", Text, ForeignKey("rollouts.id")),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.number"]),
)

# Rows are added, never changed: the last one of a model is in force.
change_envelopes: Final = Table(
    "change_envelopes",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False, index=True),
    Column("digest", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# ``hashes`` is the digest of an artifact that holds one hash a row; ``fields`` are its columns, as JSON.
test_sets: Final = Table(
    "test_sets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("fields", Text, nullable=False),
    Column("hashes", Text, nullable=False),
    Column("use_limit", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("retired_at", UtcTime),
    Column("retired_by", Text, nullable=False),
    Column("retirement", Text, nullable=False),
)

test_set_uses: Final = Table(
    "test_set_uses",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("test_set", Text, ForeignKey("test_sets.id"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("purpose", Text, nullable=False),
)

tickets: Final = Table(
    "tickets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, ForeignKey("models.name"), nullable=False, index=True),
    Column("key", Text, nullable=False, index=True),
    Column("opened_at", UtcTime, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("closed_at", UtcTime),
    Column("closed_by", Text, nullable=False),
    Column("resolution", Text, nullable=False),
)
