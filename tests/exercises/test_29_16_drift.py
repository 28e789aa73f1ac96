"""Exercise 29.16: PSI by hand, tests without bins, and a trigger that asks for size as well as certainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commandline import run_command


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, values: Any) -> None:
    pq.write_table(pa.table({"x": values}), name)


def test_a_the_index_by_hand(capsys: Any) -> None:
    said = run_command(capsys, "calc", "psi", "--reference", "0.30,0.25,0.25,0.20", "--current", "0.22,0.28,0.30,0.20",
                       "--json")  # fmt: skip
    assert said["psi"] == pytest.approx(0.0373283, abs=1e-7)
    assert (said["exceeds"], said["threshold"]) == (False, 0.25)
    back = run_command(
        capsys, "calc", "psi", "--reference", "22%,28%,30%,20%", "--current", "30%,25%,25%,20%", "--json"
    )
    assert back["psi"] == pytest.approx(said["psi"], abs=1e-12), "symmetric: it does not say which came first"
    far = run_command(capsys, "calc", "psi", "--reference", "0.3,0.7", "--current", "0.7,0.3", "--json")
    assert far["exceeds"] is True


def test_b_what_the_bins_miss_in_the_tail(files: Path, capsys: Any) -> None:
    x = np.sort(np.random.default_rng(1).normal(size=100_000))
    y = x.copy()
    y[-1_000:] += 5
    write("ref.parquet", x)
    write("cur.parquet", y)
    asked = ("analyze", "drift", "ref.parquet", "cur.parquet", "--json")
    found = run_command(capsys, *asked, "--measure", "wasserstein", "--measure", "tail", code=3)
    measures = found["columns"][0]["windows"][0]["measures"]
    assert measures["psi"]["value"] == pytest.approx(0, abs=1e-9)
    assert measures["ks"]["value"] == pytest.approx(0.01, abs=1e-9)
    assert measures["wasserstein"]["value"] == pytest.approx(0.05, abs=0.001)
    assert found["drifted"] == ["x"]
    assert run_command(capsys, *asked, "--least", "wasserstein=0.05", "--measure", "wasserstein", code=3)["drifted"]
    assert run_command(capsys, *asked, "--measure", "ks", "--measure", "psi", "--measure", "mmd")["result"] == "stable"


def test_c_a_trigger_by_kolmogorov_and_smirnov_asks_for_size_too(files: Path, capsys: Any) -> None:
    rng = np.random.default_rng(20)
    write("ref.parquet", rng.normal(size=200_000))
    for shift, code in ((0.02, 0), (0.5, 3)):
        write("cur.parquet", rng.normal(shift, 1, size=200_000))
        said = run_command(
            capsys, "analyze", "drift", "ref.parquet", "cur.parquet", "--measure", "ks", "--json", code=code
        )
        ks = next(f for f in said["columns"][0]["windows"][0]["judged"] if f["measure"] == "ks")
        assert ks["adjusted"] < 0.001, "sure in both cases"
        assert ks["drift"] is (code == 3)
        assert said["reference"]["rows"] == said["current"]["rows"] == 200_000
