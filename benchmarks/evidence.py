"""Canary evidence of a large log beside DuckDB's scan of the same columns, and what one more hour costs a rollout."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.table import Result, Target
from seatrial.engines.batch import evidence_of, metrics_of
from seatrial.engines.columns import Asked, find_columns
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.engines.inputs import open_log
from seatrial.engines.wide import Split, Units, Wide
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, to_micros
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Segment
from seatrial.values import Duration

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
DAY = 86_400_000_000
DAYS = 14
PHASES = (1, 2, 3, 4)
EXPOSURES_PER_UNIT = 20

SCANNED = ("row", "phase", "arm", "bucket", "time", "error", "latency_us", "seg_country", "clicked")
"""The columns that the statement of the sums reads."""

PLAN = Plan(
    name="bench",
    steps=(),
    segments=(Segment(name="country", field="country"),),
    time_bucket=Duration.parse("1d"),
    look_every=Duration.parse("1h"),
    metrics=(
        Metric(name="clicks", kind="proportion", outcome="clicked", horizon=Duration.parse("24h")),
        Metric(name="errors", kind="error_rate"),
        Metric(name="slow", kind="latency", threshold=Duration.parse("250ms")),
    ),
)

_ROWS = """
SELECT 'r' || n AS request_id, 0::INT AS row, 'r' || n AS outcome_key, 'm' AS model, 'r-1' AS rollout, phase,
       CASE WHEN u % 100 < [1, 10, 25, 50][phase] THEN 'canary' ELSE 'champion' END AS arm, 'u' || u AS unit,
       (u // 100 % 256)::SMALLINT AS bucket, "time", h % 1000 = 0 AS error, (50000 + h % 250000)::BIGINT AS latency_us,
       (h % 997) / 997.0 AS score, ['DE', 'FR', 'IT', 'PL', 'SE'][1 + u % 5] AS seg_country,
       (h % 19 = 0)::DOUBLE AS clicked
FROM (SELECT n, n * 7919 % {units} AS u, (hash(n) >> 20)::BIGINT AS h,
             least(1 + 4 * (n - {first} + {done}) // {all}, 4)::INT AS phase,
             make_timestamptz(({start} + (n - {first}) * {span} // {rows})::BIGINT) AS "time"
      FROM range({first}, {first} + {rows}) numbers(n))
"""
"""Exposures ``first`` to ``first + rows`` over a span of time; the share of the canary rises four times on the way."""


def bench(exposures: int, rounds: int) -> Result:
    """Medians of ``rounds``; the log has one file a day, the rollout a hundredth of the exposures a day."""
    result = Result("evidence", f"Canary evidence of {exposures:,} exposures: 3 metrics, 5 segments, {DAYS} days")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        log = Path(scratch) / "log"
        _write(log, exposures)
        _whole(result, log, exposures, rounds)
        short, long = (_hours(result, Path(scratch) / str(days), exposures // 100, days, rounds) for days in (2, DAYS))
    promise = f"one more hour costs the same after {DAYS} days as after 2 (within 1.5 times)"
    result.targets.append(Target(promise, f"{long / short:.2f} times", long <= 1.5 * short))
    return result


def _rows(first: int, rows: int, *, start: datetime, span: int, done: int, every: int, units: int) -> str:
    return _ROWS.format(
        first=first, rows=rows, start=to_micros(start), span=span, done=done, all=max(every, 1), units=max(units, 1_000)
    )  # fmt: skip


def _write(directory: Path, exposures: int) -> None:
    """Files in order of time, like the parts of an event log."""
    directory.mkdir(parents=True)
    with duckdb.connect() as connection:
        for day in range(DAYS):
            first, last = exposures * day // DAYS, exposures * (day + 1) // DAYS
            rows = _rows(
                first, last - first, start=BEGAN + timedelta(days=day), span=DAY, done=first, every=exposures,
                units=exposures // EXPOSURES_PER_UNIT,
            )  # fmt: skip
            connection.execute(f"COPY ({rows}) TO '{directory}/{day:02}.parquet' (COMPRESSION zstd)")


def _whole(result: Result, log: Path, exposures: int, rounds: int) -> None:
    """The scan, the sums, and the sums with the units."""
    source = open_log(str(log))
    wide = Wide(source, find_columns(PLAN, source.columns, Asked(), "log"), Units())
    splits = [Split(n, 100, str(n)) for n in PHASES]
    at = BEGAN + timedelta(days=DAYS)
    rows = wide.exposures({"champion": "champion", "canary": "canary"}, splits, to_micros(at))
    maxima = ", ".join(f"max({name})::VARCHAR" for name in SCANNED)
    with duckdb.connect() as connection:
        measured = {
            "DuckDB: the largest value of each column (the scan)": lambda: connection.execute(
                f"SELECT {maxima} FROM read_parquet('{log}/*.parquet')"
            ).fetchall(),
            "sums of 3 metrics by phase, day, country, arm and bucket": lambda: metrics_of(wide.run, rows, PLAN, at),
            "all evidence: sums, and first facts of the units": lambda: evidence_of(wide.run, rows, PLAN, PHASES, at),
        }
        seconds = {what: _median(rounds, run) for what, run in measured.items()}
    source.close()
    scan, sums, _ = seconds.values()
    for what, took in seconds.items():
        result.add(what=what, seconds=took, **{"exposures/s": exposures / took, "of the scan": took / scan})
    result.targets.append(Target("sums within 2 times the scan", f"{sums / scan:.2f} times", sums <= 2 * scan))


def _hours(result: Result, root: Path, a_day: int, days: int, rounds: int) -> float:
    """Seconds in which a rollout of some days absorbs one more hour."""
    builder = EvidenceBuilder(root / "events", root / "outcomes", PLAN, "r-1", "m", BEGAN)
    with duckdb.connect() as connection:
        for day in range(days):
            _part(connection, root, a_day, 24 * day, 24)
        builder.advance(BEGAN + timedelta(days=days))
        absorbing, looking = [], []
        for hour in range(24 * days, 24 * days + max(rounds, 2)):
            _part(connection, root, a_day, hour, 1)
            at = BEGAN + timedelta(hours=hour + 1)
            absorbing.append(_seconds(lambda at=at: builder.advance(at)))  # type: ignore[misc]
            looking.append(_seconds(lambda: builder.snapshot(live=PHASES, mirrored=())))
    builder.close()
    took = statistics.median(absorbing)
    what = f"a rollout after {days} days of {a_day:,} exposures: "
    result.add(what=f"{what}one more hour", seconds=took, **{"exposures/s": a_day / 24 / took})
    result.add(what=f"{what}what a look reads", seconds=statistics.median(looking))
    return took


def _part(connection: duckdb.DuckDBPyConnection, root: Path, a_day: int, hour: int, hours: int) -> None:
    """Events of some hours with their outcomes, as a project keeps them."""
    first, rows = a_day * hour // 24, a_day * hours // 24
    sql = _rows(
        first, rows, start=BEGAN + timedelta(hours=hour), span=DAY * hours // 24, done=first, every=a_day * DAYS,
        units=a_day,
    )  # fmt: skip
    outcomes = (
        "SELECT outcome_key AS key, 'clicked' AS name, clicked AS value, \"time\", 0::BIGINT AS revision, "
        f'"time" AS received_at, model FROM ({sql})'
    )
    for name, statement, schema in (("events", sql, event_schema(["country"])), ("outcomes", outcomes, OUTCOME_SCHEMA)):
        found = connection.sql(statement).to_arrow_table()
        columns = [
            found[field.name].cast(field.type) if field.name in found.column_names else pa.nulls(rows, field.type)
            for field in schema
        ]
        table = pa.table(columns, schema=schema)
        write_part(model_directory(root / name, "m"), name, "1a.2b", first, first + rows, table)


def _median(rounds: int, run: Callable[[], object]) -> float:
    run()  # what is read is in the page cache for all of them
    return statistics.median(_seconds(run) for _ in range(rounds))


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
