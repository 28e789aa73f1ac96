"""From the decision to the last request that an old arm gets: 50 rollbacks and kills under load, beside its rivals."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.load import exchange
from benchmarks.machine import LOAD, need
from benchmarks.proxies import (
    Upstreams,
    haproxy,
    haproxy_split,
    nginx,
    nginx_split,
    seatrial_gateway,
    upstreams,
)
from benchmarks.system import MODEL, system
from benchmarks.table import Result, Target, percentile
from seatrial.gateway.envoy import Envoy
from seatrial.processes import free_port

PAUSE_S = 0.15
CONNECTIONS = 24
CANARY_MARKS = (b"x-served-by: canary", b"x-seatrial-version: 2")
SHARE = 5000
"""Points of the canary before it goes home: the more requests it has, the finer is the measurement."""


@dataclass(frozen=True)
class Swap:
    """One change of the split: when it was decided, and when the tool said that it is done (monotonic, s)."""

    home: bool
    decided: float
    confirmed: float


Switch = Callable[[bool], None]
"""Sends the canary's users home (True), or to the canary again (False)."""


def bench(swaps: int) -> Result:
    """``swaps`` ways home and as many ways back for each tool, with requests flowing all the time."""
    result = Result("rollback", f"Rollback: from decision to the last request on the old arm, {swaps} under load")
    need("nginx", "haproxy")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, upstreams(Path(scratch)) as up:
        for n, (who, contestant, rate) in enumerate(CONTESTANTS):
            directory = Path(scratch) / str(n)
            directory.mkdir()
            with contestant(directory, up) as (port, switch):
                result.add(tool=who, load=LOADS[rate], **_measure(port, switch, swaps, rate))
    result.targets = [_target(row) for row in result.rows if row["tool"] in (GATEWAY, WHOLE, KILL)]
    return result


def _target(row: dict[str, Any]) -> Target:
    p99, failed = row["last start p99 ms"], row["failed"]
    return Target(
        f"p99 from decision to the last request on the old arm below 50 ms, no request failed: {row['tool']}, "
        f"{row['load']}",
        f"p99 {p99:.1f} ms, {failed} requests failed",
        p99 < 50 and not failed,
    )


# ── contestants ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _seatrial(directory: Path, up: Upstreams) -> Iterator[tuple[int, Switch]]:
    with seatrial_gateway(directory, up, canary=SHARE, mirrored=2000) as (envoy, port):

        def switch(home: bool) -> None:
            _apply(envoy, 0 if home else SHARE)

        yield port, switch


def _apply(envoy: Envoy, weight: int) -> None:
    table = envoy.table()
    route = replace(table.models[0], canary_weight=weight)
    envoy.apply(replace(table, generation=table.generation + 1, models=(route,)))


@contextmanager
def _whole_system(directory: Path, up: Upstreams) -> Iterator[tuple[int, Switch]]:
    """``POST /rollback`` on a rollout at 50%: journal, routes, Envoy's word, then the record in the store."""
    with system(directory / "project", up) as running:

        def switch(home: bool) -> None:
            if home:
                running.post(f"/v1/models/{MODEL}/rollback", reason="bench")
            else:
                running.post("/v1/rollouts", model=MODEL, version=2, plan=PLAN)

        switch(False)
        yield running.project.config.gateway.port, switch


@contextmanager
def _kill_switch(directory: Path, up: Upstreams) -> Iterator[tuple[int, Switch]]:
    """``POST /kill`` on a rollout at 50%: latch on disk, routes, Envoy's word; then the rollout's end is recorded."""
    with system(directory / "project", up) as running:

        def switch(home: bool) -> None:
            if home:
                running.post(f"/v1/models/{MODEL}/kill", reason="bench", mode="champion")
            else:
                running.post(f"/v1/models/{MODEL}/revive", reason="bench")
                running.post("/v1/rollouts", model=MODEL, version=2, plan=PLAN)

        running.post("/v1/rollouts", model=MODEL, version=2, plan=PLAN)
        yield running.project.config.gateway.port, switch


