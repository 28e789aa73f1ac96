"""The tables, one schema for SQLite and PostgreSQL. Migrations create them; a test holds the two together."""

from __future__ import annotations

from seatrial.store.schema.alerts import alerts, deliveries
from seatrial.store.schema.base import UtcTime, metadata
from seatrial.store.schema.governance import ci_runs, drills, incidents, recall_marks, recalls
from seatrial.store.schema.records import audit, audit_head, leases, people, settings
from seatrial.store.schema.registry import models, pointer_moves, pointers, versions
from seatrial.store.schema.releases import decisions, follow_ups, homecomings, reconciliations, rollouts, standby_times

__all__ = [
    "UtcTime",
    "alerts",
    "audit",
    "audit_head",
    "ci_runs",
    "decisions",
    "deliveries",
    "drills",
    "follow_ups",
    "homecomings",
    "incidents",
    "leases",
    "metadata",
    "models",
    "people",
    "pointer_moves",
    "pointers",
    "recall_marks",
    "recalls",
    "reconciliations",
    "rollouts",
    "settings",
    "standby_times",
    "versions",
]
