"""The quick part of the calibration study: a few of its cells, where the answer shows with few releases.

Each release of equals stands beside one with a planted loss that must be found, and a rival that must be seen to fail.
"""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.calibration import report, study
from benchmarks.calibration.cells import CELLS, RAMPS
from benchmarks.calibration.errors import Failing
from benchmarks.calibration.gate import widths
from benchmarks.calibration.picture import picture
from benchmarks.calibration.ramp import AT_MARGIN, NONE, OURS, Ramp
from benchmarks.calibration.rivals import RIVALS, kayenta, naive_once, z_once
from benchmarks.calibration.series import Series, Sums
from benchmarks.calibration.traffic import Population, Schedule, expose
from benchmarks.calibration.verdict import NEVER, Verdict, first, monte_carlo, summarise
from seatrial.stats.clustered import stratified_effect
from seatrial.stats.proportions import two_proportion_z
from seatrial.stats.sequential import joined_width, planned_information

ROOT = Path(__file__).parents[2]
RELEASES = 300
RAMP = Ramp(
    "ramp",
    "a ramp over a falling click rate",
    400_000,
    Schedule(((0.01, 1.0), (0.10, 1.0), (0.50, 1.0)), looks=24, trend=-0.30),
    0.03,
    (0.06,),
    gaussian=True,
)
SMALL = Ramp("small", "few units", 8_000, Schedule(((0.20, 2.0),), looks=20), 0.20, (0.40,))


def judged(cell: Ramp | Failing, releases: int = RELEASES) -> dict[tuple[str, str], dict[str, Any]]:
    released = np.random.default_rng(11).spawn(releases)
    played = [cell.play(rng, audit=number == 0) for number, rng in enumerate(released)]
    return {(row["effect"], row["method"]): row for row in summarise(cell, played)}


def limit(alpha: float = 0.05, releases: int = RELEASES) -> float:
    return alpha + 2 * monte_carlo(alpha, releases)


def a_series(cell: Ramp = SMALL, seed: int = 3) -> Series:
    rng = np.random.default_rng(seed)
    edges = np.array([share for share, _ in cell.schedule.stages])
    population = Population.draw(cell.units, edges, rng, gaussian=cell.gaussian)
    e = expose(cell.schedule, population, rng)
    sums = (
        Sums(a, cell.schedule.strata)
        for a in (e.clicks_t, e.clicks_t + e.misses_t, e.clicks_c, e.clicks_c + e.misses_c)
    )
    return Series(*sums, cell.schedule.seen(cell.units))


@pytest.mark.parametrize("cell", [pytest.param(RAMP, marks=pytest.mark.slow), SMALL], ids=lambda cell: cell.name)
def test_a_canary_that_is_the_champion_stays_and_one_with_a_loss_goes(cell: Ramp) -> None:
    rows = judged(cell)
    assert rows[NONE, OURS]["rolled_back"] <= limit()
    assert rows[AT_MARGIN, OURS]["promoted"] <= limit()
    assert rows[f"-{cell.losses[0]:.0%}", OURS]["rolled_back"] >= 0.9
    assert rows[NONE, OURS]["promoted"] >= 0.5
    assert rows[NONE, "z peeking, buckets"]["rolled_back"] > limit()


def test_pooling_a_ramp_over_a_falling_rate_sends_equals_back() -> None:
    rows = judged(RAMP, 60)
    assert rows[NONE, "seatrial's boundary, pooled"]["rolled_back"] >= 0.9
    assert rows[NONE, "z peeking, requests"]["rolled_back"] >= 0.9
    assert rows[NONE, OURS]["rolled_back"] <= limit(releases=60)


@pytest.mark.parametrize("name", ["failing units", "sporadic errors"])
def test_errors_of_both_arms_are_no_regression_and_more_of_the_canary_are(name: str) -> None:
    cell = CELLS[name]
    assert isinstance(cell, Failing)
    rows = judged(cell, 60)
    assert rows[NONE, OURS]["rolled_back"] <= limit(releases=60)
    assert rows[NONE, "z peeking, requests"]["rolled_back"] > limit(releases=60)
    assert rows[NONE, OURS]["promoted"] >= 0.9
    assert rows[AT_MARGIN, OURS]["rolled_back"] >= 0.9
    assert rows[AT_MARGIN, OURS]["promoted"] <= limit(releases=60)


def test_the_estimates_at_all_looks_are_those_of_the_package() -> None:
    series = a_series(RAMP)
    for look in (0, 7, 15, 23):
        rows = [min(b - 1, look) for a, b in series.strata if a <= look]
        num_t, den_t, num_c, den_c = (
            part.within[rows] for part in (series.num_t, series.den_t, series.num_c, series.den_c)
        )
        effect = stratified_effect(den_t, num_t, den_t, den_c, num_c, den_c, scale="log")
        e = series.stratified
        assert e.log_ratio[look] == pytest.approx(effect.estimate, rel=1e-9)
        assert e.variance[look] == pytest.approx(effect.variance, rel=1e-9)
        assert e.rate_c[look] == pytest.approx(effect.rate_c)
        assert e.count_t[look] == effect.count_t
        assert e.skewness[look] == pytest.approx(effect.skewness, abs=1e-9)


