"""The process beside a training command: begins it once, ends it when its time is over, and writes down how it ended.

It is a session of its own and outlives the controller that started it; the files of the run's directory are all that
the two know of each other.

- ``process.json``: which supervisor has the run, made by the first one that came; every other one leaves at once.
- ``child.json``: the command's process, which leads a group of its own.
- ``cancel``: somebody wants it to end.
- ``exit.json``: how it ended; written last, whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from seatrial import processes
from seatrial.training.launcher import LOG_FILE

PROCESS_FILE, CHILD_FILE, CANCEL_FILE, EXIT_FILE = "process.json", "child.json", "cancel", "exit.json"
GRACE_S = 10.0
_POLL_S = 0.1


def supervise(directory: Path, timeout_s: float, command: list[str]) -> None:
    """Run the command in the directory and environment of this process, unless another supervisor has the run."""
    if not claim(directory / PROCESS_FILE):
        return
    signal.signal(signal.SIGTERM, _leave)
    began = time.monotonic()
    ending: dict[str, Any] = {"status": "failed", "reason": "its supervisor was told to end"}
    try:
        ending = _watched(directory, began + timeout_s, timeout_s, command)
    finally:
        write(directory / EXIT_FILE, {**ending, "seconds": round(time.monotonic() - began, 3)})


def _watched(directory: Path, deadline: float, timeout_s: float, command: list[str]) -> dict[str, Any]:
    with (directory / LOG_FILE).open("ab") as log:
        try:
            child = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )
        except OSError as error:
            return {"status": "failed", "reason": f"'{command[0]}' cannot be run: {error.strerror}"}
    try:
        write(directory / CHILD_FILE, {"pid": child.pid, "started": processes.started(child.pid)})
        while (code := child.poll()) is None:
            if (directory / CANCEL_FILE).exists():
                return {"status": "cancelled", "reason": "cancelled"}
            if time.monotonic() > deadline:
                return {"status": "timed_out", "reason": f"it ran longer than {timeout_s:g} s"}
            time.sleep(_POLL_S)
    finally:
        _end(child)
    if code < 0:
        return {"status": "failed", "code": code, "reason": f"ended by signal {-code}"}
    if code > 0:
        return {"status": "failed", "code": code, "reason": f"exit code {code}"}
    return {"status": "succeeded", "code": 0, "reason": ""}


def _end(child: subprocess.Popen[bytes]) -> None:
    """The whole group, also where the command itself has ended: what it began would go on without it."""
    if child.poll() is None:
        _signal(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
    _signal(child.pid, signal.SIGKILL)
    child.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def claim(path: Path) -> bool:
    """Put this process's number there; false where another one did before."""
    mine = path.with_name(f"{path.name}.{os.getpid()}")
    write(mine, {"pid": os.getpid(), "started": processes.started(os.getpid())})
    try:
        os.link(mine, path)
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def write(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all, and on disk when this returns."""
    temporary = path.with_name(f".{path.name}.tmp{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> None:
    """DIRECTORY TIMEOUT COMMAND..."""
    supervise(Path(arguments[0]), float(arguments[1]), arguments[2:])


if __name__ == "__main__":
    main(sys.argv[1:])
