"""The flights of 2013 out of New York as a stream of requests and late outcomes.

A request is made at the *scheduled departure* of a flight (``event_time``): will it arrive more than 15 minutes late?
It knows the timetable and the weather of the hour before (the observation of the departure hour itself may be made
after departure). The outcome is known when the flight is at its gate (``outcome_time``); cancelled and diverted flights
never have one. The unit is the aircraft (``tailnum``), which 2,512 cancelled flights never got.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from importlib.resources import as_file, files
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

CATEGORIES = ("carrier", "origin", "dest")
TIMETABLE = ("sched_dep_min", "sched_arr_min", "dow", "distance")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
NUMBERS = TIMETABLE + WEATHER
FEATURES = CATEGORIES + NUMBERS
"""Names of a request's fields, in the order of the model's input."""

LATE_MINUTES = 15


def load(start: date | datetime, end: date | datetime) -> pd.DataFrame:
    """Flights with ``start <= event_time < end`` in time order; a plain date is its midnight in UTC.

    Columns: ``flight_id`` (unique text), ``unit`` (tail number or None), ``event_time`` and ``outcome_time`` (UTC; NaT:
    never), ``delayed`` (nullable boolean), and the ``FEATURES``: times of day in local minutes after midnight, Monday
    is 0, degrees Fahrenheit, miles, miles per hour, inches, millibar; missing weather is NaN.
    """
    since, until = (pd.Timestamp(instant(moment)) for moment in (start, end))
    raw = _read("flights")
    raw = raw[(raw.sched_dep >= since) & (raw.sched_dep < until)]
    local = raw.sched_dep.dt.tz_convert("America/New_York")
    frame = pd.DataFrame(
        {
            "flight_id": _identify(raw),
            "unit": raw.tailnum.astype(object).where(raw.tailnum.notna(), None),
            "event_time": raw.sched_dep,
            "outcome_time": raw.sched_dep + pd.to_timedelta(raw.arrived_after, unit="min"),
            "delayed": (raw.arr_delay > LATE_MINUTES).astype("boolean").mask(raw.arr_delay.isna()),
            **{name: raw[name].astype(object) for name in CATEGORIES},
            "sched_dep_min": local.dt.hour * 60 + local.dt.minute,
            "sched_arr_min": raw.sched_arr.astype(int),
            "dow": local.dt.day_of_week,
            "distance": raw.distance.astype(int),
        }
    )
    return _with_weather(frame)


def request_body(flight: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The request for one flight (a row of :func:`load` as a mapping), in MLflow's ``dataframe_records`` form."""
    return {"dataframe_records": [{name: _plain(flight[name]) for name in FEATURES}]}


def instant(moment: date | datetime) -> datetime:
    """An aware datetime as it is; a plain date as its midnight in UTC."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time(), UTC)
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; write datetime(..., tzinfo=UTC)")
    return moment


def _read(name: str) -> pd.DataFrame:
    with as_file(files("seatrial.demo") / "data" / f"{name}.parquet") as path:
        frame: pd.DataFrame = pd.DataFrame(pq.read_table(path).to_pandas())
    return frame


def _identify(raw: pd.DataFrame) -> pd.Series:
    """``UA1545-EWR-20130101T1015``: carrier, number, origin and scheduled departure (UTC) are unique together."""
    number = raw.carrier.astype(str) + raw.flight.astype(str)
    identity: pd.Series = number + "-" + raw.origin.astype(str) + raw.sched_dep.dt.strftime("-%Y%m%dT%H%M")
    return identity


def _with_weather(frame: pd.DataFrame) -> pd.DataFrame:
    """Join the observation of the hour before the scheduled hour, at the same airport."""
    weather = _read("weather").assign(origin=lambda w: w.origin.astype(object))
    weather["hour"] += pd.Timedelta(hours=1)
    keyed = frame.assign(hour=frame.event_time.dt.floor("h"))
    return keyed.merge(weather, how="left", on=["origin", "hour"], validate="many_to_one").drop(columns="hour")


def _plain(value: Any) -> Any:
    """A value as JSON has it: missing is null, numpy scalars are plain numbers."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value
