"""A real MLflow server, models that are logged to it, and real ``mlflow models serve`` before them.

Full MLflow does not go with this project's own libraries, so it lives in an environment of its own: ``make mlflow``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from seatrial import processes

HOME = Path(os.environ.get("SEATRIAL_TEST_MLFLOW") or Path(__file__).parents[2] / ".venv" / "mlflow")
TRAIN = Path(__file__).with_name("mlflowtrain.py")
STARTS_S = 120.0

needs_mlflow = pytest.mark.skipif(
    not (HOME / "bin" / "mlflow").exists(),
    reason="needs an MLflow server: `make mlflow` installs one beside the project",
)

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PYTHONWARNINGS": "ignore"}


class _Process:
    """A process of MLflow's, with its workers, that is there for as long as it is wanted."""

    def __init__(self, folder: Path, url: str, health: str, *words: str, tracking: str = "") -> None:
        self.url, self._health, self._words, self._folder = url, health, words, folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        path = f"{HOME / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**kept, **_QUIET, "PATH": path, "MLFLOW_TRACKING_URI": tracking}
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                [str(HOME / "bin" / "mlflow"), *self._words],
                cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + STARTS_S
        while not self._answers():
            assert self._running.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """Its workers are in its group, and nothing else is."""
        if self._running is not None:
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self._health, timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


class MlflowServer(_Process):
    """Tracking and registry on SQLite, artifacts in a folder beside it."""

    def __init__(self, folder: Path) -> None:
        port = processes.free_port()
        super().__init__(
            folder, f"http://127.0.0.1:{port}", "/health",
            "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination", str(folder / "artifacts"),
        )  # fmt: skip

    def train(self, name: str, *kinds: str) -> list[dict[str, str]]:
        """Log and register one model a kind: *proba*, *labels*, or *orphan* (its run tells nothing)."""
        done = subprocess.run(
            [str(HOME / "bin" / "python"), str(TRAIN), self.url, name, *kinds],
            env=self._environment, cwd=self._folder, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def serve(self, uri: str, folder: Path) -> _Process:
        """``mlflow models serve`` of a model, not started yet."""
        port = processes.free_port()
        return _Process(
            folder, f"http://127.0.0.1:{port}", "/ping",
            "models", "serve", "-m", uri, "--host", "127.0.0.1", "--port", str(port), "--env-manager", "local",
            "--workers", "1", tracking=self.url,
        )  # fmt: skip
