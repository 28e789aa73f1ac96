"""Requests a second on one core, latency and CPU of each gateway: split, + mirror, + capture of every body."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import paced, saturate
from benchmarks.machine import Meter, need, resident_mb
from benchmarks.proxies import (
    CANARY,
    Upstreams,
    haproxy,
    haproxy_split,
    nginx,
    nginx_split,
    python_proxy,
    seatrial_gateway,
    upstreams,
)
from benchmarks.table import Result, Target
from seatrial.processes import free_port

REST = 10_000 - CANARY
FIFTH = 2_000


@dataclass(frozen=True)
class Contestant:
    """A gateway with a piece of work; ``run`` yields its pid and port."""

    who: str
    work: str
    run: Callable[[Path, Upstreams], AbstractContextManager[tuple[int, int]]]


def bench(seconds: int, rounds: int) -> Result:
    """Every contestant in turn, ``rounds`` times, ``seconds`` each; of each its best round, the least disturbed."""
    result = Result("gateway", "Gateway: requests a second on one core, 300-byte POST, 32 connections")
    need("nginx", "haproxy", "wrk", "taskset")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, upstreams(Path(scratch)) as up:
        measured: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for n in range(rounds):
            for k, contestant in enumerate(CONTESTANTS):
                directory = Path(scratch) / f"{n}-{k}"
                directory.mkdir()
                with contestant.run(directory, up) as (pid, port):
                    measured.setdefault((contestant.who, contestant.work), []).append(_once(pid, port, seconds))
        for (who, work), runs in measured.items():
            result.add(gateway=who, work=work, **max(runs, key=lambda run: float(run["requests/s"])))
        added = _added(Path(scratch), up)
    result.targets = [*_targets({(row["gateway"], row["work"]): row for row in result.rows}), added]
    return result


def _once(pid: int, port: int, seconds: int) -> dict[str, Any]:
    saturate(port, 1)
    meter = Meter(pid)
    load = saturate(port, seconds)
    cpu = meter.spent() / load.requests * 1e6
    return {
        "requests/s": load.rps, "p50 ms": load.p50, "p99 ms": load.p99, "CPU µs/request": cpu,
        "resident MB": resident_mb(pid), "failed": load.failures,
    }  # fmt: skip


# ── contestants ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _nginx(directory: Path, up: Upstreams, *, mirror: bool, log: bool) -> Iterator[tuple[int, int]]:
    port = free_port()
    http = nginx_split(up, port, mirror=mirror, log=directory / "bodies.log" if log else None)
    with nginx(directory, "split", http, port) as pid:
        yield pid, port


@contextmanager
def _haproxy(directory: Path, up: Upstreams) -> Iterator[tuple[int, int]]:
    port = free_port()
    with haproxy(directory, haproxy_split(up, port, directory), port) as pid:
        yield pid, port


@contextmanager
def _python(directory: Path, up: Upstreams, *, mirrored: int, capture: bool) -> Iterator[tuple[int, int]]:
    port = free_port()
    log = directory / "capture.jsonl" if capture else None
    with python_proxy(up, port, mirrored=mirrored, log=log) as pid:
        yield pid, port


@contextmanager
def _seatrial(
    directory: Path, up: Upstreams, *, mirrored: int, capture: bool, keep: bool = True
) -> Iterator[tuple[int, int]]:
    with ExitStack() as stack:
        envoy, port = stack.enter_context(
            seatrial_gateway(directory, up, mirrored=mirrored, capture=capture, keep=keep)
        )
        assert envoy.pid is not None
        yield envoy.pid, port


SPLIT, MIRROR, DROPPED = "split", "split + mirror 100%", "split + mirror 100%, answers dropped"
CAPTURE, FIFTH_SHADOW, ALL_SHADOW = "split + capture", "capture + 20% shadow", "capture + 100% shadow"

CONTESTANTS: tuple[Contestant, ...] = (
    Contestant("nginx", SPLIT, lambda d, up: _nginx(d, up, mirror=False, log=False)),
    Contestant("haproxy", SPLIT, lambda d, up: _haproxy(d, up)),
    Contestant("python", SPLIT, lambda d, up: _python(d, up, mirrored=0, capture=False)),
    Contestant("seatrial", SPLIT, lambda d, up: _seatrial(d, up, mirrored=0, capture=False)),
    Contestant("nginx", DROPPED, lambda d, up: _nginx(d, up, mirror=True, log=False)),
    Contestant("python", DROPPED, lambda d, up: _python(d, up, mirrored=REST, capture=False)),
    Contestant("seatrial", DROPPED, lambda d, up: _seatrial(d, up, mirrored=REST, capture=False, keep=False)),
    Contestant("seatrial", MIRROR, lambda d, up: _seatrial(d, up, mirrored=REST, capture=False)),
    Contestant("nginx", "split + request bodies logged", lambda d, up: _nginx(d, up, mirror=False, log=True)),
    Contestant("python", CAPTURE, lambda d, up: _python(d, up, mirrored=0, capture=True)),
    Contestant("seatrial", CAPTURE, lambda d, up: _seatrial(d, up, mirrored=0, capture=True)),
    Contestant("python", FIFTH_SHADOW, lambda d, up: _python(d, up, mirrored=FIFTH, capture=True)),
    Contestant("seatrial", FIFTH_SHADOW, lambda d, up: _seatrial(d, up, mirrored=FIFTH, capture=True)),
    Contestant("python", ALL_SHADOW, lambda d, up: _python(d, up, mirrored=REST, capture=True)),
    Contestant("seatrial", ALL_SHADOW, lambda d, up: _seatrial(d, up, mirrored=REST, capture=True)),
)
"""nginx mirrors every request and drops the shadow's answer; seatrial's copies pass a listener of their own, so that
the answer can be kept. HAProxy mirrors only through an agent of one's own."""


