"""The quickstart as a reader does it, with all its waiting: a better version is promoted, a worse one sent home.

The optional servers are real ones. MLflow comes with the test extra; MLServer does not go with the FastAPI of today, so
it gets an environment of its own.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reader import STORY, Read, Reader, answer_to, steps
from seatrial.control.project import Project
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import event_schema

MLSERVER = Path(__file__).with_name("mlserver.txt")

REQUESTS = 60
UNREAD = {"non_json", "schema", "no_predictions", "nan", "row_count"}
"""Kinds of error that say that an answer was not read as a prediction."""

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.mark.timeout(900)
def test_two_decisions(reader: Read) -> None:
    someone = reader(9001, 9002, 9003)
    said = someone.go_through(steps(*STORY))
    assert "✔ Promoted  r-0001 purchase v2" in answer_to(said, "status purchase --watch --timeout 10m\n")
    worse = answer_to(said, "rollout start purchase 3")
    assert "✖ Aborted  r-0002 purchase v3 (canary 20%" in worse, worse
    assert "log_loss is worse" in worse, "the planted fault is found by the outcomes, and by nothing else"
    assert "exit code 3" in worse
    assert "→ abort: log_loss is worse" in answer_to(said, "rollout explain")


# ── servers of other projects ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(300)
def test_an_mlflow_model(reader: Read) -> None:
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("mlflow-skinny is not installed: it comes with seatrial[test]")
    someone = reader(9004, 9005)
    someone.type("export MLFLOW_DISABLE_TELEMETRY=true")
    answer = go_by(someone, "An MLflow model")
    assert 0 < answer["predictions"][0][1] < 1
    check_a_release(someone, 9005, "/invocations", {"dataframe_records": [{"pages": 5, "minutes": 2.5}]})


@pytest.mark.timeout(600)
def test_an_open_inference_server(reader: Read, mlserver: str) -> None:
    someone = reader(9006, 9106, 9206, 9007, 9107, 9207, path=mlserver)
    answer = go_by(someone, "An Open Inference Protocol server")
    assert answer.get("outputs", [{}])[0].get("name") == "predict_proba", "".join(someone.said)
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [5, 2.5]}
    check_a_release(
        someone, 9007, "/v2/models/purchase/infer", {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
    )


@pytest.fixture(scope="session")
def mlserver() -> str:
    """The directory of MLServer's commands: an environment beside this one, kept for the next time."""
    wanted = MLSERVER.read_text()
    home = Path(sys.prefix) / "mlserver"  # beside what is installed here
    stamp = home / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", str(MLSERVER)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
            if done.returncode:
                pytest.skip(f"MLServer cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
        stamp.write_text(wanted)
    return str(home / "bin")


def go_by(reader: Reader, heading: str) -> dict[str, Any]:
    """The section's steps; the answer that its last one got, among what the servers say meanwhile."""
    said = [reader.follow(step) for step in steps(heading)]
    answer: dict[str, Any] = json.loads([line for line in said[-1].splitlines() if line.startswith("{")][-1])
    return answer


def check_a_release(reader: Reader, port: int, path: str, body: dict[str, Any]) -> None:
    """A rollout of the second server has users, and the answers of both are read as scores without any setting."""
    reader.type(
        f"echo a > a.csv && seatrial model register purchase --url http://127.0.0.1:{port} --code-commit 1f0c2aa "
        "--data a.csv --model-file a.csv --model-framework scikit-learn\n"
        "seatrial rollout start purchase 2 --plan plans/quick.yaml"
    )
    reader.type(
        f"for n in $(seq {REQUESTS}); do curl -s -o /dev/null http://127.0.0.1:8710/models/purchase{path} "
        f"-H 'content-type: application/json' -H \"x-unit-id: customer-$n\" -d '{json.dumps(body)}'; done"
    )
    rows = captured(Project.open(reader.home))
    assert {row["arm"] for row in rows} >= {"champion", "canary"}
    assert UNREAD.isdisjoint(row["error_kind"] for row in rows)
    scores = {row["score"] for row in rows if not row["error"]}
    assert len(scores) == 2, "two models"
    assert all(0 < score < 1 for score in scores)


def captured(project: Project) -> list[dict[str, Any]]:
    """All requests, once they are in the log."""
    deadline = time.monotonic() + 60
    while True:
        parts = list_parts(model_directory(project.events, "purchase"))
        rows = read_parts(parts, event_schema()).to_pylist()
        if len(rows) > REQUESTS:
            return rows
        assert time.monotonic() < deadline, f"{len(rows)} of {REQUESTS} requests were captured"
        time.sleep(0.2)
