"""The team's own serving apps as processes: one a version, each with its feature release file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from seatrial.demo import features
from seatrial.errors import Unavailable
from seatrial.processes import free_port

START_S = 60.0


@dataclass
class App:
    """One running app: ``url`` is where it answers, ``release_file`` names the feature release it uses."""

    name: str
    url: str
    release_file: Path
    process: subprocess.Popen[bytes]

    def publish(self, release: str) -> None:
        """A release of its feature service: a file is replaced, the app follows."""
        features.publish(self.release_file, release)

    def stop(self) -> None:
        """End it, by its process."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def launch(name: str, model: Path, release: str, directory: Path) -> App:
    """Start an app for a model file and wait until it answers."""
    directory.mkdir(parents=True, exist_ok=True)
    release_file = directory / f"{name}.features.json"
    features.publish(release_file, release)
    port = free_port()
    command = [sys.executable, "-m", "seatrial.demo.app", "--model", str(model), "--port", str(port)]
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--features", str(release_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    app = App(name, f"http://127.0.0.1:{port}", release_file, process)
    _wait(app, directory / f"{name}.log")
    return app


def _wait(app: App, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and app.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{app.url}/ping", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    app.stop()
    raise Unavailable("ST0910", f"the demo's app '{app.name}' did not start.", remedy=f"Its log is {log}.")