# ── targets ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _targets(rows: dict[tuple[str, str], dict[str, Any]]) -> list[Target]:
    def of(who: str, work: str, what: str) -> float:
        return float(rows[who, work][what])

    mirror = {
        work: (of("seatrial", work, "requests/s") / of("nginx", DROPPED, "requests/s"),
               of("seatrial", work, "p99 ms") / of("nginx", DROPPED, "p99 ms"))
        for work in (MIRROR, DROPPED)
    }  # fmt: skip
    fifth, full = of("seatrial", FIFTH_SHADOW, "requests/s"), of("seatrial", ALL_SHADOW, "requests/s")
    python = {work: of("seatrial", work, "requests/s") / of("python", work, "requests/s") for work in
              (CAPTURE, FIFTH_SHADOW, ALL_SHADOW)}  # fmt: skip
    return [
        *(Target(f"{work} at least 0.8 of nginx's, which drops answers, at a third of its p99",
                 f"{ratio:.2f} of its throughput at {tail:.2f} of its p99", ratio >= 0.8 and tail <= 1 / 3)
          for work, (ratio, tail) in mirror.items()),
        Target("every body captured, 20% shadow: at least 6,000/s", f"{fifth:,.0f}/s", fifth >= 6000),
        Target("every body captured, 100% shadow: at least 4,000/s", f"{full:,.0f}/s", full >= 4000),
        Target("ahead of a Python proxy doing the same work",
               ", ".join(f"{work}: {r:.2f} times its throughput" for work, r in python.items()),
               min(python.values()) > 1),
    ]  # fmt: skip


def _added(directory: Path, up: Upstreams, *, rate: int = 1000, seconds: float = 8) -> Target:
    """What the gateway adds to the median, capture on and a fifth shadowed, at a rate it is not saturated by."""
    direct = asyncio.run(paced(up.champion, rate, seconds))
    with seatrial_gateway(directory / "paced", up, mirrored=FIFTH) as (_, port):
        through = asyncio.run(paced(port, rate, seconds))
    before, after = statistics.median(direct), statistics.median(through)
    return Target(
        f"added median at {rate:,}/s below 1 ms",
        f"{after - before:.2f} ms ({before:.2f} direct, {after:.2f} through)",
        after - before < 1,
    )
