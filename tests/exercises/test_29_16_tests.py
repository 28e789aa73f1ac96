"""Exercise 29.16, b and c: the tests without bins are scipy's, odd columns have results, and calm ones stay calm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commandline import run_command
from seatrial.stats.drift.samples import ks_p, ks_test, mmd, wasserstein


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("n", "m"), [(40, 60), (300, 700), (2_000, 1_500)])
def test_b_results_are_those_of_scipy(n: int, m: int) -> None:
    from scipy.spatial.distance import cdist
    from scipy.stats import ks_2samp, wasserstein_distance

    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(0.3, 1.2, size=m)
    ours, theirs = ks_test(x, y), ks_2samp(x, y, method="exact")
    assert ours.distance == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-12)
    limit = ks_p(ours.distance, n, m, exact=0)
    assert 1 < limit / theirs.pvalue < 4 / 3, "the limit errs on the side of no drift"
    assert wasserstein(x, y) == pytest.approx(wasserstein_distance(x, y), abs=1e-12)
    kernels = {k: np.exp(-cdist(a[:, None], b[:, None], "sqeuclidean") / 2)
               for k, (a, b) in {"xx": (x, x), "yy": (y, y), "xy": (x, y)}.items()}  # fmt: skip
    within = sum((kernels[k].sum() - size) / (size * (size - 1)) for k, size in (("xx", n), ("yy", m)))
    assert mmd(x, y, 1.0) == pytest.approx(within - 2 * kernels["xy"].mean(), abs=1e-12)


def test_b_odd_columns_have_results_and_measures_are_chosen_by_feature(files: Path, capsys: Any) -> None:
    rng, rows = np.random.default_rng(3), 400
    odd = {"constant": np.full(rows, 7.0), "missing": np.full(rows, np.nan), "ties": rng.integers(0, 2, rows) * 1.0}
    pq.write_table(pa.table({**odd, "x": rng.normal(size=rows)}), "ref.parquet")
    pq.write_table(pa.table({**odd, "x": rng.normal(1, 1, size=rows)}), "cur.parquet")
    chosen = ("--measure", "x=ks", "--measure", "ties=mmd", "--measure", "constant=wasserstein")
    told = run_command(capsys, "analyze", "drift", "ref.parquet", "cur.parquet", *chosen, "--json", code=3)
    assert told["drifted"] == ["x"]
    judged = {c["name"]: [f["measure"] for f in c["windows"][0]["judged"]] for c in told["columns"]}
    assert (judged["x"], judged["ties"], judged["constant"]) == (
        ["ks", "missing"], ["mmd", "missing"], ["wasserstein", "missing"])  # fmt: skip
    pq.write_table(
        pa.table({name: values[:3] for name, values in odd.items()} | {"x": [1.0, 2.0, 3.0]}), "tiny.parquet"
    )
    tiny = run_command(capsys, "analyze", "drift", "ref.parquet", "tiny.parquet", "--json")
    ks = next(c for c in tiny["columns"] if c["name"] == "x")["windows"][0]["measures"]["ks"]
    assert ks == {"value": None, "pValue": None}, "three values say nothing"
    assert "x" not in tiny["drifted"]


@pytest.mark.slow
def test_c_a_hundred_calm_features_over_a_hundred_windows(files: Path, capsys: Any) -> None:
    """No least size, so that alpha alone has to hold over all features of a window; a feature that moves is found."""
    rng, windows, rows = np.random.default_rng(100), 100, 100
    day = 86_400_000_000

    def columns(number: int) -> dict[str, Any]:
        at = pa.array(np.arange(number * rows) * (day // rows), pa.timestamp("us"))
        return {"at": at, **{f"f{i}": rng.normal(size=number * rows) for i in range(100)}}

    pq.write_table(pa.table(columns(windows)), "ref.parquet")
    now = columns(windows)
    now["f7"][-rows:] += 1.0
    pq.write_table(pa.table(now), "cur.parquet")
    asked = ("analyze", "drift", "ref.parquet", "cur.parquet", "--time", "at", "--window", "1d", "--measure", "ks")
    told = run_command(capsys, *asked, "--least", "ks=0", "--least", "missing=0", "--json", code=3)
    calm, last = told["windows"][:-1], told["windows"][-1]
    assert sum(bool(window["drifted"]) for window in calm) <= 12, "5% of 99, and what chance adds to it"
    assert "f7" in last["drifted"]
    assert (told["reference"]["rows"], last["rows"], last["end"] is not None) == (windows * rows, rows, True)
    found = next(c for c in told["columns"] if c["name"] == "f7")["windows"][-1]["measures"]["ks"]
    assert found["value"] > 0.2
    assert found["pValue"] < 0.001
