"""The same expressions on Spark: identical sums and units. Needs the extra ``spark``, and a Java runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq
import pytest

from seatrial.cli import main
from seatrial.engines.inputs import Input, held
from seatrial.evidence.codec import to_document

EXAMPLE = Path(__file__).parents[2] / "examples" / "analyze"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),  # a JVM starts, and compiles every query
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed: make spark"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs a Java runtime"),
    pytest.mark.filterwarnings("ignore"),  # of Spark and pandas
]


@pytest.fixture
def log() -> Any:
    """The random log of test_batch, and how it is summed up."""
    spec = spec_from_file_location("batch_log", Path(__file__).with_name("test_batch.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def session() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",  # a JVM that lives for a minute
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def test_spark_comes_to_the_evidence_of_duckdb(log: Any, session: Any, tmp_path: Path) -> None:
    table = log.table_of(log.make_rows(7))
    pq.write_table(table, tmp_path / "log.parquet")
    session.read.parquet(str(tmp_path / "log.parquet")).createOrReplaceTempView("log")
    backend = ibis.pyspark.connect(session)
    spark = log.batch(Input("log", "pyspark", backend.table("log"), backend.to_pyarrow, lambda: None))
    assert to_document(spark.evidence) == to_document(log.batch(held("log", table)).evidence)
    assert all(metric.tally.exposures("canary") > 20 for metric in spark.evidence.metrics.values())


def verdicts(capsys: pytest.CaptureFixture[str], *source: str) -> Any:
    """What ``analyze canary`` says of the example's shop, but for the table's name."""
    judged = ("--plan", str(EXAMPLE / "plan.yaml"), "--champion", "v7", "--canary", "v8", "--at", "2026-03-09")
    splits = ("--split", "2026-03-01=10%", "--split", "2026-03-04=50%")
    with pytest.raises(SystemExit) as left:
        main(["analyze", "canary", *source, *judged, *splits, "--json"])
    told = capsys.readouterr()
    assert told.out, told.err
    return left.value.code, json.loads(told.out) | {"log": None}


def test_the_command_judges_a_table_of_spark(session: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(tmp_path / "visits.csv")
    subprocess.run([sys.executable, EXAMPLE / "make_visits.py", log, "--worse"], check=True)
    session.read.csv(log, header=True, inferSchema=True).createOrReplaceTempView("visits")
    code, document = verdicts(capsys, "--connect", "pyspark://", "--table", "visits")
    assert (code, document) == verdicts(capsys, "--log", log)
    assert (code, document["result"]) == (3, "fail")
