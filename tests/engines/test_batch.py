"""Evidence of a whole table: what the live engine sums up, however the table comes and wherever it is summed up."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, reduce
from operator import add
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.engines.batch import Found, evidence_of
from seatrial.engines.columns import Asked, find_columns
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.engines.inputs import Input, held, open_log
from seatrial.engines.wide import Split, Units, Wide, without_mixed
from seatrial.errors import SeatrialError
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import MOMENT, OUTCOME_SCHEMA, event_schema, to_micros, to_table
from seatrial.evidence.codec import to_document
from seatrial.evidence.tally import Tally
from seatrial.rollout.metric import Among, Metric
from seatrial.rollout.plan import Plan, Segment
from seatrial.values import Duration

D = Duration.parse
STARTED = datetime(2026, 3, 1, tzinfo=UTC)
START = to_micros(STARTED)
SECOND, HOUR = 1_000_000, 3_600_000_000
SPAN = 12 * HOUR
AT = STARTED + timedelta(hours=12)

PLAN = Plan(
    name="everything",
    steps=(),
    segments=(Segment(name="origin", field="origin"), Segment(name="kind", field="kind")),
    time_bucket=D("1h"),
    look_every=D("10m"),
    metrics=(
        Metric(name="errors", kind="error_rate"),
        Metric(name="slow", kind="latency", threshold=D("250ms")),
        Metric(name="slow requests", kind="latency", threshold=D("100ms"), per="request"),
        Metric(name="load", kind="requests_per_unit"),
        Metric(name="log", kind="loss", loss="log_loss", outcome="late", horizon=D("40m")),
        Metric(name="gap", kind="loss", loss="absolute", outcome="amount", horizon=D("2h")),
        Metric(name="clicks", kind="proportion", outcome="late", horizon=D("40m")),
        Metric(name="churn", kind="proportion", outcome="late", horizon=D("1h"), missing="fail", direction="decrease"),
        Metric(name="amount", kind="mean", outcome="amount", horizon=D("95s")),
        Metric(name="capped", kind="mean", outcome="amount", horizon=D("95s"), cap=3.0),
        Metric(name="per view", kind="ratio", numerator="amount", denominator="late", horizon=D("1h")),
        Metric(name="answers", kind="missing_outcomes", outcome="late", horizon=D("40m")),
        Metric(
            name="allowed",
            kind="proportion",
            outcome="late",
            horizon=D("40m"),
            missing="fail",
            direction="decrease",
            among=Among(name="allowed", below=0.6),
        ),
    ),
)
ARMS = {"champion": "champion", "canary": "canary"}
SPLITS = [Split(1, 1_000, "1"), Split(2, 5_000, "2")]


def make_rows(seed: int, requests: int = 1_500) -> list[dict[str, Any]]:
    """A ramp of two phases as events with their outcomes beside them: batches, failures, units that move over."""
    rng = random.Random(seed)
    rows = []
    for n in range(requests):
        time = START + rng.randrange(SPAN)
        unit = rng.randrange(200)
        phase = 1 if time < START + SPAN // 2 else 2
        error = rng.random() < 0.1
        request = {
            "request_id": f"r{n}", "model": "m", "rollout": "r-1", "phase": phase,
            "arm": "canary" if unit < (20 if phase == 1 else 100) else "champion", "unit": f"u{unit}",
            "bucket": unit * 7 % 256, "time": time, "event_time": time, "error": error,
            "error_kind": "http_503" if error else None,
            "latency_us": rng.choice([None, 250_000, rng.randrange(400_000)]),
            "seg_origin": rng.choice(["JFK", "LGA", "unknown"]), "seg_kind": f"k{rng.randrange(60)}",
        }  # fmt: skip
        for row in range(rng.choice([1, 1, 3])):
            late, amount = rng.choice([None, 0.0, 1.0]), rng.choice([None, -2.5, 1e-7, 3.1415926535, 7.0])
            rows.append(
                request
                | {
                    "row": row,
                    "outcome_key": f"k{n}:{row}",
                    "score": None if error else rng.choice([rng.random(), 0.0, 1.0, None]),
                    "late": late,
                    "amount": amount,
                    "late_time": None if late is None else time + rng.randrange(2 * HOUR),
                }
            )
    return rows


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    segments = [segment.name for segment in PLAN.segments]
    table = to_table(rows, event_schema(segments))
    for name in ("late", "amount"):
        table = table.append_column(name, pa.array([row[name] for row in rows], pa.float64()))
    times = pa.array([row["late_time"] for row in rows], pa.int64()).cast(MOMENT)
    return table.append_column("late_time", times).replace_schema_metadata(None)


def batch(source: Input, *, plan: Plan = PLAN, mixed: bool = True) -> Found:
    columns = find_columns(plan, source.columns, Asked(outcome_times={"late": "late_time"}), source.name)
    wide = Wide(source, columns, Units(latency="us"))
    exposures = wide.exposures(ARMS, SPLITS, to_micros(AT))
    return evidence_of(wide.run, exposures if mixed else without_mixed(exposures), plan, [1, 2], AT)


def on_disk(directory: Path, table: pa.Table) -> Input:
    pq.write_table(table, directory / "log.parquet")
    return open_log(str(directory / "log.parquet"))


def same(found: Any, wanted: Any) -> None:
    assert to_document(found) == to_document(wanted)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return make_rows(7)


@pytest.fixture(scope="module")
def whole(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Found:
    return batch(on_disk(tmp_path_factory.mktemp("whole"), table_of(rows)))


def test_a_table_has_the_evidence_of_the_live_log(rows: list[dict[str, Any]], whole: Found, tmp_path: Path) -> None:
    """The same exposures as parts and outcomes that were known as soon as they were true, absorbed look by look."""
    outcomes = [
        {"key": row["outcome_key"], "name": name, "value": row[name], "time": when, "revision": 0,
         "received_at": when, "model": "m"}
        for row in rows for name in ("late", "amount") if row[name] is not None
        for when in [row["late_time"] if name == "late" else row["time"]]
    ]  # fmt: skip
    for name, records, schema, source in (
        ("events", rows, event_schema(["origin", "kind"]), "live"),
        ("outcomes", outcomes, OUTCOME_SCHEMA, "outcomes"),
    ):
        write_part(model_directory(tmp_path / name, "m"), source, "1a.2b", 0, 1, to_table(records, schema))
    live = EvidenceBuilder(tmp_path / "events", tmp_path / "outcomes", PLAN, "r-1", "m", STARTED)
    for hour in (1, 7, 12):
        live.advance(STARTED + timedelta(hours=hour))
    wanted, found = (to_document(e) for e in (live.snapshot(live=[1, 2], mirrored=()), whole.evidence))
    for name in found["metrics"]:
        wanted["metrics"][name]["late"] = 0  # a table does not tell when an outcome was received
        assert found["metrics"][name].pop("cells") == wanted["metrics"][name].pop("cells"), name
    wanted["pairs"], wanted["units"]["shadowed"] = {}, {}  # of a shadow, which a table has not
    assert found == wanted
    assert all(metric.tally.exposures("canary") > 20 for metric in whole.evidence.metrics.values())
    assert whole.evidence.metrics["log"].immature
    assert whole.evidence.metrics["log"].missing
    assert whole.evidence.units.crossed > 50


def test_csv_and_duckdb_tables_have_the_same_evidence(rows: list[dict[str, Any]], whole: Found, tmp_path: Path) -> None:
    table = table_of(rows)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.from_arrow(table).create("visits")
        connection.execute(f"COPY visits TO '{tmp_path}/log.csv'")
    for log in ("log.csv", "shop.duckdb#visits"):
        source = open_log(f"{tmp_path}/{log}")
        same(batch(source).evidence, whole.evidence)
        source.close()


def test_a_backend_that_cannot_be_trusted_with_sums_is_read_first(rows, whole: Found, tmp_path: Path) -> None:
    same(batch(replace(held("log", table_of(rows)), engine="sqlite")).evidence, whole.evidence)


@pytest.mark.slow
def test_a_hundred_shuffled_chunks_add_up(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Tallies of pieces, in any order.

    Not what depends on all rows: which values of a segment are `other`, and whether a unit was counted already.
    """
    plan = replace(
        PLAN, segments=PLAN.segments[:1], metrics=tuple(m for m in PLAN.metrics if m.name in ("slow", "log"))
    )
    source = on_disk(tmp_path, table_of(rows))
    everything = batch(source, plan=plan).evidence
    exposures = Wide(
        source, find_columns(plan, source.columns, Asked(outcome_times={"late": "late_time"}), "log"), Units()
    ).exposures(ARMS, SPLITS, to_micros(AT))
    with duckdb.connect() as connection:

        @cache
        def statement(operation: Any) -> str:
            return str(ibis.to_sql(operation.to_expr(), dialect="duckdb"))

        def run(expression: ibis.Table) -> pa.Table:
            return connection.sql(statement(expression.op())).to_arrow_table()

        shuffled, pieces = random.Random(1).sample(rows, len(rows)), []
        for n in range(100):
            connection.execute("DROP TABLE IF EXISTS log")
            connection.from_arrow(table_of(shuffled[n::100])).create("log")
            pieces.append(evidence_of(run, exposures, plan, [1, 2], AT).evidence)
    for metric in plan.metrics:
        merged = reduce(add, (piece.metrics[metric.name].tally for piece in pieces), Tally())
        assert list(merged.rows()) == list(everything.metrics[metric.name].tally.rows()), metric.name
    assert everything.metrics["log"].tally.exposures("canary") > 50


