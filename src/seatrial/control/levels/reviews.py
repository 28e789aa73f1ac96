"""Requests that wait for a person: listed, shown and decided, each decision on the record."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from seatrial.control.documents.views import Document, listing
from seatrial.control.project import Project
from seatrial.errors import NotFound
from seatrial.serving.review_queue import Review, ReviewQueue
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store

AS_SENT: Final = frozenset({"path", "contentType", "body", "base64"})
"""What a review has of the request itself."""


def listed(project: Project, *, model: str | None = None, everything: bool = False) -> Document:
    """Those that wait, oldest first; ``everything``: those that are decided, too."""
    queues = [project.review(model)] if model is not None else _queues(project)
    lines = [
        _line(queue.name, review)
        for queue in queues
        for review in ReviewQueue(queue).reviews()
        if everything or review.decided is None
    ]
    return listing("seatrial.reviews.v1", "reviews", lines)


def shown(project: Project, id: str, *, model: str | None = None) -> Document:
    """One request with its body. Raises NotFound."""
    name, review = _find(project, id, [model] if model is not None else None)
    asked = review.asked
    body = {"path": asked.path, "contentType": asked.type, "body": asked.body, "base64": asked.encoded}
    return {"schema": "seatrial.review.v1", **_line(name, review), **body}


def decide(
    project: Project, store: Store, id: str, decision: str, *, reason: str, actor: str, now: datetime
) -> Document:
    """Raises Conflict if somebody was faster, NotFound, UsageError. On disk first, then in the audit log."""
    model, _ = _find(project, id)
    review = ReviewQueue(project.review(model)).decide(id, decision, reason=reason, actor=actor, now=now)
    with store.begin() as tx:
        tx.audit.append(actor, "review.decide", f"{model}/{id}", {"decision": decision, "reason": reason}, now)
    return {"schema": "seatrial.review.v1", **_line(model, review)}


def _find(project: Project, id: str, models: Iterable[str] | None = None) -> tuple[str, Review]:
    for queue in _queues(project) if models is None else map(project.review, models):
        try:
            return queue.name, ReviewQueue(queue).get(id)
        except NotFound:
            continue
    raise NotFound("ST0775", f"there is no review '{id}'.", remedy="`seatrial review list` names them.")


def _queues(project: Project) -> list[Path]:
    return sorted(path for path in project.review("x").parent.glob("*") if path.is_dir())


def _line(model: str, review: Review) -> Document:
    asked, decided = review.asked, review.decided
    return {
        "id": asked.id,
        "model": model,
        "time": iso_z(asked.time),
        "unit": asked.unit,
        "decision": "pending" if decided is None else decided.decision,
        "reason": None if decided is None else decided.reason,
        "actor": None if decided is None else decided.actor,
        "decidedAt": None if decided is None else iso_z(decided.time),
    }
