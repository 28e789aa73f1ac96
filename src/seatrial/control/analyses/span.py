"""Spans and times as people write them: ``30d``, ``2026-03-01``, ``2026-03-01T12:00Z``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from seatrial.errors import UsageError
from seatrial.instants import instant
from seatrial.values import Duration

CENTURY_S: Final = 100 * 365.25 * 86_400


def span_of(text: str, option: str) -> Duration:
    """A span that is not empty, of a century at most. Raises UsageError (ST0358)."""
    try:
        found = Duration.parse(text)
    except ValueError:
        found = Duration(0.0)
    if not 0 < found.seconds <= CENTURY_S:
        raise UsageError("ST0358", f"{option}: '{text}' is not a span of time.", remedy=f"e.g. {option} 1h or 30d")
    return found


def moment_of(text: str, option: str) -> datetime:
    """A time in ISO 8601; without a zone it is UTC. Raises UsageError (ST0359)."""
    try:
        return instant(text, zone=UTC)
    except ValueError:
        raise UsageError(
            "ST0359", f"{option}: '{text}' is not a time.", remedy=f"e.g. {option} 2026-03-01 or 2026-03-01T12:00Z"
        ) from None


def since_of(text: str, now: datetime, option: str = "--since") -> datetime:
    """A span before ``now``, or a time before it. Raises UsageError (ST0358, ST0359)."""
    if "-" not in text:
        return now - span_of(text, option).delta
    found = moment_of(text, option)
    if found >= now:
        raise UsageError(
            "ST0359", f"{option}: {text} is not before now ({now:%Y-%m-%d %H:%M}).", remedy="A time that has passed."
        )
    return found
