"""Load: wrk for throughput, a paced client for latency at a given rate."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import LOAD, pinned

SCRIPT = Path(__file__).with_name("load.lua")
BODY = b'{"dataframe_records": [{"amount": 12.5, "country": "DE"}]}'
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """What a load saw: requests a second, latency in milliseconds, requests and failures."""

    rps: float
    p50: float
    p99: float
    requests: int
    failures: int


def saturate(port: int, seconds: int, connections: int = 32) -> Load:
    """As many requests as ``connections`` keep-alive connections of one thread take."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(SCRIPT)]
    told = subprocess.run(
        pinned([*command, f"http://127.0.0.1:{port}"], LOAD), capture_output=True, text=True, check=True
    ).stdout
    requests = re.search(r"(\d+) requests in", told)
    rps = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if requests is None or rps is None:
        raise RuntimeError(f"wrk says: {told}")
    refused = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", told))
    broken = sum(int(n) for line in re.findall(r"Socket errors: (.*)", told) for n in re.findall(r"\d+", line))
    return Load(float(rps[1]), _quantile(told, 50), _quantile(told, 99), int(requests[1]), refused + broken)


def _quantile(told: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)", told, re.MULTILINE)
    assert found, told
    return float(found[1]) * _MS[found[2]]


async def paced(port: int, rate: int, seconds: float, connections: int = 16) -> list[float]:
    """Latencies in milliseconds of ``rate`` requests a second, evenly spread over keep-alive connections."""
    found: list[float] = []
    began = time.perf_counter() + 0.1
    await asyncio.gather(*(_pace(port, began, n, rate, seconds, connections, found) for n in range(connections)))
    return found


async def _pace(
    port: int, began: float, n: int, rate: int, seconds: float, connections: int, found: list[float]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for k in range(n, int(rate * seconds), connections):
        await asyncio.sleep(max(0.0, began + k / rate - time.perf_counter()))
        sent = time.perf_counter()
        await exchange(reader, writer, f"unit-{k}")
        found.append((time.perf_counter() - sent) * 1e3)
    writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unit: str) -> tuple[int, bytes]:
    """One request and its answer: status and the head of the response."""
    head = f"POST /models/bench/invocations HTTP/1.1\r\nhost: localhost\r\nx-unit-id: {unit}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n".encode() + BODY)
    answer = await reader.readuntil(b"\r\n\r\n")
    lowered = answer.lower()
    at = lowered.index(b"content-length:") + 15
    await reader.readexactly(int(lowered[at : lowered.index(b"\r\n", at)]))
    return int(answer[9:12]), lowered
