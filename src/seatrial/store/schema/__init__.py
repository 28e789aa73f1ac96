"""The tables, one schema for SQLite and PostgreSQL. Migrations create them; a test holds the two together."""

from __future__ import annotations

from seatrial.store.schema.alerts import alerts, deliveries
from seatrial.store.schema.approvals import approval_acts, approval_requests
from seatrial.store.schema.base import UtcTime, metadata
from seatrial.store.schema.changes import change_baselines, change_envelopes, test_set_uses, test_sets, tickets
from seatrial.store.schema.governance import ci_runs, drills, incidents, recall_marks, recalls
from seatrial.store.schema.mlflow import mlflow_deliveries, mlflow_links, mlflow_requests, mlflow_versions
from seatrial.store.schema.records import audit, audit_head, leases, people, settings
from seatrial.store.schema.registry import models, pointer_moves, pointers, versions
from seatrial.store.schema.releases import decisions, follow_ups, homecomings, reconciliations, rollouts, standby_times
from seatrial.store.schema.training import retraining, training_events, training_runs

__all__ = [
    "UtcTime",
    "alerts",
    "approval_acts",
    "approval_requests",
    "audit",
    "audit_head",
    "change_baselines",
    "change_envelopes",
    "ci_runs",
    "decisions",
    "deliveries",
    "drills",
    "follow_ups",
    "homecomings",
    "incidents",
    "leases",
    "metadata",
    "mlflow_deliveries",
    "mlflow_links",
    "mlflow_requests",
    "mlflow_versions",
    "models",
    "people",
    "pointer_moves",
    "pointers",
    "recall_marks",
    "recalls",
    "reconciliations",
    "retraining",
    "rollouts",
    "settings",
    "standby_times",
    "test_set_uses",
    "test_sets",
    "tickets",
    "training_events",
    "training_runs",
    "versions",
]
