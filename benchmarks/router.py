"""Nanoseconds of one decision which arm a unit is in, beside the bare hash."""

from __future__ import annotations

import hashlib
import timeit
from collections.abc import Callable

import xxhash

from benchmarks.table import Result, Target
from seatrial.gateway.assignment import arm_of, assign

REPEATS = 5


def bench(decisions: int) -> Result:
    """The best of five runs each: what is above it is the machine's own noise."""
    result = Result("router", "Arm decision in process")
    unit, salt, salted = "account-1234567", "r-0001-a1b2c3d4", b"r-0001-a1b2c3d4:account-1234567"
    timed: dict[str, Callable[[], object]] = {
        "xxh64 of ready bytes, modulo (the floor)": lambda: xxhash.xxh64_intdigest(salted) % 10_000,
        "md5 of ready bytes, modulo (the usual choice)": lambda: int(hashlib.md5(salted).hexdigest(), 16) % 10_000,
        "seatrial: assign + arm_of": lambda: arm_of(assign(salt, unit), canary=1000, mirrored=2000),
    }  # fmt: skip
    for what, call in timed.items():
        took = min(timeit.repeat(call, number=decisions, repeat=REPEATS)) / decisions * 1e9
        result.add(what=what, ns=took)
    ours = float(result.rows[-1]["ns"])
    result.targets.append(Target("below 2 µs", f"{ours / 1000:.2f} µs", ours < 2000))
    return result
