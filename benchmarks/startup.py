"""How long things take to be there, and the memory they have then."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmarks.machine import listens, resident_mb
from benchmarks.table import Result, Target
from seatrial.api.server import shutdown
from seatrial.cli import background
from seatrial.control.gateway import gateway_of
from seatrial.control.project import Project
from seatrial.control.tenure import PID_FILE
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.routes import RouteTable
from seatrial.processes import free_port


def bench(rounds: int) -> Result:
    """Medians of ``rounds`` starts."""
    result = Result("startup", "Start-up time and memory")
    imported = _median(rounds, lambda: _python("-c", "import seatrial"))
    bare = _median(rounds, lambda: _python("-c", "pass"))
    result.add(what="python, nothing imported (the floor)", seconds=bare)
    result.add(what="import seatrial", seconds=imported)
    light = _median(rounds, lambda: _python("-c", "import seatrial.client, seatrial.gateway.assignment"))
    result.add(what="import seatrial.client and the arm decision alone", seconds=light)
    command = str(Path(sys.executable).with_name("seatrial"))
    result.add(what="seatrial --version", seconds=_median(rounds, lambda: _run(command, "--version")))
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        seconds, memory = _gateway(Path(scratch), rounds)
        result.add(what="gateway: start to first answer", seconds=seconds, **{"resident MB": memory})
        seconds, memory = _control(Path(scratch) / "project", rounds)
        result.add(what="seatrial up: gateway and control plane ready", seconds=seconds, **{"resident MB": memory})
    result.targets.append(
        Target("import seatrial adds less than 0.3 s", f"{imported - bare:.3f} s", imported - bare < 0.3)
    )
    return result


def _median(rounds: int, run: Callable[[], None]) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _python(*arguments: str) -> None:
    _run(sys.executable, *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _gateway(directory: Path, rounds: int) -> tuple[float, float]:
    times, memory = [], 0.0
    for n in range(rounds):
        envoy = Envoy(directory / f"gateway-{n}", free_port())
        began = time.perf_counter()
        try:
            pid = envoy.start()
            times.append(time.perf_counter() - began)
            envoy.apply(RouteTable(1))
            memory = resident_mb(pid)
        finally:
            envoy.stop()
    return statistics.median(times), memory


def _control(root: Path, rounds: int) -> tuple[float, float]:
    root.mkdir()
    ports = f"api: {{port: {free_port()}}}\ngateway: {{port: {free_port()}}}"
    (root / "seatrial.yaml").write_text(f"project: bench\n{ports}\n")
    project = Project.open(root)
    project.prepare()
    times, memory = [], 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        try:
            background.start(project)
            listens(gateway_of(project).bound_port())
            times.append(time.perf_counter() - began)
            with suppress(OSError, ValueError):
                memory = resident_mb(int((project.run / PID_FILE).read_text().split()[0]))
        finally:
            shutdown(project)
    return statistics.median(times), memory
