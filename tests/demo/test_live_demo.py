"""The demo's whole machinery with other configurations: the evidence decides, not the script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from onedemo import one_demo as one_demo

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("one_demo")]

SHIPPED = Path(__file__).parents[2] / "src" / "seatrial" / "demo"


def run_demo(directory: Path, config: dict[str, Any], **plan: Any) -> list[dict[str, Any]]:
    """The rollouts, as `seatrial rollout get --json` tells them, and no failed request."""
    directory.mkdir()
    (directory / "demo.yaml").write_text(yaml.safe_dump(config))
    (directory / "plan.yaml").write_text(
        yaml.safe_dump({**yaml.safe_load((SHIPPED / "plan.yaml").read_text()), **plan})
    )
    told = seatrial("demo", "demo", "--config", "demo.yaml", "--plan", "plan.yaml", at=directory)
    assert " 0 failed" in told
    listed = json.loads(seatrial("--project", "demo", "rollout", "list", "--json", at=directory))
    names = [rollout["id"] for rollout in listed["rollouts"]]
    return [json.loads(seatrial("--project", "demo", "rollout", "get", name, "--json", at=directory)) for name in names]


def seatrial(*arguments: str, at: Path) -> str:
    command = [str(Path(sys.executable).parent / "seatrial"), *arguments]
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=False)
    return done.stdout


def replayed_to_the_byte(directory: Path, rollout: str) -> None:
    """Nothing runs any more: the store alone gives the same decisions, and one changed byte of evidence is found."""
    code, told = replay(directory, rollout)
    assert (code, told["identical"], told["different"]) == (0, True, [])
    assert told["looks"] >= 5
    explained = json.loads(seatrial("--project", "demo", "rollout", "explain", rollout, "--json", at=directory))
    blob = directory / "demo" / ".seatrial" / "artifacts" / explained["evidence"].removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    code, told = replay(directory, rollout)
    (found,) = told["different"]
    assert (code, found["field"], found["look"]) == (6, "evidence", explained["latest"]["look"])


def replay(directory: Path, rollout: str) -> tuple[int, dict[str, Any]]:
    command = [str(Path(sys.executable).parent / "seatrial"), "--project", "demo", "rollout", "replay", rollout]
    done = subprocess.run([*command, "--json"], cwd=directory, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def shipped_config() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((SHIPPED / "demo.yaml").read_text())
    return config


def test_swapped_fates(tmp_path: Path) -> None:
    """The first release gets the feature service that speaks hours, the second one the right one."""
    config = shipped_config()
    good, bad, _ = config["releases"]
    good["serve"], good["features"], bad["features"] = "app", "hours", "minutes"
    config["releases"] = [good, bad]
    first, second = run_demo(tmp_path / "swapped", config)
    assert (first["status"], second["status"]) == ("aborted", "promoted")
    assert all(entry["weight"] == 0 for entry in first["history"]), "no user was touched"
    replayed_to_the_byte(tmp_path / "swapped", first["id"])
    replayed_to_the_byte(tmp_path / "swapped", second["id"])


@pytest.mark.parametrize("salt", ["a-a-1", "a-a-2", "a-a-3"])
def test_the_same_model_is_promoted_or_held_and_never_sent_back(tmp_path: Path, salt: str) -> None:
    config = shipped_config()
    config |= {"begin": "2013-08-01", "end": "2013-09-02"}
    config["releases"] = [{"name": "the same model", "train": config["champion"]["train"], "salt": salt}]
    (rollout,) = run_demo(tmp_path / salt, config, deadline="31d")
    assert not {entry["action"] for entry in rollout["history"]} & {"abort", "step_back"}
    if rollout["status"] != "promoted":
        assert rollout["latest"]["rule"] == "deadline"
        assert any("more mature canary exposures" in need for need in rollout["needs"]), "what is missing is printed"
