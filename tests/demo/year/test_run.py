"""Nine weeks of the year from end to end: spring comes, the winter model is replaced, and what is worse is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.demo.year import config
from seatrial.registry.lineage import ArtifactLineage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHIPPED = Path(config.__file__).parent
COMMAND = [sys.executable, "-m", "seatrial.cli", "demo", "--year", "--json"]
SPRING = {
    "begin": "2013-05-01", "end": "2013-07-03",
    "controls": {"storms": ["2013-05-23"], "before": "4d", "fault": "hours", "splits": 2},
    "late": None,
}  # fmt: skip


def spring(directory: Path) -> Path:
    document = yaml.safe_load((SHIPPED / "year.yaml").read_text()) | SPRING
    path = directory / "spring.yaml"
    path.write_text(json.dumps(document, default=str))
    return path


def command(place: Path) -> list[str]:
    return [*COMMAND, str(place), "--config", str(spring(place.parent))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("year") / "spring"


@pytest.fixture(scope="module")
def document(place: Path) -> dict[str, Any]:
    """Of a year that was killed on the way and run again."""
    with (place.parent / "said.txt").open("wb") as said:
        process = subprocess.Popen(command(place), stdout=subprocess.DEVNULL, stderr=said)
        try:
            _wait_for(lambda: len(list((place / "log").glob("*/events/*/*.parquet"))) > 3, process)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    done = subprocess.run(command(place), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_run_has_its_reason_in_words_and_its_model_a_lineage(document: dict[str, Any], place: Path) -> None:
    assert document["schema"] == "seatrial.demo-year.v1"
    assert document["runs"]
    for run in document["runs"]:
        started = [e for e in document["events"] if e["run"] == run["run"] and e["what"] == "started"]
        assert [e["trigger"] for e in started] == [run["trigger"]]
        assert run["detail"] in started[0]["reason"]
        assert datetime.fromisoformat(run["window"]["end"]) == datetime.fromisoformat(run["started"])
        assert run["window"]["rows"] > 40_000
    kept = [json.loads(path.read_text()) for path in (place / "models").glob("*.lineage.json")]
    assert {run["window"]["digest"] for run in document["runs"]} <= {one["data"]["digest"] for one in kept}
    assert {*kept[0]} == {*ArtifactLineage.__dataclass_fields__}


def test_the_better_challenger_is_promoted_and_serves_better(document: dict[str, Any]) -> None:
    promoted = [run for run in document["runs"] if run["outcome"] == "promoted"]
    assert promoted, [run["reason"] for run in document["runs"]]
    assert promoted[0]["shadow"]["upper"] < 0.002
    assert promoted[0]["hindsight"]["champion"] < 0
    assert [move["action"] for move in promoted[0]["moves"]] == ["start", "advance", "advance", "promote"]
    total = document["total"]
    assert total["served"]["auc"] > total["neverRetrained"]["auc"]
    weeks = document["weeks"]
    before = [week for week in weeks if week["start"] < document["runs"][0]["started"]][:1]
    assert all(week["served"] == week["neverRetrained"] for week in before), "the same until somebody else answers"
    assert weeks[-1]["served"] != weeks[-1]["neverRetrained"]


def test_a_storm_sends_nobody_back_and_a_fault_in_it_is_found(document: dict[str, Any]) -> None:
    same = [c for c in document["controls"] if c["fault"] is None]
    fault = [c for c in document["controls"] if c["fault"] == "hours"]
    assert [c["sentBack"] for c in same] == [None, None]
    assert len(fault) == 2
    assert all(c["sentBack"] is not None and "log_loss is worse" in c["reason"] for c in fault)


def test_a_run_again_makes_the_same_year_to_the_byte_and_trains_nothing(document: dict[str, Any], place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (place / "models").iterdir()}
    told, page = (place / "year.json").read_bytes(), (place / "report.html").read_bytes()
    assert json.loads(told) == document
    done = subprocess.run(command(place), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (place / "year.json").read_bytes() == told
    assert (place / "report.html").read_bytes() == page
    assert {path: path.stat().st_mtime_ns for path in (place / "models").iterdir()} == before


def test_the_report_has_the_pictures_and_every_decision(document: dict[str, Any], place: Path) -> None:
    page = (place / "report.html").read_text()
    assert page.count("<svg") == 2
    assert "served" in page
    for run in document["runs"]:
        assert run["detail"] in page
    for name in ("auc.png", "auc.svg", "log-loss.png", "log-loss.svg"):
        assert (place / name).stat().st_size > 5_000


def test_what_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = subprocess.run([*COMMAND, str(tmp_path / "mine")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ST0932" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def _wait_for(come: Any, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not come():
        assert process.poll() is None, "it ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.05)
