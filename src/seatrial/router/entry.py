"""A request and its answer as a line of the capture log, field by field as Envoy writes it (``envoy_listeners``)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from seatrial.gateway.routes import Backend
from seatrial.router.places import NOBODY, Assignment

BODY_BYTES: Final = 16_384
"""Of a longer body only its length is kept, as behind Envoy (``Settings.capture_bytes``)."""

PATH: Final = "/invocations"
_JSON: Final = "application/json"


def entry(
    *,
    request_id: str,
    model: str,
    assignment: Assignment,
    unit: str | None,
    segment: str | None,
    started: float,
    took_s: float,
    code: int,
    attempts: int,
    backend: Backend | None,
    level: str,
    lower: str | None,
    flags: str | None,
    request: str | None,
    answer: str,
    time: datetime | None,
) -> dict[str, Any]:
    """``lower``: why the level is not the first one; ``started``: seconds since 1970; ``time``: event time, in a
    project that replays."""
    compared = assignment.arm != NOBODY
    found: dict[str, Any] = {
        "t": f"{started:.6f}",
        "id": request_id,
        "unit": unit.strip(" \t") if compared and unit is not None else None,
        "segment": segment if compared else None,
        "sampled": None if assignment.sampled is None else str(assignment.sampled),
        "version": None if backend is None else backend.version,
        "attempts": attempts,
        "code": code,
        "flags": flags,
        "us": str(round(took_s * 1_000_000)),
        "method": "POST",
        "path": PATH,
        "et": None if time is None else time.isoformat(),
        "ct": _JSON,
        "rct": _JSON,
        "model": model,
        "rollout": assignment.rollout,
        "phase": None if assignment.phase is None else str(assignment.phase),
        "arm": assignment.arm,
        "level": level,
        "lower": lower,
    }
    bodies = {**({} if request is None else _body("req", request)), **_body("resp", answer)}
    return {**{name: value for name, value in found.items() if value is not None}, "body": bodies}


def _body(name: str, text: str) -> dict[str, str]:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return {name: text} if size <= BODY_BYTES else {f"{name}_cut": str(size)}
