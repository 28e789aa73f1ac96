"""Moments at the edges of the calendar, and those nobody can place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.control.clock import aware
from seatrial.errors import UsageError
from seatrial.instants import in_utc, instant
from seatrial.store.canonical import as_utc

OUTSIDE = ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"]
ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


@pytest.mark.parametrize("text", OUTSIDE)
def test_a_moment_that_its_offset_carries_out_of_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        instant(text)
    with pytest.raises(UsageError, match=r"ST0601 .* outside the years"):
        as_utc(datetime.fromisoformat(text))
    with pytest.raises(UsageError, match=r"ST0811 .* outside the years"):
        aware(text)


@pytest.mark.parametrize("text", ["0001-01-01T05:00:00+05:00", "9999-12-31T18:59:59-05:00"])
def test_the_first_and_the_last_moment_are_taken(text: str) -> None:
    assert instant(text).year in (1, 9999)


@given(st.datetimes(timezones=ZONES))
def test_it_is_the_same_instant_or_refused(moment: datetime) -> None:
    try:
        found = in_utc(moment)
    except ValueError:
        assert moment.year in (1, 9999)
    else:
        assert (found, found.tzinfo) == (moment, UTC)


def test_without_a_zone_nobody_knows_when_that_is() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        instant("2026-03-01T12:00:00")
    assert instant("2026-03-01T12:00:00", zone=UTC) == datetime(2026, 3, 1, 12, tzinfo=UTC)