def test_without_a_bucket_units_are_placed_by_their_md5(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    found = batch(on_disk(tmp_path, table_of(rows).drop_columns("bucket"))).evidence
    buckets = {row[4] for row in found.metrics["errors"].tally.rows()}
    assert buckets == {hashlib.md5(f"u{n}".encode()).digest()[0] for n in range(200)}


def test_units_in_both_arms_are_counted_and_can_be_left_out(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert batch(on_disk(tmp_path, table_of(rows))).mixed == 0, "moving over between phases is what a ramp does"
    strayed = [row | {"arm": "canary"} if n % 50 == 0 else row for n, row in enumerate(rows)]
    source = on_disk(tmp_path, table_of(strayed))
    with_them, without = batch(source), batch(source, mixed=False)
    assert 0 < with_them.mixed < with_them.units
    assert (without.mixed, without.units) == (0, with_them.units - with_them.mixed)


def test_the_database_reads_nothing_but_what_was_named(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("unit,arm,time\nu1,canary,2026-03-01\n")
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute(f"CREATE VIEW leak AS SELECT * FROM read_csv('{tmp_path}/secret.csv')")
        connection.execute("CREATE TABLE visits AS SELECT 'u1' AS unit")
        assert len(connection.sql("FROM leak").fetchall()) == 1, "before it is closed in, the view reads the file"
    source = open_log(f"duckdb://{tmp_path}/shop.duckdb#visits")
    assert source.run(source.table).to_pylist() == [{"unit": "u1"}]
    with pytest.raises(SeatrialError, match=r"ST0279.*disabled by configuration"):
        open_log(f"duckdb://{tmp_path}/shop.duckdb#leak")


def test_a_quoted_file_name_is_a_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"unit": ["u1"]}), tmp_path / "it's.parquet")
    named = open_log(str(tmp_path / "it's.parquet"))
    assert named.run(named.table).to_pylist() == [{"unit": "u1"}]
