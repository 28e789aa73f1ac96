"""Starting the control plane in the background: a process of its own that outlives this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.client import Client, NotRunning
from seatrial.cli.tail import last_lines
from seatrial.errors import Unavailable

if TYPE_CHECKING:
    from seatrial.control.project import Project

START_S = 90.0
POLL_S = 0.1
MISSING_S = 10.0
"""What is still missing so long after the control plane has begun to answer does not come by waiting."""


def control_log(project: Project) -> Path:
    return project.logs / "control.log"


def start(project: Project) -> bool:
    """Start it and wait until it is ready; False if it was running already. Raises Unavailable with its last words."""
    from seatrial.control.disk import disk_told

    client = Client(project)
    running = client.running()
    with disk_told(project):
        child = None if running else _spawn(project)
    _wait(project, client, child)
    return not running


def _spawn(project: Project) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "seatrial.cli", "--project", str(project.root), "up", "--foreground"]
    with open(control_log(project), "ab", opener=_private) as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=project.root,
            start_new_session=True,
            close_fds=True,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait(project: Project, client: Client, child: subprocess.Popen[bytes] | None) -> None:
    deadline, missing, answered = time.monotonic() + START_S, "it does not answer yet", None
    while time.monotonic() < deadline:
        if child is not None and child.poll() is not None:
            raise Unavailable(
                "ST0865",
                f"the control plane ended while starting (exit code {child.returncode}):\n{_last_words(project)}",
                remedy="`seatrial doctor` looks for the cause.",
            )
        try:
            missing = client.get("/readyz")["missing"]
        except NotRunning:
            answered = None
        else:
            if not missing:
                return
            answered = answered or time.monotonic()
            if time.monotonic() - answered > MISSING_S:
                raise Unavailable(
                    "ST0834", f"the control plane runs, but {missing}.", remedy="`seatrial doctor` looks for the cause."
                )
        time.sleep(POLL_S)
    raise Unavailable(
        "ST0866", f"the control plane is not ready after {START_S:g} s: {missing}.", remedy="See `seatrial logs`."
    )


def _last_words(project: Project) -> str:
    return "".join(last_lines(control_log(project), 15)).rstrip()
