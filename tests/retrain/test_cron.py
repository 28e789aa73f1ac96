"""Cron in UTC: leap days come, hours of changing clocks are neither skipped nor doubled, nonsense is refused."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.retrain.cron import Cron

moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@settings(max_examples=60, deadline=None)
@given(
    moments,
    st.sampled_from(["0 * * * *", "*/15 8-18 * * 1-5", "30 2 29 2 *", "0 2 * * 0", "5 4 1,15 * 3", "0 0 31 * *"]),
)
def test_the_next_time_is_later_and_fits(moment: datetime, text: str) -> None:
    cron = Cron.parse(text)
    due = cron.after(moment)
    assert due > moment
    assert due.minute in cron.minutes
    assert due.hour in cron.hours
    assert due.month in cron.months
    assert due.day in cron.days or (due.weekday() + 1) % 7 in cron.weekdays
    assert cron.after(due - timedelta(seconds=1)) == due
    assert list(cron.between(moment, due)) == [due]


def test_nothing_is_left_out_between() -> None:
    cron, start = Cron.parse("*/20 6,18 * * *"), datetime(2026, 2, 27, tzinfo=UTC)
    by_hand = [
        m for i in range(4 * 1440) if (m := start + timedelta(minutes=i + 1)).hour in (6, 18) and m.minute % 20 == 0
    ]
    assert list(cron.between(start, start + timedelta(days=4))) == by_hand


def test_leap_days_and_weekdays() -> None:
    assert Cron.parse("0 2 29 2 *").after(datetime(2096, 3, 1, tzinfo=UTC)).year == 2104, (
        "1900 and 2100 are no leap years"
    )
    assert Cron.parse("0 2 * * 7").weekdays == Cron.parse("0 2 * * 0").weekdays == {0}
    either = Cron.parse("0 0 13 * 5")
    assert [d.day for d in either.between(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC))] == [
        6, 13, 20, 27]  # fmt: skip
    assert len(list(either.between(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 30, tzinfo=UTC)))) == 5


@pytest.mark.parametrize(("day", "length"), [(datetime(2026, 3, 8), 23), (datetime(2026, 11, 1), 25)])
def test_a_change_of_the_clocks_moves_nothing(day: datetime, length: int) -> None:
    new_york = ZoneInfo("America/New_York")
    start, end = (d.replace(tzinfo=new_york) for d in (day, day + timedelta(days=1)))
    hours = list(Cron.parse("0 * * * *").between(start, end))
    assert len(hours) == length, "that day has so many hours there"
    assert all((b - a) == timedelta(hours=1) for a, b in pairwise(hours))


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "* 24 * * *", "0 0 31 2 *", "a * * * *", "5-1 * * * *",
                                  "*/0 * * * *", "0 0 0 * *", "* * * * 8", "@daily"])  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Cron.parse(text)


def test_a_moment_has_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Cron.parse("0 * * * *").after(datetime(2026, 1, 1))
