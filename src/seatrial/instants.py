"""Moments as people and machines write them, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def instant(text: str, *, zone: tzinfo | None = None) -> datetime:
    """A moment written in ISO 8601, in UTC; one without an offset is in ``zone``.

    Raises ValueError for any other text, and as ``in_utc`` does.

    >>> instant("2026-03-01T12:00:00+02:00").isoformat()
    '2026-03-01T10:00:00+00:00'
    """
    moment = datetime.fromisoformat(text)
    return in_utc(moment if moment.tzinfo or zone is None else moment.replace(tzinfo=zone))


def in_utc(moment: datetime) -> datetime:
    """The same instant in UTC: in another zone Python adds hours to the clock on the wall, and a day may have 23.

    Raises ValueError for a moment without a zone, and for one that its offset carries out of the years 1 to 9999.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC") from None