def test_the_skewness_at_all_looks_is_that_of_the_package() -> None:
    cell = Ramp("orders", "", 8_000, Schedule(((0.05, 1.0), (0.20, 1.0)), looks=20), 0.2, outcome="revenue")
    rng = np.random.default_rng(4)
    edges = np.array([share for share, _ in cell.schedule.stages])
    exposures = expose(cell.schedule, Population.draw(cell.units, edges, rng, gaussian=False), rng)
    (series,), _ = cell._metrics(cell._release(exposures), 0.0, rng)
    for look in (3, 12, 19):
        rows = [min(b - 1, look) for a, b in series.strata if a <= look]
        num_t, den_t, num_c, den_c = (
            part.within[rows] for part in (series.num_t, series.den_t, series.num_c, series.den_c)
        )
        effect = stratified_effect(den_t, num_t, den_t, den_c, num_c, den_c, scale="log")
        assert series.stratified.skewness[look] == pytest.approx(effect.skewness, rel=1e-9)
        assert effect.skewness > 0.1


def test_the_shortcut_of_the_gate_changes_no_verdict() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        SMALL.play(rng, audit=True)  # raises where they differ


def test_widths_come_from_the_joined_boundary() -> None:
    planned = planned_information(math.log(0.97))
    shares = np.array([0.02, 0.3, 0.8, 1.1, 1.2])
    found = widths(1 / (shares * planned), planned, 0.05)
    wanted = [joined_width(s, 1.0, alpha=0.05, planned_looks_over=i > 3) for i, s in enumerate(shares)]
    assert found == pytest.approx(wanted, rel=2e-3)


def test_the_sums_of_poisson_units_have_the_clustering_of_the_units() -> None:
    series = a_series(Ramp("one", "", 40_000, Schedule(((0.5, 1.0),), looks=1), 0.1))
    num_t, den_t, num_c, den_c = (float(total[-1]) for total in series.totals)
    naive = 1 / num_t - 1 / den_t + 1 / num_c - 1 / den_c
    assert 1.3 < series.pooled.variance[-1] / naive < 2.1
    assert num_t / den_t == pytest.approx(0.052, rel=0.2)


def test_rivals_are_the_tests_they_are_called_by() -> None:
    series = a_series()
    num_t, den_t, num_c, den_c = (float(total[-1]) for total in series.totals)
    p = two_proportion_z(num_t, den_t, num_c, den_c).p_less
    assert bool(naive_once(series, 0.2).worse[-1]) == (p < 0.05)
    assert not z_once(series, 0.2).worse[:-1].any()
    low = np.zeros((40, 256))
    low[:, 0] = 1
    high = Sums(3 * low, [(0, 40)])
    apart = Series(Sums(low, [(0, 40)]), Sums(100 * low, [(0, 40)]), high, Sums(100 * low, [(0, 40)]), np.ones(40))
    assert kayenta(apart, 0.2).verdict() == Verdict(0.2, NEVER)


@pytest.mark.slow
def test_a_study_does_not_depend_on_the_number_of_processes() -> None:
    one, two = (list(study.run(["s1k"], 52, seed=4, jobs=jobs, tell=lambda line: None)) for jobs in (1, 2))
    assert one == two


def test_the_first_look_counts_and_rates_have_their_error() -> None:
    assert first(np.array([False, False])) == NEVER
    assert report.too_often(
        {"rolled_back": 0.08, "releases": 2000, "alpha": 0.05, "rollback_is": "false"}, "rolled_back"
    )
    assert not report.too_often(
        {"rolled_back": 0.08, "releases": 2000, "alpha": 0.05, "rollback_is": "right"}, "rolled_back"
    )


def test_the_command_prints_tables_and_writes_rows(tmp_path: Path) -> None:
    rows_at = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks.calibration", "s1k", "--releases", "8", "--jobs", "1"]
    done = subprocess.run([*command, "--json", str(rows_at)], capture_output=True, text=True, timeout=100, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    document = json.loads(rows_at.read_text())
    assert document["schema"] == "seatrial/calibration/v1"
    assert {row["method"] for row in document["rows"]} == {OURS, *RIVALS}
    assert "| s1k |" in done.stdout
    again = subprocess.run(
        [*command, "--json", str(rows_at), "--resume"], capture_output=True, text=True, timeout=100, cwd=ROOT
    )
    assert (again.stdout, again.stderr) == (done.stdout, "")
    assert picture(document["rows"], 8).to_dict()["layer"]
    wrong = subprocess.run([*command[:3], "s2k"], capture_output=True, text=True, timeout=100, cwd=ROOT)
    assert wrong.returncode == 2
    assert "no cell s2k" in wrong.stderr


def test_tables_go_between_the_marks_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.insert(page, "new")
    assert page.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    page.write_text("without marks\n")
    with pytest.raises(ValueError):
        report.insert(page, "new")


def test_cells_have_names_of_their_own() -> None:
    assert len({cell.name for cell in RAMPS}) == len(RAMPS)
    assert all(cell.what for cell in CELLS.values())
