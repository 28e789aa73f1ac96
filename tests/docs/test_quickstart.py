"""The quickstart as a reader does it: every block is typed and every file is saved, in an empty directory.

The optional servers are real ones. MLflow comes with the test extra; MLServer does not go with the FastAPI of today, so
it gets an environment of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reader import Reader, Step, steps
from seatrial.control.project import Project
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import event_schema

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quickstart.md"
EXAMPLES = ROOT / "examples" / "quickstart"
MLSERVER = Path(__file__).with_name("mlserver.txt")
FIRST_PART = (
    "What you have", "Put it behind the gateway", "A better version", "A worse version", "Look at it",
)  # fmt: skip

Read = Callable[..., Reader]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Read]:
    """``reader(*ports)``: somebody in an empty directory ``shop``; what he started is stopped in the end."""
    made: list[Reader] = []

    def sit_down(*ports: int, path: str = "") -> Reader:
        (home := tmp_path / "shop").mkdir()
        made.append(Reader(home, (8700, 8710, *ports), path=path))
        return made[-1]

    yield sit_down
    for reader in made:
        if (reader.home / "seatrial.yaml").exists():
            command = [sys.executable, "-m", "seatrial.cli", "--project", str(reader.home), "down"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        reader.leave()


def go_through(reader: Reader, told: list[Step]) -> dict[str, str]:
    """What was said, by the block that made it say so."""
    said: dict[str, str] = {}
    for step in told:
        said[step.text] = reader.follow(step)
        if "seatrial doctor" in step.text:
            assert "purchase" in reader.page(8700), "the live page shows the model"
    return said


def answer_to(said: dict[str, str], words: str) -> str:
    return "".join(text for block, text in said.items() if words in block)


@pytest.mark.live
@pytest.mark.timeout(300)
def test_every_command_works(reader: Read) -> None:
    """All but the waiting: the two decisions take their time, see below."""
    told = steps(PAGE, "What you have", "Put it behind the gateway", "A better version", "Look at it")
    said = go_through(someone := reader(9001, 9002, 9003), [step for step in told if "--watch" not in step.text])
    assert "x-seatrial-arm: champion" in answer_to(said, "curl -s -i")
    assert "rollout 'r-0001' started" in answer_to(said, "rollout start")
    assert "✖" not in answer_to(said, "seatrial doctor"), "a project by the book is healthy"
    check_the_end(someone, said)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_decisions(reader: Read) -> None:
    said = go_through(someone := reader(9001, 9002, 9003), steps(PAGE, *FIRST_PART))
    assert "✔ Promoted  r-0001 purchase v2" in answer_to(said, "status purchase --watch --timeout 10m\n")
    worse = answer_to(said, "rollout start purchase 3")
    assert "✖ Aborted  r-0002 purchase v3 (canary 20%" in worse, worse
    assert "log_loss is worse" in worse, "the planted fault is found by the outcomes, and by nothing else"
    assert "exit code 3" in worse
    assert "→ abort: log_loss is worse" in answer_to(said, "rollout explain")
    check_the_end(someone, said)


def check_the_end(reader: Reader, said: dict[str, str]) -> None:
    assert '"accepted":1' in answer_to(said, "/v1/outcomes").replace(" ", "")
    assert "purchase" in (reader.home / "report.html").read_text(encoding="utf-8")
    assert "stopped gateway" in answer_to(said, "seatrial down")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_the_files_of_the_page_are_those_of_the_example(path: Path) -> None:
    headings = [*FIRST_PART, "An MLflow model", "An Open Inference Protocol server"]
    saved = {step.file: step.text for step in steps(PAGE, *headings) if step.file}
    assert saved[path.name] == path.read_text(encoding="utf-8")
    assert len(saved) == len([*EXAMPLES.iterdir()])


def test_a_block_that_fails_would_be_found(reader: Read) -> None:
    with pytest.raises(AssertionError, match="there is no seatrial"):
        reader().follow(Step("bash", "seatrial rollout list\necho never\n"))


# ── servers of other projects ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_mlflow_model(reader: Read) -> None:
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("mlflow-skinny is not installed: it comes with seatrial[test]")
    someone = reader(9004, 9005)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    answer = go_by(someone, "An MLflow model")
    assert 0 < answer["predictions"][0][1] < 1
    check_a_release(someone, 9005, "/invocations", {"dataframe_records": [{"pages": 5, "minutes": 2.5}]})


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_open_inference_server(reader: Read, mlserver: str) -> None:
    someone = reader(9006, 9106, 9206, 9007, 9107, 9207, path=mlserver)
    answer = go_by(someone, "An Open Inference Protocol server")
    assert answer["outputs"][0]["name"] == "predict_proba"
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [5, 2.5]}
    check_a_release(
        someone, 9007, "/v2/models/purchase/infer", {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
    )


@pytest.fixture(scope="session")
def mlserver() -> str:
    """The directory of MLServer's commands: an environment beside this one, kept for the next time."""
    wanted = MLSERVER.read_text()
    home = Path(sys.prefix) / "mlserver"
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
    """The section's steps; the answer that its last one got."""
    said = [reader.follow(step) for step in steps(PAGE, heading)]
    answer: dict[str, Any] = json.loads(said[-1])
    return answer


def check_a_release(reader: Reader, port: int, path: str, body: dict[str, Any]) -> None:
    """A rollout of the second server has users, and the answers of both are read as scores without any setting."""
    reader.type(
        f"echo a > a.csv && seatrial model register purchase --url http://127.0.0.1:{port} --code-commit 1f0c2aa "
        "--data a.csv --model-file a.csv --model-framework scikit-learn\n"
        "seatrial rollout start purchase 2 --plan plans/quick.yaml"
    )
    project = Project.open(reader.home)
    reader.type(
        f"for n in $(seq 60); do curl -s -o /dev/null http://127.0.0.1:8710/models/purchase{path} "
        f"-H 'content-type: application/json' -H \"x-unit-id: customer-$n\" -d '{json.dumps(body)}'; done; sleep 2"
    )
    rows = read_parts(list_parts(model_directory(project.events, "purchase")), event_schema()).to_pylist()
    arms = {row["arm"] for row in rows}
    assert arms >= {"champion", "canary"}
    assert [row["error_kind"] for row in rows if row["error"]] == []
    assert all(0 < row["score"] < 1 for row in rows)
    assert len({row["score"] for row in rows}) == 2, "two models"
