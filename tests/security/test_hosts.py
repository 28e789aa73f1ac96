"""What an artifact gets to see when it runs code, and what is never run: real model hosts tell from the inside."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from seatrial.errors import Unavailable
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import HostSpec

pytestmark = pytest.mark.live

SECRETS = {
    "SEATRIAL_TOKEN": "st_secret",
    "SEATRIAL_STORE": "postgresql://user:secret@db/x",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "PGPASSWORD": "secret",
    "PYTHONPATH": "/secret",
    "LD_PRELOAD": "",
    "HTTP_PROXY": "http://user:secret@proxy",
}
SPY = """
[open("seen.json", "w").write(__import__("json").dumps({
    "environment": dict(__import__("os").environ),
    "arguments": __import__("sys").argv,
    "path": __import__("sys").path,
    "files": [__import__("os").readlink(f"/proc/self/fd/{n}") for n in __import__("os").listdir("/proc/self/fd")
              if __import__("os").path.islink(f"/proc/self/fd/{n}")],
    "core": __import__("resource").getrlimit(4)[0],
    "memory": __import__("resource").getrlimit(9)[0],
    "session": __import__("os").getsid(0) == __import__("os").getpid(),
})), __import__("sklearn.dummy").dummy.DummyRegressor(strategy="constant", constant=1.0).fit([[0]], [0])][1]
"""


class Spy:
    """Pickles as an expression that looks around and then is a model."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return eval, (SPY,)


class Mine(LinearRegression):
    """A type skops has never heard of."""


Start = Callable[..., HostProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """``start("joblib", Spy(), trust_pickle=True)``: a ready host of that artifact, started among secrets."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    started: list[HostProcess] = []

    def host(format: str, model: Any, **given: Any) -> HostProcess:
        folder = tmp_path / "artifact"
        folder.mkdir()
        (joblib.dump if format == "joblib" else skops.io.dump)(model, folder / f"model.{format}")
        spec = HostSpec("m", "1", artifact_dir=str(folder), format=format, features=("x",), output="predict", **given)  # type: ignore[arg-type]
        process = HostProcess(spec, tmp_path / "host")
        started.append(process)
        process.start()
        assert process.ready(60)
        return process

    yield host
    for process in started:
        process.stop()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the artifact reads /proc")
def test_code_in_an_artifact_finds_no_secrets(start: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("st_secret")
    with (tmp_path / "token").open() as held:
        os.set_inheritable(held.fileno(), True)
        host = start("joblib", Spy(), trust_pickle=True, memory_limit_mb=8192)
    seen = json.loads((host.directory / "seen.json").read_text())
    assert "secret" not in json.dumps(seen["environment"]) + json.dumps(seen["arguments"])
    assert set(seen["environment"]) <= {
        "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "HOME", "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
        "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK",
    }  # fmt: skip
    assert seen["environment"]["HOME"] == str(host.directory.resolve())
    assert not [file for file in seen["files"] if file.endswith((".db", "token", "secrets.json"))], (
        "no open file of ours"
    )
    assert not [entry for entry in seen["path"] if entry in ("", "/secret", str(host.directory))]
    assert (seen["core"], seen["memory"], seen["session"]) == (0, 8192 << 20, True)


def test_a_pickle_without_trust_is_not_even_opened(start: Start, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"ST0757.*--trust-pickle"):
        start("joblib", Spy())
    assert not (tmp_path / "host" / "seen.json").exists()


def test_a_type_that_is_not_trusted_is_refused_by_its_name(start: Start) -> None:
    name = f"{Mine.__module__}.{Mine.__qualname__}"
    with pytest.raises(Unavailable, match=rf"ST0756.*not trusted: .*{name}"):
        start("skops", Mine().fit([[0.0], [1.0]], [0.0, 1.0]))
