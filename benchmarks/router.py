"""Nanoseconds of one decision which arm a unit is in, beside the bare hash and beside what feature flags do."""

from __future__ import annotations

import hashlib
import json
import tempfile
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path

import xxhash

from benchmarks.table import Result, Target
from seatrial.gateway.assignment import arm_of, assign
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable
from seatrial.gateway.tables import TableFiles
from seatrial.router import Router

ROUNDS = 100
UNIT, SALT = "account-1234567", "r-0001-a1b2c3d4"


def bench(decisions: int) -> Result:
    """The best of many short rounds in which all take turns: what is above it is the machine's own noise."""
    result = Result("router", "Arm decision in process")
    salted = f"{SALT}:{UNIT}".encode()
    flag = FeatureFlag(SALT, {"canary": 0.1, "mirrored": 0.2, "champion": 0.7})
    with tempfile.TemporaryDirectory() as root:
        router = _router(Path(root))
        timed: dict[str, Callable[[], object]] = {
            "xxh64 of ready bytes, modulo (the floor)": lambda: xxhash.xxh64_intdigest(salted) % 10_000,
            "md5 of ready bytes, modulo": lambda: int(hashlib.md5(salted).hexdigest(), 16) % 10_000,
            "feature flag: md5 of text, buckets by weight": lambda: flag.variation({"id": UNIT}),
            "feature flag: FNV-1a of text, as GrowthBook hashes": lambda: flag.variation_fnv({"id": UNIT}),
            "seatrial: assign + arm_of": lambda: arm_of(assign(SALT, UNIT), canary=1000, mirrored=2000),
            "seatrial: Router.decide": lambda: router.decide(UNIT),
            "seatrial: Router.predict, logged": lambda: router.predict(UNIT, ROW, handlers=HANDLERS),
        }
        best = dict.fromkeys(timed, float("inf"))
        for _ in range(ROUNDS):
            for what, call in timed.items():
                number = decisions // ROUNDS // (20 if "logged" in what else 1)
                best[what] = min(best[what], timeit.timeit(call, number=number) / number * 1e9)
            router.flush(30)
        dropped = router.dropped
    floor, *_ = best.values()
    for what, took in best.items():
        result.add(what=what, ns=took, of_the_floor=took / floor)
    ours, flags = best["seatrial: Router.decide"], best["feature flag: md5 of text, buckets by weight"]
    result.targets += [
        Target("a decision below 2 µs", f"{ours / 1000:.2f} µs", ours < 2000),
        Target("no more than a feature flag by md5", f"{ours / flags:.2f} of it", ours <= flags),
        Target("no line dropped", f"{dropped:,} dropped", not dropped),
    ]
    return result


class FeatureFlag:
    """Bucketing as the SDKs of feature flags do it in Python: a hash of seed and attribute, cumulated weights.

    By MD5 as providers of OpenFeature do, or by two rounds of FNV-1a as GrowthBook does (``hashVersion`` 2). Rules,
    targeting and events of such an SDK are left out, so this is the least that it costs.
    """

    def __init__(self, seed: str, weights: Mapping[str, float]) -> None:
        self._seed, self._ranges, start = seed, [], 0.0
        for name, weight in weights.items():
            self._ranges.append((start, start + weight, name))
            start += weight

    def variation(self, attributes: Mapping[str, str]) -> str | None:
        digest = hashlib.md5(f"{self._seed}:{attributes['id']}".encode()).hexdigest()
        return self._chosen(int(digest[:8], 16) / 0xFFFFFFFF)

    def variation_fnv(self, attributes: Mapping[str, str]) -> str | None:
        return self._chosen(_fnv(str(_fnv(self._seed + attributes["id"]))) % 10_000 / 10_000)

    def _chosen(self, place: float) -> str | None:
        return next((name for low, high, name in self._ranges if low <= place < high), None)


def _fnv(text: str) -> int:
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


ROW = json.loads('{"amount": 12.5, "country": "DE", "hour": 3}')
HANDLERS: dict[str | int, Callable[[object], float]] = {"1": lambda row: 0.1, "2": lambda row: 0.2}


def _router(root: Path) -> Router:
    """On a table of a canary at 10%; nothing else runs."""
    champion, canary = (Backend(version, Endpoint("127.0.0.1", 9)) for version in ("1", "2"))
    route = ModelRoute(
        model="fraud", salt=SALT, unit_header="x-unit-id", champion=champion, canary=canary, canary_weight=1000,
        rollout="r-0001", phase=1,
    )  # fmt: skip
    run = root / ".seatrial" / "gateway" / "run"
    run.mkdir(parents=True)
    TableFiles(run).write(RouteTable(1, (route,)))
    return Router(root, "fraud")
