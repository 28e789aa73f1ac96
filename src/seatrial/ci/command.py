"""A command of a step: a process group of its own, its output in a log, ended as a whole when its time is over."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

GRACE_S = 5.0
TAIL = 5


def run_command(command: str, *, cwd: Path, log: Path, timeout_s: float, environment: Mapping[str, str]) -> str:
    """Run with the shell; what it printed is in ``log``. Returns why it failed, empty if it did not."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, shell=True, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _end(child)
            return f"it ran longer than {timeout_s:g} s and was ended{_last_words(log)}"
        except BaseException:
            _end(child)
            raise
    return "" if code == 0 else f"exit code {code}{_last_words(log)}"


def _end(child: subprocess.Popen[bytes]) -> None:
    """The whole group: what a shell began would go on without it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    child.wait()


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return ": " + " / ".join(lines[-TAIL:])[-400:] if lines else ""
