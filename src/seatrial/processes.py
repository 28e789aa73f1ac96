"""Processes that outlive whoever started them, told apart from later ones with the same number."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

POLL_S = 0.005
KILL_S = 5.0

_children: set[int] = set()  # ours must be waited for, or they stay as zombies


def mine(child: subprocess.Popen[bytes]) -> None:
    """Take over a child that may outlive this process: from now on it is known by its number, and reaped here."""
    _children.add(child.pid)
    child.returncode = 0  # let go of the object: it would complain that what is meant to go on goes on


def started(pid: int) -> str:
    """When the system says a process was started, as opaque text; empty if there is none, or only a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def running(pid: int, since: str) -> bool:
    """Whether the process that was started then still runs."""
    if pid in _children and _reaped(pid):
        _children.discard(pid)
        return False
    return bool(since) and started(pid) == since


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def stop(pid: int, since: str, *, grace_s: float, group: bool = False) -> bool:
    """Ask the process (or its group, if it leads one) to end, insist after ``grace_s``; False if it ran no more."""
    if not running(pid, since):
        return False
    send = os.killpg if group else os.kill
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, number)
        if _gone_within(pid, since, grace_s):
            break
    return True


def kill(pid: int, since: str, *, group: bool = False) -> None:
    """End a process that hangs: also one that is stopped, which would never read a request to end."""
    if running(pid, since):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.killpg if group else os.kill)(pid, signal.SIGKILL)
        _gone_within(pid, since, KILL_S)


def _gone_within(pid: int, since: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running(pid, since):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def free_port(host: str = "127.0.0.1", *, wanted: int = 0) -> int:
    """A port nobody listens on now: the wanted one if it is free."""
    if wanted and is_free(host, wanted):
        return wanted
    with _probe(host) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(host: str, port: int) -> bool:
    """Whether this process could listen there now."""
    with _probe(host) as probe:
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
        return True


def _probe(host: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe
