"""Alerts and where they went."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from seatrial.store.schema.base import UtcTime, metadata

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
