"""Processes of a benchmark: pinned to a core, and what they used of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SERVED, LOAD = 0, 1
"""The core of what is measured, and the core of the load and of what stands behind."""


class Missing(Exception):
    """A program a benchmark needs is not installed."""


def need(*programs: str) -> None:
    """Raises Missing, with the way to get them (Debian's names are the programs')."""
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        raise Missing(f"{', '.join(absent)} not installed (Debian: apt-get install {' '.join(absent)})")


def pinned(command: Sequence[str], core: int) -> list[str]:
    """The command on one core, where the system can do that and has that many."""
    if shutil.which("taskset") is None or (os.cpu_count() or 1) <= core:
        return [*command]
    return ["taskset", "-c", str(core), *command]


def pin(pid: int, core: int) -> None:
    """Every thread of a running process onto one core."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core % (os.cpu_count() or 1)})


@contextmanager
def running(command: Sequence[str], port: int, *, core: int, cwd: Path | None = None) -> Iterator[int]:
    """A server until the block ends; yields its pid once it listens."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(pinned(command, core), stdout=said, stderr=said, cwd=cwd, start_new_session=True)
        try:
            if not listens(port):
                said.seek(0)
                raise RuntimeError(f"{command[0]} does not listen on {port}: {said.read().decode()[-500:]}")
            yield child.pid
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def listens(port: int, seconds: float = 15.0) -> bool:
    """Wait until something accepts connections on a loopback port."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.01)
    return False


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, in seconds."""
    total = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, in MB."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family(pid))
    return pages * PAGE / 1e6


@dataclass
class Meter:
    """CPU time of a process over a stretch of work."""

    pid: int

    def __post_init__(self) -> None:
        self._before = cpu_seconds(self.pid)

    def spent(self) -> float:
        return cpu_seconds(self.pid) - self._before


def describe() -> str:
    """The machine in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "unknown processor")
    return f"{os.cpu_count()} x {model}, load {os.getloadavg()[0]:.1f} at the start"
