"""The version that changes of a model are held against: the last one that was approved as a whole.

A release of a small change does not move it, so that small changes add up to a material one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from seatrial.errors import UsageError
from seatrial.ids import ModelName, VersionNumber
from seatrial.store.canonical import iso_z
from seatrial.store.changes import Baseline
from seatrial.store.db import Transaction


def baseline_of(tx: Transaction, model: str) -> Baseline | None:
    """None where no version was ever approved as a whole. Raises NotFound for a model that is not known."""
    tx.models.get_model(model)
    found = (one for one in reversed(tx.changes.baselines(model)) if _holds(tx, one))
    return next(found, None)


def note_approved(tx: Transaction, model: str, version: int, rollout: str, *, actor: str, now: datetime) -> None:
    """A rollout begins with all approvals of a material change: once it is promoted, this version is the baseline."""
    made = Baseline(ModelName(model), VersionNumber(version), rollout, now, actor, "approved as a whole")
    tx.changes.add_baseline(made, {})


def set_baseline(tx: Transaction, model: str, version: int, *, reason: str, actor: str, now: datetime) -> None:
    """Hold changes against another version from now on: one whose review is on record elsewhere.

    Raises UsageError (ST1403) without a reason, NotFound for a version that is not there.
    """
    if not reason.strip():
        raise UsageError(
            "ST1403", f"'{model}' v{version} is to count as approved, and nobody says where that is on record.",
            remedy="Say so: --reason 'MRM-2026-017, minutes of 3 March'.",
        )  # fmt: skip
    number, before = tx.models.get_version(model, version).number, baseline_of(tx, model)
    made = Baseline(ModelName(model), number, None, now, actor, reason)
    tx.changes.add_baseline(made, {"before": None if before is None else before.version})


def baseline_document(tx: Transaction, model: str) -> dict[str, Any]:
    """``seatrial.change_baseline.v1``"""
    found = baseline_of(tx, model)
    return {
        "schema": "seatrial.change_baseline.v1",
        "model": model,
        "version": None if found is None else found.version,
        "rollout": None if found is None else found.rollout,
        "by": None if found is None else found.actor,
        "reason": None if found is None else found.reason,
        "at": None if found is None else iso_z(found.at),
    }


def _holds(tx: Transaction, baseline: Baseline) -> bool:
    """Whether users got it; what was approved and then failed its rollout is not what the next one is held against."""
    return baseline.rollout is None or tx.rollouts.get(baseline.rollout).status == "promoted"
