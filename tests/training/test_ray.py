"""Training runs on a real Ray of this machine: it goes on without who asked for it, and what it made comes back."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from seatrial.errors import Unavailable
from seatrial.training.launcher import Job, Standing
from seatrial.training.ray import RAY_FILE, RayLauncher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.live,
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make ray"),
]

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as on those: a node is known by its loopback address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}

CLUSTER = """
import sys, ray
ray.init("local", num_cpus=1, include_dashboard=False, _temp_dir=sys.argv[1], object_store_memory=80_000_000,
         log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""

TRAIN = """
import json, os, pathlib, sys, time
given = json.loads(pathlib.Path("given.json").read_text())
print(json.dumps({"progress": 0.5, "message": "half of it"}), flush=True)
if given["wait"]:
    time.sleep(given["wait"])
if given["fail"]:
    sys.exit("no such column")
pathlib.Path("model.bin").write_bytes(bytes(range(256)))
told = {"run": os.environ["SEATRIAL_RUN"], "rows": given["rows"], "data": os.environ["DATA"]}
pathlib.Path(os.environ["SEATRIAL_RESULT"]).write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of one node with room for one run."""
    with pytest.MonkeyPatch.context() as environment, tempfile.TemporaryDirectory(prefix="ray-") as place:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        cluster = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert cluster.stdout is not None
        try:
            found = cluster.stdout.readline().strip()
            assert found.startswith("127.0.0.1:"), "it listens on the loopback only"
            yield found
        finally:
            cluster.communicate("")


@pytest.fixture
def launcher(address: str) -> Iterator[RayLauncher]:
    found = RayLauncher(address)
    yield found
    found.close()


def job(tmp_path: Path, run: str, *, wait: float = 0, fail: bool = False, timeout_s: float = 120) -> Job:
    directory = tmp_path / run
    directory.mkdir()
    (directory / "given.json").write_text(json.dumps({"wait": wait, "fail": fail, "rows": 12}))
    (directory / "train.py").write_text(TRAIN)
    command, data = (sys.executable, str(directory / "train.py")), str(directory / "given.json")
    return Job(run=f"{tmp_path.name}-{run}", model="delay", command=command, directory=directory, timeout_s=timeout_s,
               environment={"DATA": data})  # fmt: skip


def until(launcher: RayLauncher, of: Job, holds: Callable[[Standing], bool]) -> Standing:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if holds(found := launcher.poll(of)):
            return found
        time.sleep(0.1)
    raise AssertionError(f"it did not come to that: {found}")


def ended(standing: Standing) -> bool:
    return standing.ended


def test_what_it_made_comes_back_and_it_runs_once(launcher: RayLauncher, tmp_path: Path) -> None:
    one = job(tmp_path, "good")
    assert launcher.poll(one).status == "lost", "it was never begun"
    launcher.start(one)
    found = until(launcher, one, ended)
    assert (found.status, found.progress, found.message) == ("succeeded", 0.5, "half of it")
    told = json.loads(one.result.read_text())
    assert (told["run"], told["rows"]) == (one.run, 12)
    assert told["data"] != one.environment["DATA"], "it had a directory of its own, and was told so"
    assert (one.directory / "model.bin").read_bytes() == bytes(range(256))
    assert "half of it" in launcher.log(one, last=5)
    one.result.unlink()
    launcher.start(one)
    assert launcher.poll(one).status == "succeeded"
    assert not one.result.exists(), "it was not begun again"


def test_one_that_fails_says_why(launcher: RayLauncher, tmp_path: Path) -> None:
    failing = job(tmp_path, "bad", fail=True)
    launcher.start(failing)
    found = until(launcher, failing, ended)
    assert (found.status, "no such column" in found.reason) == ("failed", True)
    nowhere = Job(run=f"{tmp_path.name}-nowhere", model="delay", command=("no-such-program",), timeout_s=60,
                  directory=tmp_path / "nowhere")  # fmt: skip
    launcher.start(nowhere)
    found = until(launcher, nowhere, ended)
    assert (found.status, "no program 'no-such-program'" in found.reason) == ("failed", True)
    late = job(tmp_path, "late", wait=600, timeout_s=1)
    launcher.start(late)
    assert until(launcher, late, ended).status == "timed_out"


def test_it_goes_on_without_who_asked_and_another_is_told(address: str, tmp_path: Path) -> None:
    one = job(tmp_path, "long", wait=600)
    first = RayLauncher(address)
    first.start(one)
    until(first, one, lambda standing: standing.progress == 0.5)
    first.close()
    (one.directory / RAY_FILE).unlink()  # as if the first one had died before it could write it down
    second = RayLauncher(address)
    try:
        second.start(one)
        assert until(second, one, lambda standing: standing.progress == 0.5).status == "running"
        waiting = job(tmp_path, "waiting")
        second.start(waiting)
        assert second.poll(waiting).message == "waits for a node with room for it"
        second.cancel(waiting)
        assert until(second, waiting, ended).status == "cancelled", "before it had a place"
        second.cancel(one)
        assert until(second, one, ended).status == "cancelled"
        second.cancel(one)
        assert second.poll(one).status == "cancelled"
    finally:
        second.close()


def test_where_no_cluster_is_nothing_is_concluded(tmp_path: Path) -> None:
    launcher, one = RayLauncher("127.0.0.1:1"), job(tmp_path, "none")
    try:
        with pytest.raises(Unavailable, match="ST1361"):
            launcher.start(one)
        assert not (one.directory / RAY_FILE).exists()
    finally:
        launcher.close()
