"""Requests for approval, and what people did about each of them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, Table, Text

from seatrial.store.schema.base import UtcTime, metadata

approval_requests: Final = Table(
    "approval_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("subject", Text, nullable=False),
    Column("rollout", Text, ForeignKey("rollouts.id"), index=True),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("document", Text, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.number"]),
)

# Rows are added, never changed: a signature that ends does so by another act, or by what it was about.
approval_acts: Final = Table(
    "approval_acts",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("request", Text, ForeignKey("approval_requests.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("rollout", Text, ForeignKey("rollouts.id"), index=True),
    Column("document", Text, nullable=False),
)
