"""The benchmarks run: what they measure is for ``make bench``, here only that each comes to an end with its table."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIVALS = ("nginx", "haproxy", "wrk")


def bench(name: str, out: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(out.read_text())["results"]
    return dict(result)


@pytest.mark.slow
def test_the_router_benchmark_measures_the_decision_beside_its_floor(tmp_path: Path) -> None:
    result = bench("router", tmp_path / "router.json")
    assert [row["ns"] > 0 for row in result["rows"]] == [True] * 7  # type: ignore[attr-defined]
    assert result["targets"]


@pytest.mark.slow
def test_the_evidence_benchmark_measures_the_sums_beside_the_scan(tmp_path: Path) -> None:
    result = bench("evidence", tmp_path / "evidence.json")
    assert [row["seconds"] > 0 for row in result["rows"]] == [True] * 12  # type: ignore[attr-defined]
    assert len(result["targets"]) == 4  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_drift_benchmark_measures_the_comparison_beside_the_bare_read(tmp_path: Path) -> None:
    result = bench("drift", tmp_path / "drift.json")
    *own, rival = result["rows"]  # type: ignore[misc]
    assert [row["seconds"] > 0 for row in own] == [True] * 4
    assert "evidently" in rival["what"], "measured, or said to be missing"
    assert result["targets"]


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["gateway", "rollback", "outcomes", "startup"])
def test_every_benchmark_comes_to_its_end(name: str, tmp_path: Path) -> None:
    result = bench(name, tmp_path / "result.json")
    if result["skipped"]:
        missing = [program for program in RIVALS if shutil.which(program) is None]
        assert missing
        pytest.skip(f"{', '.join(missing)} not installed")
    assert result["rows"]
    assert result["targets"]
    failed = [row for row in result["rows"] if row.get("failed") and "seatrial" in str(row)]  # type: ignore[attr-defined]
    assert failed == []


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    command = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there are gateway, rollback" in done.stderr
