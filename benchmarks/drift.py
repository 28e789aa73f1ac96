"""Drift of a wide table against its reference, with reading it from Parquet, beside scipy's tests and evidently."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.environments import python_of
from benchmarks.machine import Missing
from benchmarks.table import Result, Target
from seatrial.control.analyses.drift import Drift, Known, Question, drift, learn
from seatrial.engines.drift import open_table

COLUMNS = 100
LIMIT = 0.5
_HERE = Path(__file__).parent


def bench(rows: int, rounds: int, *, install: bool) -> Result:
    """Medians of ``rounds`` over files that the page cache holds; rivals once, on a tenth of the columns, times ten.

    ``install``: make evidently's environment where it is not there yet.
    """
    result = Result("drift", f"Drift, {COLUMNS} columns x {rows:,} rows of floats")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        reference, current = (_table(Path(scratch) / f"{name}.parquet", rows, seed)
                              for seed, name in enumerate(("reference", "current")))  # fmt: skip
        known = _learn(reference)
        bare = _median(rounds, lambda: pq.read_table(current))
        compared = _median(rounds, lambda: _compare(known, current))
        both = _median(rounds, lambda: _compare(_learn(reference), current))
        result.add(what="reading the current table alone", seconds=bare)
        result.add(what="seatrial, reference kept as counts: read and compare", seconds=compared,
                   **{"of the bare read": compared / bare})  # fmt: skip
        result.add(what="seatrial, both tables from Parquet", seconds=both, **{"of the bare read": both / (2 * bare)})
        result.add(what="scipy ks_2samp and wasserstein_distance, both in memory", seconds=_scipy(reference, current))
        try:
            python = python_of("evidently", _HERE / "evidently.txt", make=install)
            result.add(
                what="evidently DataDriftPreset, both tables from Parquet",
                seconds=_evidently(python, reference, current),
            )
        except Missing as missing:
            result.add(what=f"evidently: {missing}")
    result.targets.append(Target(f"read and compared in less than {LIMIT} s", f"{compared:.2f} s", compared < LIMIT))
    return result


def _table(path: Path, rows: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    pq.write_table(pa.table({f"f{i}": rng.normal(i, i + 1, rows) for i in range(COLUMNS)}), path)
    return path


def _learn(path: Path) -> Known:
    table = open_table(str(path))
    try:
        return learn(table, Question().asked)
    finally:
        table.close()


def _compare(known: Known, path: Path) -> Drift:
    table = open_table(str(path))
    try:
        return drift(known, table, Question())
    finally:
        table.close()


def _scipy(reference: Path, current: Path) -> float:
    from scipy.stats import ks_2samp, wasserstein_distance

    names = [f"f{i}" for i in range(0, COLUMNS, 10)]
    sides = [pq.read_table(path, columns=names) for path in (reference, current)]
    pairs = [(sides[0][name].to_numpy(), sides[1][name].to_numpy()) for name in names]
    began = time.perf_counter()
    for before, now in pairs:
        ks_2samp(before, now)
        wasserstein_distance(before, now)
    return (time.perf_counter() - began) * COLUMNS / len(names)


def _evidently(python: Path, reference: Path, current: Path) -> float:
    """Its time per column does not hang on their number: it goes from one to the next."""
    columns = COLUMNS // 10
    command = [str(part) for part in (python, _HERE / "drift_evidently.py", reference, current, columns)]
    environment = {"PATH": os.environ["PATH"], "DO_NOT_TRACK": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Missing("its environment is broken")
    return float(done.stdout.split()[-1]) * COLUMNS / columns


def _median(rounds: int, run: Callable[[], object]) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return median(times)
