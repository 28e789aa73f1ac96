"""Secrets stay where they are kept: private from the first byte, and in nothing that a run leaves or shows."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seatrial.control.project import Project
from seatrial.errors import NotFound, UsageError
from seatrial.processes import free_port
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_secrets_are_private_whatever_the_umask(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[int] = []
    opened = os.open

    def watched(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        descriptor = opened(path, flags, mode, **more)
        created.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    project.prepare()
    project.token()
    project.session_key()
    project.secrets()
    Store.open(project.store_url).close()
    assert created[:3] == [0o600] * 3, "from the first byte on"
    kept = [project.run / "token", project.run / "session-key", project.state / "secrets.json"]
    kept += project.state.glob("store.db*")
    assert [_mode(path) for path in kept] == [0o600] * len(kept)
    assert _mode(project.state) == 0o700


@pytest.mark.usefixtures("open_umask")
def test_a_directory_that_was_there_before_is_closed(tmp_path: Path) -> None:
    (tmp_path / "seatrial.yaml").write_text("project: shop\n")
    (tmp_path / ".seatrial").mkdir(mode=0o777)
    Project.open(tmp_path).prepare()
    assert _mode(tmp_path / ".seatrial") == 0o700


def test_a_secret_is_made_once_whoever_is_first(project: Project) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: Project.open(project.root).token(), range(32)))
    assert len(tokens) == 1
    assert len(tokens.pop()) == 64
    assert [path.name for path in project.run.iterdir() if path.is_file()] == ["token"], "nothing is left over"


@pytest.mark.parametrize(
    "digest", ["../../etc/passwd", "sha256:../../../etc/passwd", "sha256:" + "A" * 64, "sha256:" + "a" * 63 + "/", ""]
)
def test_an_artifact_is_named_by_its_digest_alone(tmp_path: Path, digest: str) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    with pytest.raises(UsageError, match="ST0651"):
        store.path(digest)
    with pytest.raises(NotFound, match="ST0650"):
        store.path("sha256:" + "a" * 64)


def _seatrial(root: Path, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "SEATRIAL_TOKEN": token}
    command = [sys.executable, "-m", "seatrial.cli", "--project", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


@pytest.fixture
def running(project: Project) -> Iterator[Project]:
    """A project that is up, with a model behind a host that reaches nobody."""
    ports = f"api: {{port: {free_port()}}}\ngateway: {{port: {free_port()}}}\n"
    (project.root / "seatrial.yaml").write_text(f"project: shop\n{ports}")
    try:
        up = _seatrial(project.root, "up")
        assert up.returncode == 0, up.stderr
        yield Project.open(project.root)
    finally:
        _seatrial(project.root, "down")


@pytest.mark.live
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
@pytest.mark.slow
def test_a_run_leaves_no_secret_behind(running: Project) -> None:
    root, owner = running.root, running.token()
    _fetch(running, "/v1/models/fraud/adopt", {"url": f"http://127.0.0.1:{free_port()}"}, owner)
    granted = _seatrial(root, "access", "grant", "ann", "--role", "operator", "--expires", "1d", "--json")
    ann = json.loads(granted.stdout)["token"]
    kill = ("fraud", "--reason", "drill")
    said = [_seatrial(root, "kill", *kill, token=ann), _seatrial(root, "revive", *kill, token=ann),
            _seatrial(root, "revive", *kill, token="st_wrong")]  # fmt: skip
    assert [done.returncode for done in said] == [0, 1, 1], [done.stderr for done in said]
    assert "needs approver" in said[1].stderr
    assert "not valid" in said[2].stderr
    audit = _fetch(running, "/v1/audit")
    assert "ann" in [entry["actor"] for entry in json.loads(audit)["entries"]], "who did it is known"

    shown = audit + _fetch(running, "/metrics") + _fetch(running, "/docs") + _fetch(running, "/openapi.json")
    shown += "".join(done.stdout + done.stderr for done in said)
    own = {running.run / "token", running.run / "session-key"}
    left = [path for path in root.rglob("*") if path.is_file() and path not in own]
    for secret in (owner, running.session_key().hex(), ann, "st_wrong"):
        assert secret not in shown
        assert [path for path in left if secret.encode() in path.read_bytes()] == []
        assert [line for line in _processes(root) if secret in line] == []
    assert len(_processes(root)) >= 3, "control plane, Envoy and a host were looked at"
    assert [path for path in running.state.rglob("*") if _is_open(path)] == []


def _fetch(project: Project, path: str, body: object = None, token: str = "") -> str:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"{project.config.api.url}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def _processes(root: Path) -> list[str]:
    """Command line and environment of every process of this project."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if str(root).encode() in command and int(process.name) != os.getpid():
                found.append((command + (process / "environ").read_bytes()).decode("utf-8", "replace"))
    return found


def _is_open(path: Path) -> bool:
    """Whether somebody else could read it, were the directory above it open; artifacts are not secret, but sealed."""
    return not path.is_symlink() and bool(_mode(path) & 0o077) and "artifacts" not in path.parts
