"""The demo with its control plane killed ten times tells the same story: each action, step and rule as without."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from onedemo import one_demo as one_demo

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("one_demo")]

SHIPPED = Path(__file__).parents[2] / "src" / "seatrial" / "demo"
SEATRIAL = [sys.executable, "-m", "seatrial.cli"]
KILLS = 10
STEPS = [
    {"shadow": {"share": "100%"}},
    {"pause": {"duration": "1d"}},
    {"analysis": {"minPairs": 300, "tolerance": "1x"}},
    {"setWeight": "50%"},
    {"pause": {"duration": "1d"}},
    {"setWeight": "100%"},
]
"""The demo's plan, shorter: shadow for a day, half of the aircraft for a day, everyone."""

Told = list[tuple[str, list[tuple[str, str, str]]]]


def short(directory: Path) -> tuple[Path, Path]:
    """Two releases in a week of August: one that is fine, one whose feature service speaks hours."""
    config: dict[str, Any] = yaml.safe_load((SHIPPED / "demo.yaml").read_text())
    plan: dict[str, Any] = yaml.safe_load((SHIPPED / "plan.yaml").read_text())
    config |= {"begin": "2013-08-06", "end": "2013-08-13", "releases": config["releases"][:2]}
    plan |= {"steps": STEPS, "deadline": "10d"}
    plan["metrics"] = [metric for metric in plan["metrics"] if metric["kind"] != "latency"]  # that is real time
    plan["metrics"][0] |= {"margin": "20%", "horizon": "12h"}
    files = directory / "demo.yaml", directory / "plan.yaml"
    for file, document in zip(files, (config, plan), strict=True):
        file.write_text(yaml.safe_dump(document))
    return files


def run(directory: Path, *, seed: int | None) -> Told:
    """``seatrial demo``; with a seed, beside somebody who kills its control plane at moments that come of it."""
    directory.mkdir()
    config, plan = short(directory)
    project = directory / "demo"
    command = [*SEATRIAL, "demo", str(project), "--config", str(config), "--plan", str(plan), "--keep"]
    with (directory / "told.txt").open("wb") as out:
        demo = subprocess.Popen(command, stdout=out, stderr=out, cwd=directory)
    try:
        if seed is not None:
            assert kill_again_and_again(project, demo, random.Random(seed)) == KILLS
        wait_for(lambda: "Everything still runs" in (directory / "told.txt").read_text(), demo, directory)
        assert " 0 failed" in (directory / "told.txt").read_text()
        return decided(project)
    finally:
        demo.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            demo.wait(60)
        subprocess.run([*SEATRIAL, "--project", str(project), "down"], capture_output=True, check=False)


def kill_again_and_again(project: Path, demo: subprocess.Popen[bytes], chance: random.Random) -> int:
    """From the first rollout on, and as often as the demo's control plane has come back; how many times it was."""
    wait_for(lambda: rollouts(project), demo, project.parent)
    for done in range(KILLS):
        time.sleep(chance.uniform(0.1, 1.0))
        if "Everything still runs" in (project.parent / "told.txt").read_text():
            return done
        pid = int((project / ".seatrial" / "run" / "control.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        up = subprocess.run([*SEATRIAL, "--project", str(project), "up"], capture_output=True, text=True, check=False)
        assert up.returncode == 0, up.stderr
    return KILLS


def wait_for(done: Any, demo: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + 400
    while not done():
        assert demo.poll() is None, (directory / "told.txt").read_text()[-3000:]
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


def rollouts(project: Path) -> list[dict[str, Any]]:
    try:
        return list(asked(project, "/v1/rollouts")["rollouts"])
    except OSError:
        return []


def decided(project: Path) -> Told:
    """Of every rollout, in order: action, step and rule of each decision that was stored."""
    names = sorted(rollout["id"] for rollout in rollouts(project))
    told = [(name, asked(project, f"/v1/rollouts/{name}/decisions")["decisions"]) for name in names]
    return [(name, [(d["action"], d["stageName"], d["rule"]) for d in decisions]) for name, decisions in told]


def asked(project: Path, path: str) -> dict[str, Any]:
    try:
        port = yaml.safe_load((project / "seatrial.yaml").read_text())["api"]["port"]
    except (FileNotFoundError, TypeError) as error:
        raise OSError from error
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def test_the_demo_tells_the_same_story(tmp_path: Path) -> None:
    straight = run(tmp_path / "straight", seed=None)
    assert [rollout for rollout, _ in straight] == ["r-0001", "r-0002"]
    assert [decisions[-1][0] for _, decisions in straight] == ["promote", "abort"]
    assert run(tmp_path / "killed", seed=2013) == straight
