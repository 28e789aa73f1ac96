"""Requests that wait for a person: which, what was decided, and deciding. Their bodies are not told here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from seatrial.api.bodies import ReviewDecision
from seatrial.api.deps import Operator, Wired
from seatrial.control.levels import reviews

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])


@router.get("")
def list_reviews(wired: Wired, model: str | None = None, everything: bool = False) -> dict[str, Any]:
    """Those that wait, oldest first; with ``everything`` those that are decided, too."""
    return reviews.listed(wired.project, model=model, everything=everything)


@router.get("/{review}")
def show(review: str, wired: Wired) -> dict[str, Any]:
    """What became of a request that was answered 202: its decision, or *pending*."""
    document = reviews.shown(wired.project, review)
    return {name: value for name, value in document.items() if name not in reviews.AS_SENT}


@router.post("/{review}/decide")
def decide(review: str, body: ReviewDecision, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Once, and on the record; ``outcome`` and ``value`` report it as an outcome of the request, too."""
    outcome = None if body.outcome is None or body.value is None else (body.outcome, body.value)
    return wired.operations.decide_review(
        review, body.decision, reason=body.reason, actor=caller.name, outcome=outcome
    )  # fmt: skip
