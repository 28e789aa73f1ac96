"""Starting the control plane in the background: a process of its own that outlives this one."""

from __future__ import annotations

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


def control_log(project: Project) -> Path:
    return project.logs / "control.log"


def start(project: Project) -> bool:
    """Start it and wait until it is ready; False if it was running already. Raises Unavailable with its last words."""
    client = Client(project)
    running = client.running()
    child = None if running else _spawn(project)
    _wait(project, client, child)
    return not running


def _spawn(project: Project) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "seatrial.cli", "--project", str(project.root), "up", "--foreground"]
    with control_log(project).open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=project.root,
            start_new_session=True,
            close_fds=True,
        )


def _wait(project: Project, client: Client, child: subprocess.Popen[bytes] | None) -> None:
    deadline, missing = time.monotonic() + START_S, "it does not answer yet"
    while time.monotonic() < deadline:
        if child is not None and child.poll() is not None:
            raise Unavailable(
                "ST0865",
                f"the control plane ended while starting (exit code {child.returncode}):\n{_last_words(project)}",
                remedy="`seatrial doctor` looks for the cause.",
            )
        try:
            missing = client.get("/readyz")["missing"]
            if not missing:
                return
        except NotRunning:
            pass
        time.sleep(POLL_S)
    raise Unavailable(
        "ST0866", f"the control plane is not ready after {START_S:g} s: {missing}.", remedy="See `seatrial logs`."
    )


def _last_words(project: Project) -> str:
    return "".join(last_lines(control_log(project), 15)).rstrip()