@contextmanager
def _nginx(directory: Path, up: Upstreams) -> Iterator[tuple[int, Switch]]:
    port = free_port()
    with nginx(directory, "split", nginx_split(up, port, share=SHARE // 100), port) as pid:
        config = directory / "split.conf"
        text = config.read_text()

        def switch(home: bool) -> None:
            config.write_text(text.replace("50% canary;", "") if home else text)
            os.kill(pid, signal.SIGHUP)

        yield port, switch


@contextmanager
def _haproxy(directory: Path, up: Upstreams) -> Iterator[tuple[int, Switch]]:
    port = free_port()
    with haproxy(directory, haproxy_split(up, port, directory, share=SHARE), port):

        def switch(home: bool) -> None:
            with socket.socket(socket.AF_UNIX) as admin:
                admin.connect(f"{directory}/haproxy.sock")
                admin.sendall(f"set map {directory}/limits.map canary {0 if home else SHARE}\n".encode())
                admin.recv(1024)

        yield port, switch


PLAN: dict[str, Any] = {
    "apiVersion": "seatrial/v1",
    "kind": "Plan",
    "name": "bench",
    "deadline": "30d",
    "metrics": [{"name": "errors", "kind": "error_rate", "margin": "5pp"}],
    "steps": [{"setWeight": f"{SHARE // 100}%"}, {"pause": {"duration": "7d"}}, {"setWeight": "100%"}],
}

GATEWAY, WHOLE = "seatrial gateway (Envoy's word waited for)", "seatrial rollback (API, whole system)"
KILL = "seatrial kill (API, whole system)"
SATURATED, PACED = None, 500
LOADS = {SATURATED: "as much as it takes", PACED: f"{PACED} requests/s"}
CONTESTANTS = (
    (GATEWAY, _seatrial, SATURATED),
    (WHOLE, _whole_system, SATURATED),
    (WHOLE, _whole_system, PACED),
    (KILL, _kill_switch, SATURATED),
    (KILL, _kill_switch, PACED),
    ("haproxy (runtime API, one map)", _haproxy, SATURATED),
    ("nginx (reload)", _nginx, SATURATED),
)
"""The whole system twice: saturated, its control plane waits for the processor that the load takes."""


# ── measuring ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _measure(port: int, switch: Switch, swaps: int, rate: int | None) -> dict[str, object]:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    load = multiprocessing.get_context("spawn").Process(target=_load, args=(port, theirs, rate))
    load.start()
    ours.recv()
    done = [_swap(switch, home) for _ in range(swaps) for home in (True, False)]
    ours.send("stop")
    requests, failed = ours.recv()
    load.join()
    return _summary(done, requests, failed)


def _swap(switch: Switch, home: bool) -> Swap:
    time.sleep(PAUSE_S)
    decided = time.monotonic()
    switch(home)
    return Swap(home, decided, time.monotonic())


def _summary(swaps: list[Swap], requests: list[tuple[float, float, str]], failed: int) -> dict[str, object]:
    """Requests of the canary's users that began after a way home was decided and were still answered by the canary."""
    requests.sort()
    starts = [began for began, _, _ in requests]
    last_start, last_answer = [], []
    for swap, until in zip(swaps, [*(s.decided for s in swaps[1:]), float("inf")], strict=True):
        if not swap.home:
            continue
        window = requests[bisect_right(starts, swap.decided - 1) : bisect_right(starts, until)]
        late = [(began, ended) for began, ended, arm in window if arm == "canary" and swap.decided < ended <= until]
        last_start.append(max((began - swap.decided for began, _ in late), default=0.0))
        last_answer.append(max((ended - swap.decided for _, ended in late), default=0.0))
    confirm = [s.confirmed - s.decided for s in swaps if s.home]
    span = requests[-1][0] - requests[0][0]
    return {
        "last start p50 ms": max(statistics.median(last_start), 0) * 1e3,
        "last start p90 ms": max(percentile(last_start, 0.90), 0) * 1e3,
        "last start p99 ms": max(percentile(last_start, 0.99), 0) * 1e3,
        "last answer p99 ms": percentile(last_answer, 0.99) * 1e3,
        "confirmed p50 ms": statistics.median(confirm) * 1e3,
        "requests": len(requests),
        "requests/s": len(requests) / span,
        "failed": failed,
    }


def _load(port: int, pipe: Connection, rate: int | None) -> None:
    """Requests as fast as one core sends them, or ``rate`` a second. A child of its own: switching does not slow it."""
    if (os.cpu_count() or 1) > LOAD:
        os.sched_setaffinity(0, {LOAD})
    pipe.send(asyncio.run(_drive(port, pipe, CONNECTIONS / rate if rate else 0.0)))


async def _drive(port: int, pipe: Connection, pause_s: float) -> tuple[list[tuple[float, float, str]], int]:
    found: list[tuple[float, float, str]] = []
    failed = [0]
    stopping = asyncio.Event()
    clients = [asyncio.create_task(_client(port, n, pause_s, found, failed, stopping)) for n in range(CONNECTIONS)]
    await asyncio.sleep(1)
    pipe.send("running")
    while not pipe.poll():
        await asyncio.sleep(0.02)
    pipe.recv()
    stopping.set()
    await asyncio.gather(*clients)
    return found, failed[0]


async def _client(
    port: int,
    number: int,
    pause_s: float,
    found: list[tuple[float, float, str]],
    failed: list[int],
    stopping: asyncio.Event,
) -> None:
    reader = writer = None
    n = 0
    while not stopping.is_set():
        n += 1
        began = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert reader is not None
            status, head = await exchange(reader, writer, f"unit-{number}-{n % 2000}")
            if status != 200:
                failed[0] += 1
            arm = "canary" if any(mark in head for mark in CANARY_MARKS) else "champion"
            found.append((began, time.monotonic(), arm))
            if b"connection: close" in head:
                writer.close()
                writer = None
        except (OSError, asyncio.IncompleteReadError):
            failed[0] += 1
            writer = None
        await asyncio.sleep(max(0.0, began + pause_s - time.monotonic()))
