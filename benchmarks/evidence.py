"""Canary evidence of a large log beside DuckDB's scan of the same columns, and what one more hour costs rollouts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from benchmarks.table import Result, Target
from seatrial.engines.batch import evidence_of, metrics_of
from seatrial.engines.columns import Asked, find_columns
from seatrial.engines.evidence import EvidenceBuilder, FleetEvidence
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
A_DAY = 50_000
"""Exposures of the rollout that is watched for some days."""

ROLLOUTS, NEW, BEFORE = 200, 1_000, 26
"""Rollouts of one controller, events each has new at every tick (an hour), and hours before the ticks that are timed:
beyond the horizon of a day, so that as many exposures mature at a tick as are new."""

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

_SUMS = "sums of 3 metrics by phase, day, country, arm and bucket"

_ROWS = """
SELECT 'r' || n AS request_id, 0::INT AS row, 'r' || n AS outcome_key, 'm' AS model, '{rollout}' AS rollout, phase,
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
    """The best of ``rounds``; the log has one file a day."""
    result = Result("evidence", f"Canary evidence of {exposures:,} exposures: 3 metrics, 5 segments, {DAYS} days")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        log = Path(scratch) / "log"
        _write(log, exposures)
        _whole(result, log, exposures, rounds)
        a_day = min(exposures // 100, A_DAY)
        short, long = (_hours(result, Path(scratch) / str(days), a_day, days, rounds) for days in (2, DAYS))
        promise = f"one more hour costs the same CPU time after {DAYS} days as after 2 (within 1.5 times)"
        result.targets.append(Target(promise, f"{long / short:.2f} times", long <= 1.5 * short))
        rollouts = min(exposures // 10_000, ROLLOUTS)
        for what, plans in (("of one plan", 1), ("each of a plan of its own", rollouts)):
            tick = _tick(result, Path(scratch) / f"tick-{plans}", rollouts, plans, what, rounds)
            promise = f"a tick of {rollouts} rollouts {what} with {NEW:,} new events each within a second"
            result.targets.append(Target(promise, f"{tick.wall:.2f} s, {tick.cpu:.2f} s of a processor", tick.wall < 1))
    return result


def _rows(
    first: int, rows: int, *, start: datetime, span: int, done: int, every: int, units: int, rollout: str = "r-1"
) -> str:
    return _ROWS.format(
        first=first, rows=rows, start=to_micros(start), span=span, done=done, all=max(every, 1),
        units=max(units, 1_000), rollout=rollout,
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
    with duckdb.connect() as connection:
        measured: dict[str, Callable[[], object]] = {
            "DuckDB: the largest value of each column (the scan)": lambda: _scan(connection, log, SCANNED),
            _SUMS: lambda: metrics_of(wide.run, rows, PLAN, at),
            "DuckDB: the same scan with the units": lambda: _scan(connection, log, (*SCANNED, "unit")),
            "all evidence: sums, and first facts of the units": lambda: evidence_of(wide.run, rows, PLAN, PHASES, at),
        }
        taken = _race(rounds, measured)
    source.close()
    scan, _, with_units, _ = taken.values()
    for (what, took), floor in zip(taken.items(), (scan, scan, with_units, with_units), strict=True):
        _add(result, what, took, exposures, floor)
    sums = taken[_SUMS]
    found = f"{sums.wall / scan.wall:.2f} times, {sums.cpu / scan.cpu:.2f} times its CPU time"
    result.targets.append(Target("sums within 2 times the scan", found, sums.wall <= 2 * scan.wall))


def _scan(connection: duckdb.DuckDBPyConnection, log: Path, columns: Sequence[str]) -> object:
    maxima = ", ".join(f"max({name})::VARCHAR" for name in columns)
    return connection.execute(f"SELECT {maxima} FROM read_parquet('{log}/*.parquet')").fetchall()


def _hours(result: Result, root: Path, a_day: int, days: int, rounds: int) -> float:
    """CPU seconds in which a rollout of some days absorbs one more hour."""
    builder = EvidenceBuilder(root / "events", root / "outcomes", PLAN, "r-1", "m", BEGAN)
    with duckdb.connect() as connection:
        for day in range(days):
            _part(connection, root, "m", a_day, 24 * day, 24)
        builder.advance(BEGAN + timedelta(days=days))
        absorbing: list[Taken] = []
        looking: list[Taken] = []
        for hour in range(24 * days, 24 * days + max(rounds, 2)):
            _part(connection, root, "m", a_day, hour, 1)
            at = BEGAN + timedelta(hours=hour + 1)
            absorbing.append(_timed(partial(_absorb, builder, at)))
            looking.append(_timed(partial(_look, builder)))
    builder.close()
    hour_took, look_took = _best(absorbing), _best(looking)
    what = f"a rollout after {days} days of {a_day:,} exposures: "
    _add(result, f"{what}one more hour", hour_took, a_day / 24)
    _add(result, f"{what}what a look reads", look_took)
    return hour_took.cpu


def _tick(result: Result, root: Path, rollouts: int, plans: int, told: str, rounds: int) -> Taken:
    """How long it takes one controller to read what is new of many rollouts and to know what their looks see.

    ``plans``: how many plans they have between them that ask for different sums.
    """
    models = [f"m{n}" for n in range(rollouts)]
    fleet = FleetEvidence(root / "events", root / "outcomes")
    for n, model in enumerate(models):
        fleet.watch(_plan(n % plans), model, model, BEGAN)
    absorbing: list[Taken] = []
    looking: list[Taken] = []
    with duckdb.connect() as connection:
        for model in models:
            _part(connection, root, model, 24 * NEW, 0, BEFORE, rollout=model)
        _together(fleet, models, BEGAN + timedelta(hours=BEFORE))
        for hour in range(BEFORE, BEFORE + 1 + rounds):
            for model in models:
                _part(connection, root, model, 24 * NEW, hour, 1, rollout=model)
            absorbing.append(_timed(partial(_together, fleet, models, BEGAN + timedelta(hours=hour + 1))))
            looking.append(_timed(partial(_see, fleet, models)))
    fleet.close()
    read, seen = _best(absorbing[1:]), _best(looking[1:])
    what = f"{rollouts} rollouts {told} with {NEW:,} new events each: "
    _add(result, f"{what}read and summed up", read, rollouts * NEW)
    _add(result, f"{what}what the looks see", seen)
    return Taken(read.wall + seen.wall, read.cpu + seen.cpu)


def _plan(n: int) -> Plan:
    """One that no other number has: its slow requests are slower."""
    threshold = Duration.parse(f"{250 + n}ms")
    return replace(PLAN, metrics=tuple(replace(m, threshold=threshold) if m.threshold else m for m in PLAN.metrics))


def _together(fleet: FleetEvidence, models: Sequence[str], at: datetime) -> None:
    for error in fleet.advance(dict.fromkeys(models, at)).values():
        raise error


def _see(fleet: FleetEvidence, models: Sequence[str]) -> None:
    for model in models:
        fleet.snapshot(model, live=PHASES, mirrored=())


def _absorb(builder: EvidenceBuilder, at: datetime) -> None:
    builder.advance(at)


def _look(builder: EvidenceBuilder) -> None:
    builder.snapshot(live=PHASES, mirrored=())


def _part(
    connection: duckdb.DuckDBPyConnection, root: Path, model: str, a_day: int, hour: int, hours: int,
    rollout: str = "r-1",
) -> None:  # fmt: skip
    """Events of some hours with their outcomes, as a project keeps them."""
    first, rows = a_day * hour // 24, a_day * hours // 24
    sql = _rows(
        first, rows, start=BEGAN + timedelta(hours=hour), span=DAY * hours // 24, done=first, every=a_day * DAYS,
        units=a_day, rollout=rollout,
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
        write_part(model_directory(root / name, model), name, "1a.2b", first, first + rows, table)


class Taken(NamedTuple):
    """Seconds by the clock on the wall, and of all threads on a processor: the latter knows no neighbours."""

    wall: float
    cpu: float


def _race(rounds: int, measured: Mapping[str, Callable[[], object]]) -> dict[str, Taken]:
    """The best of some rounds; everybody's first run only fills the page cache, and all share the same weather."""
    rows = [{what: _timed(run) for what, run in measured.items()} for _ in range(rounds + 1)][1:]
    return {what: _best([row[what] for row in rows]) for what in measured}


def _best(taken: Sequence[Taken]) -> Taken:
    return Taken(min(took.wall for took in taken), min(took.cpu for took in taken))


def _add(result: Result, what: str, took: Taken, exposures: float | None = None, floor: Taken | None = None) -> None:
    """A row; ``floor``: the scan that it is held against."""
    row: dict[str, float] = {"seconds": took.wall, "CPU seconds": took.cpu}
    if exposures is not None:
        row["exposures/s"] = exposures / took.wall
    if floor is not None:
        row |= {"of the scan": took.wall / floor.wall, "of its CPU": took.cpu / floor.cpu}
    result.add(what=what, **row)


def _timed(run: Callable[[], object]) -> Taken:
    began, worked = time.perf_counter(), time.process_time()
    run()
    return Taken(time.perf_counter() - began, time.process_time() - worked)
