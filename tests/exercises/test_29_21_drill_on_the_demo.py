"""Exercise 29.21: a drill on the demo, while it is kept running, by the commands that its page names."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from livesystem import Live
from onedemo import one_demo as one_demo

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("one_demo")]

EXECUTABLE = str(Path(sys.executable).parent / "seatrial")
SHIPPED = Path(__file__).parents[2] / "src" / "seatrial" / "demo"


def seatrial(directory: Path, *words: str) -> tuple[int, str]:
    command = [EXECUTABLE, "--project", str(directory), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout or done.stderr


PLAN = """
name: quick
timeBucket: 1h
lookEvery: 1h
deadline: 20d
metrics: [{name: errors, kind: error_rate, margin: 5pp}]
steps: [{setWeight: 50%}, {pause: {duration: 1d}}]
"""


@contextmanager
def kept(root: Path) -> Iterator[Path]:
    """The demo with its first release alone, by a plan that takes a day or two of July, kept running."""
    story: dict[str, Any] = yaml.safe_load((SHIPPED / "demo.yaml").read_text())
    story |= {"releases": story["releases"][:1], "end": "2013-07-20"}
    (root / "story.yaml").write_text(yaml.safe_dump(story))
    (root / "plan.yaml").write_text(PLAN)
    command = [EXECUTABLE, "demo", "demo", "--config", "story.yaml", "--plan", "plan.yaml", "--keep"]
    with (root / "told").open("w") as told:
        demo = subprocess.Popen(command, cwd=root, stdout=told, stderr=subprocess.STDOUT)
    try:
        Live.wait_for(lambda: "Everything still runs" in (root / "told").read_text() or demo.poll() is not None, 600)
        assert demo.poll() is None, (root / "told").read_text()
        yield root / "demo"
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(timeout=120)


def test_a_drill_on_the_demo(tmp_path: Path) -> None:
    with kept(tmp_path) as demo:
        code, told = seatrial(demo, "drill", "run", "flights-delay", "--json")
        assert code == 0, told
        drill = json.loads(told)
        assert drill["status"] == "passed"
        steps = {step["name"]: step["evidence"] for step in drill["steps"]}
        assert steps["ready"]["pointers"] == {"champion": 2, "previous": 1}
        assert steps["inject"]["weight"] == 100, "of 10,000: the drill's own share"
        evidence = str(tmp_path / "evidence.json")
        _, told = seatrial(demo, "drill", "report", drill["id"], "--evidence", evidence)
        assert told.startswith(f"# Drill {drill['id']} of flights-delay: passed")
        assert seatrial(demo, "drill", "judge", evidence)[0] == 0
