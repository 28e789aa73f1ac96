"""A project on disk, the command line as a function, and the API on a real port."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from apisystem import Idle
from seatrial.api.app import create_app
from seatrial.cli import main
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.ids import Digest
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.store.db import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000), ModelRef(DIGEST, "sklearn"))


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        assert document["schema"].startswith("seatrial."), document
        return document


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("model", "list")`` → exit code, stdout, stderr."""

    def command(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0 if code is None else 1, told.out, told.err)

    return command


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
        return free


@pytest.fixture
def root(tmp_path: Path, port: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as ``init`` makes it, and the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert run("init", ".", "--name", "shop", "--api-port", port, "--gateway-port", 1).code == 0
    return tmp_path


@pytest.fixture
def shop(root: Path) -> Path:
    """The project with model fraud: v1 serves, v2 is registered."""
    project = Project.open(root)
    with Store.open(project.store_url) as store:
        operations = Operations(project, store)
        operations.adopt("fraud", "http://127.0.0.1:9/", actor="ann")
        operations.register("fraud", Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="ann")
    return root


@pytest.fixture
def idle() -> type[Idle]:
    """Operations that record what they are told, where nothing runs."""
    return Idle


@pytest.fixture
def api(shop: Path, port: int) -> Iterator[Idle]:
    """The project's API on its port."""
    project = Project.open(shop)
    with Store.open(project.store_url) as store:
        operations = Idle(project, store)
        app = create_app(operations, project, store)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield operations
        server.should_exit = True
        thread.join(5)
