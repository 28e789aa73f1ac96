"""Five fields of cron, in UTC: no hour of the year is there twice and none is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from seatrial.instants import in_utc

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_WORDS = ("minute", "hour", "day of the month", "month", "day of the week")
_PART = re.compile(r"(\*|\d+(?:-\d+)?)(?:/(\d+))?")
_YEARS = 9
"""Between two leap days there are up to eight years; a day that does not come in nine never does."""


@dataclass(frozen=True, slots=True)
class Cron:
    """Minutes, hours, days, months and weekdays (0 is Sunday) at which something is due.

    As in cron, where both a day of the month and a weekday are limited, either will do.

    >>> cron = Cron.parse("0 2 * * 0")
    >>> cron.after(datetime(2026, 3, 7, tzinfo=UTC)).isoformat()
    '2026-03-08T02:00:00+00:00'
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Lists, ranges and steps: ``*/15 8-18 * * 1-5``. Raises ValueError, also for a day that never comes."""
        fields = text.split()
        if len(fields) != len(_RANGES):
            raise ValueError(f"'{text}' has {len(fields)} fields; cron has five: {', '.join(_WORDS)}")
        sets = [_field(field, limits, word) for field, limits, word in zip(fields, _RANGES, _WORDS, strict=True)]
        weekdays = frozenset(day % 7 for day in sets[4])
        either = not (fields[2].startswith("*") or fields[4].startswith("*"))
        found = cls(" ".join(fields), sets[0], sets[1], sets[2], sets[3], weekdays, either)
        if found._next_day(datetime(2023, 1, 1, tzinfo=UTC)) is None:
            raise ValueError(f"'{text}' never comes: there is no such day")
        return found

    def after(self, moment: datetime) -> datetime:
        """The first time after a moment, in UTC. Raises ValueError for a moment without a zone."""
        start = _minute(moment) + timedelta(minutes=1)
        day = self._next_day(start)
        while day is not None:
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    found = day.replace(hour=hour, minute=minute)
                    if found >= start:
                        return found
            day = self._next_day(day.replace(hour=0, minute=0) + timedelta(days=1))
        raise AssertionError("parse has shown that such a day comes")

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Every time in (after, until], in order."""
        due = self.after(after)
        while due <= until:
            yield due
            due = self.after(due)

    def _next_day(self, day: datetime) -> datetime | None:
        for _ in range(_YEARS * 366):
            weekday = (day.weekday() + 1) % 7
            fits = (day.day in self.days, weekday in self.weekdays)
            if day.month in self.months and (any(fits) if self.either else all(fits)):
                return day
            day = day.replace(hour=0, minute=0) + timedelta(days=1)
        return None


def _minute(moment: datetime) -> datetime:
    return in_utc(moment).replace(second=0, microsecond=0)


def _field(text: str, limits: tuple[int, int], word: str) -> frozenset[int]:
    low, high = limits
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"'{part}' is no {word}")
        ends, step = match[1], int(match[2] or 1)
        first, _, last = ends.partition("-")
        start = low if ends == "*" else int(first)
        # `5/10` is from 5 to the end, as in every cron that knows it.
        stop = high if ends == "*" or (match[2] and not last) else int(last or first)
        if not (low <= start <= stop <= high and step > 0):
            raise ValueError(f"'{part}' is no {word}: it is from {low} to {high}")
        found.update(range(start, stop + 1, step))
    return frozenset(found)
