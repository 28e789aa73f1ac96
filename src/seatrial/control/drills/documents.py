"""Drills as documents: where one stands, its evidence, its verdict, and how the way home got faster or slower."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from seatrial.control.documents.views import Document, plain
from seatrial.errors import UsageError
from seatrial.governance.drills.judge import SCHEMA, DrillVerdict, judge
from seatrial.governance.drills.review import Review, missing
from seatrial.governance.drills.schedule import Due
from seatrial.governance.drills.steps import ABOUT, STEPS
from seatrial.store.canonical import iso_z
from seatrial.store.drills import StoredDrill


@cache
def _reviews() -> TypeAdapter[Review]:
    return TypeAdapter(Review)


def review_from(document: object) -> Review:
    """A review as it is written in YAML or sent as JSON. Raises UsageError (ST0378) that names the field."""
    try:
        return _reviews().validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the review"
        raise UsageError(
            "ST0378", f"{where}: {first['msg']}.", remedy="`seatrial drill template` has every field."
        ) from None


def review_of(drill: StoredDrill) -> Review:
    return _reviews().validate_python(drill.document["review"])


def evidence_of(drill: StoredDrill) -> Document:
    """``seatrial.drill-evidence.v1``: all that the verdict rests on."""
    document = drill.document
    return {
        "schema": SCHEMA,
        "drill": drill.id,
        "model": drill.model,
        "startedAt": iso_z(drill.started_at),
        "share": document["share"],
        "targets": document["targets"],
        "steps": document["steps"],
    }


def verdict_document(verdict: DrillVerdict) -> Document:
    """``seatrial.drill-verdict.v1``."""
    return {
        "schema": "seatrial.drill-verdict.v1",
        "drill": verdict.drill,
        "passed": verdict.passed,
        "failed": [criterion.name for criterion in verdict.failed],
        "criteria": [plain(criterion) for criterion in verdict.criteria],
    }


def drill_document(drill: StoredDrill) -> Document:
    """``seatrial.drill.v1``: every step with its evidence, the verdict once it is over, and the review."""
    document, over = drill.document, drill.status in ("passed", "failed")
    verdict, review = judge(evidence_of(drill)) if over else None, review_of(drill)
    failed = [] if verdict is None else [criterion.name for criterion in verdict.failed]
    step = drill.progress.next
    return {
        "schema": "seatrial.drill.v1",
        "id": drill.id,
        "model": drill.model,
        "status": drill.status,
        "startedAt": iso_z(drill.started_at),
        "endedAt": document["endedAt"],
        "actor": document["actor"],
        "owner": document["owner"],
        "unannounced": document["unannounced"],
        "share": document["share"] / 100,
        "targets": document["targets"],
        "version": document["version"],
        "rollout": document["rollout"],
        "next": None if step is None else {"number": STEPS.index(step) + 1, "name": step, "about": ABOUT[step]},
        "steps": document["steps"],
        "verdict": None if verdict is None else verdict_document(verdict),
        "review": plain(review),
        "missing": missing(review, failed),
        "closed": document["closed"],
    }


def line(drill: StoredDrill) -> Document:
    """One drill in a list, with its times."""
    steps = {step["name"]: step["evidence"] for step in drill.document["steps"]}
    detect, back = steps.get("detect", {}), steps.get("rollback", {})
    return {
        "id": drill.id,
        "model": drill.model,
        "status": drill.status,
        "startedAt": iso_z(drill.started_at),
        "detectedAfter": detect.get("detectedAfter"),
        "zeroAfter": back.get("zeroAfter"),
        "closed": drill.document["closed"] is not None,
        "openActions": len(review_of(drill).open_actions),
    }


def listed(drills: Sequence[StoredDrill], calendar: Iterable[Due], now: datetime) -> Document:
    """``seatrial.drills.v1``: the calendar, all drills, and the times of those that were finished."""
    lines = [line(drill) for drill in drills]
    return {
        "schema": "seatrial.drills.v1",
        "calendar": [_due(due, now) for due in calendar],
        "drills": lines,
        "trend": [trend_row(one) for one in lines if one["status"] in ("passed", "failed")],
    }


def trend_row(line: Mapping[str, Any]) -> Document:
    return {name: line[name] for name in ("id", "model", "startedAt", "status", "detectedAfter", "zeroAfter")}


def _due(due: Due, now: datetime) -> Document:
    """An unannounced drill's time is told when it has come, and not before."""
    come = due.planned if due.planned is not None and due.planned <= now else None
    return {
        "model": due.model,
        "tier": due.tier,
        "every": due.every,
        "last": None if due.last is None else iso_z(due.last),
        "due": iso_z(due.due),
        "overdue": due.overdue,
        "blocks": due.blocks,
        "unannounced": due.planned is not None,
        "planned": None if come is None else iso_z(come),
    }
