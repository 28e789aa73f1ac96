"""Training runs as processes of this machine, in directories of their own.

Beside each command runs a supervisor (:mod:`seatrial.training.supervisor`). Neither needs the controller: it may crash,
and another one reads from the run's directory how the run stands, or how it ended meanwhile.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from seatrial import processes
from seatrial.errors import UsageError
from seatrial.serving.process import bare_environment
from seatrial.training.launcher import LOG_FILE, Job, Standing, Status
from seatrial.training.progress import latest
from seatrial.training.supervisor import CANCEL_FILE, CHILD_FILE, EXIT_FILE, PROCESS_FILE, write

LAUNCHED_FILE = "launched.json"
TAIL_BYTES = 1 << 16
LAST_WORDS = 3


class ProcessLauncher:
    """Fulfils :class:`seatrial.training.launcher.Launcher`."""

    def start(self, job: Job) -> None:
        """Raises UsageError (ST1310) for a program that is not there."""
        directory = job.directory
        if (directory / PROCESS_FILE).exists() or _lives(directory / LAUNCHED_FILE):
            return
        environment = {**bare_environment(directory), **job.variables}
        program = shutil.which(job.command[0], path=environment.get("PATH")) if job.command else None
        if program is None:
            raise UsageError(
                "ST1310", f"run {job.run}: there is no program '{' '.join(job.command[:1])}'.",
                remedy="Name one on the PATH, or by its whole path ({project}/train.sh).",
            )  # fmt: skip
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        supervisor = [sys.executable, "-I", "-m", "seatrial.training.supervisor", str(directory.resolve())]
        with (directory / LOG_FILE).open("ab") as log:
            child = subprocess.Popen(
                [*supervisor, str(job.timeout_s), program, *job.command[1:]],
                cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        processes.mine(child)
        write(directory / LAUNCHED_FILE, {"pid": child.pid, "started": processes.started(child.pid)})

    def poll(self, job: Job) -> Standing:
        directory = job.directory
        lives = _lives(directory / PROCESS_FILE) or _lives(directory / LAUNCHED_FILE)
        ending = _read(directory / EXIT_FILE)  # after that question: who lived may have ended since, and said so
        progress, message = latest(_tail(directory / LOG_FILE))
        if ending is not None:
            status: Status = ending["status"]
            reason = ending["reason"] + ("" if status == "succeeded" else _last_words(directory / LOG_FILE))
            return Standing(status=status, progress=progress, message=message, reason=reason, seconds=ending["seconds"])
        if lives:
            return Standing(status="running", progress=progress, message=message)
        _end_orphan(directory)
        began = (directory / PROCESS_FILE).exists()
        why = "it ended, and nobody saw how (killed, or the machine went down)" if began else "it never began"
        return Standing(
            status="lost", progress=progress, message=message, reason=why + _last_words(directory / LOG_FILE)
        )

    def cancel(self, job: Job) -> None:
        """Its supervisor ends the command's group, politely first."""
        if job.directory.is_dir() and not (job.directory / EXIT_FILE).exists():
            (job.directory / CANCEL_FILE).touch()

    def log(self, job: Job, *, last: int | None = None) -> str:
        path = job.directory / LOG_FILE
        if not path.exists():
            return ""
        if last is None:
            return path.read_text(encoding="utf-8", errors="replace")
        return "".join(line + "\n" for line in _tail(path).splitlines()[-last:]) if last > 0 else ""


def _end_orphan(directory: Path) -> None:
    """A command whose supervisor was killed trains on in secret: nobody would read what it makes."""
    child = _read(directory / CHILD_FILE)
    if child is not None:
        processes.kill(child["pid"], child["started"], group=True)


def _lives(path: Path) -> bool:
    known = _read(path)
    return known is not None and processes.running(known["pid"], known["started"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def _tail(path: Path) -> str:
    """The end of a log, from the beginning of a line on."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            data = file.read()
    except FileNotFoundError:
        return ""
    if size > TAIL_BYTES:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", "replace")


def _last_words(path: Path) -> str:
    lines = [line.strip() for line in _tail(path).splitlines() if line.strip()]
    return ": " + " / ".join(lines[-LAST_WORDS:])[-400:] if lines else ""
