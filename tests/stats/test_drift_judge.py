"""Drift is what is sure and large: clean windows raise no more findings than allowed, planted shifts are found."""

from dataclasses import replace

import numpy as np
import pytest

from seatrial.stats.drift.calibrate import dependence, total
from seatrial.stats.drift.categories import Categories
from seatrial.stats.drift.cells import Cells, frame_of
from seatrial.stats.drift.judge import Rules, judge, persistent
from seatrial.stats.drift.measures import Dependence, Measure, categorical, common_bins, compared, numeric
from seatrial.stats.drift.psi import no_drift_p

Floats = np.ndarray


def pair(x: Floats, y: Floats) -> dict[str, Measure]:
    frame = frame_of(x)
    return {m.name: m for m in numeric(Cells.of(frame, x), Cells.of(frame, y))}


SAMPLERS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy": lambda rng, n: rng.standard_t(2.5, size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1.5, size=n),
    "ties": lambda rng, n: rng.poisson(3, size=n).astype(float),
    "flags": lambda rng, n: (rng.random(n) < 0.1).astype(float),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SAMPLERS)
def test_p_values_are_honest_without_drift(shape: str) -> None:
    rng, small = np.random.default_rng(1), dict.fromkeys(("psi", "js", "ks", "wasserstein", "tail", "mmd"), 0)
    for _ in range(600):
        found = pair(SAMPLERS[shape](rng, 20_000), SAMPLERS[shape](rng, 6_000))
        for name in small:
            p = found[name].p_value
            small[name] += p is not None and p <= 0.05
    assert max(small.values()) / 600 < 0.085, small
    shifted = pair(SAMPLERS[shape](rng, 20_000), SAMPLERS[shape](rng, 6_000) + 0.5)
    assert min(m.p_value for n, m in shifted.items() if n in ("psi", "js", "ks", "wasserstein", "mmd")) < 1e-6


def test_the_tail_is_seen_by_the_area_and_by_nothing_else() -> None:
    rng = np.random.default_rng(16)
    x = np.sort(rng.normal(size=100_000))
    y = x.copy()
    y[-1_000:] += 5
    found = pair(x, y)
    assert found["psi"].value == pytest.approx(0, abs=1e-12)
    assert found["ks"].value == pytest.approx(0.01, abs=1e-12)
    assert found["wasserstein"].value == pytest.approx(0.05, abs=0.001)
    assert found["tail"].value == pytest.approx(5, abs=0.05)
    judged = {f.measure: f for f in judge({"x": list(found.values())}, Rules())}
    assert (judged["psi"].drift, judged["tail"].drift) == (False, True)
    assert not any(f.drift for f in judge({"x": list(found.values())}, Rules(measures={"x": ("ks", "psi")})))
    same = pair(x, rng.normal(size=50_000))
    assert not any(f.drift for f in judge({"x": list(same.values())}, Rules()))


def test_a_trivial_shift_of_many_values_is_sure_and_too_small() -> None:
    rng = np.random.default_rng(8)
    rules = Rules(everywhere=("ks",))
    for shift, drift in ((0.02, False), (0.5, True)):
        found = pair(rng.normal(size=200_000), rng.normal(shift, 1, size=200_000))
        ks = next(f for f in judge({"x": list(found.values())}, rules) if f.measure == "ks")
        assert ks.adjusted is not None
        assert ks.adjusted < 0.001
        assert ks.drift is drift


@pytest.mark.slow
def test_many_columns_without_drift_raise_few_findings() -> None:
    """100 columns and 60 windows; without a least size, so that alpha alone has to hold."""
    rng, rules, alarms = np.random.default_rng(4), Rules(alpha=0.05, least={"psi": 0.0, "missing": 0.0}), 0
    reference = [Categories(dict(zip("abcdef", rng.multinomial(20_000, [1 / 6] * 6).tolist(), strict=True)))
                 for _ in range(100)]  # fmt: skip
    for window in range(60):
        now = [Categories(dict(zip("abcdef", rng.multinomial(2_000, [1 / 6] * 6).tolist(), strict=True)))
               for _ in range(100)]  # fmt: skip
        if window == 59:
            now[7] = Categories({"a": 700, "b": 260, "c": 260, "d": 260, "e": 260, "f": 260})
        found = judge({str(i): categorical(r, c) for i, (r, c) in enumerate(zip(reference, now, strict=True))}, rules)
        drifted = {f.column for f in found if f.drift}
        alarms += bool(drifted - {"7"})
        assert window < 59 or "7" in drifted
    assert alarms <= 8, "of 60 windows 5% may have a finding: 3, and by chance up to 8"


def test_chunks_of_the_reference_tell_how_far_apart_days_lie() -> None:
    """Days have levels of their own: rows of one day are alike, and as many rows say less than they seem to."""
    rng = np.random.default_rng(11)

    def day(shift: float = 0.0) -> Floats:
        return rng.normal(rng.normal(shift, 0.4), 1, size=400)

    days = [day() for _ in range(40)]
    frame = frame_of(np.concatenate(days))
    chunks = [Cells.of(frame, one) for one in days]
    whole = Cells.of(frame, np.concatenate(days))
    factor = dependence(chunks)
    assert factor.scale > 5
    naive, honest = 0, 0
    for _ in range(60):
        now = Cells.of(frame, day())
        naive += next(m for m in numeric(whole, now) if m.name == "psi").p_value < 0.05
        honest += next(m for m in numeric(whole, now, factor) if m.name == "psi").p_value < 0.05
    assert naive > 40
    assert honest <= 9
    moved = next(m for m in numeric(whole, Cells.of(frame, day(3.0)), factor) if m.name == "psi")
    assert moved.p_value < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("chunks", "level"), [(52, 0.1), (52, 0.3), (10, 0.1)])
def test_few_chunks_raise_no_more_alarms_than_many(chunks: int, level: float) -> None:
    """Four references, a year of weeks after each, ten columns: how uneven weeks are is estimated, and that counts."""
    rng, alarms, found = np.random.default_rng(23), 0, 0
    rules = Rules(least=dict.fromkeys(("psi", "tail", "missing"), 0.0))

    def week(shift: float = 0.0) -> Floats:
        return rng.normal(rng.normal(shift, level), 1, size=400)

    for _ in range(4):
        known = []
        for _ in range(10):
            weeks = [week() for _ in range(chunks)]
            frame = frame_of(np.concatenate(weeks))
            counted = [Cells.of(frame, one) for one in weeks]
            known.append((frame, total(counted), dependence(counted)))
        for number in range(52):
            moved = 9 * level if number == 51 else 0.0
            measures = {str(i): numeric(whole, Cells.of(frame, week(0.0 if i else moved)), learned)
                        for i, (frame, whole, learned) in enumerate(known)}  # fmt: skip
            drifted = {f.column for f in judge(measures, rules) if f.drift}
            alarms += bool(drifted - ({"0"} if moved else set()))
            found += bool(moved) and "0" in drifted
    assert alarms <= 20, f"{alarms} of 208 weeks: 5% are 10, and by chance up to 20"
    assert found == 4


def test_a_weighted_sum_of_squares_is_told_from_a_plain_one() -> None:
    """One direction moves five times as much as the others: the exact tail, by simulation, against the calibrated p."""
    rng = np.random.default_rng(5)
    draws = (rng.normal(size=(200_000, 9)) ** 2) @ np.array([5.0, *[1.0] * 8])
    learned = Dependence(scale=133 / 33, share=33**3 / 133**2 / 9, floor=(13 - 33**2 / 133) / 9)
    for alpha in (0.05, 0.01, 0.001):
        assert learned.chi_square_p(float(np.quantile(draws, 1 - alpha)), 9) == pytest.approx(alpha, rel=0.25)
    estimated = replace(learned, known=20.0)
    assert estimated.chi_square_p(60.0, 9) > 3 * learned.chi_square_p(60.0, 9), "estimated from little"
    assert Dependence(scale=0.5).chi_square_p(20.0, 9) == Dependence().chi_square_p(20.0, 9), "never surer"


def test_what_is_missing_is_judged_and_a_bin() -> None:
    x = np.arange(1000.0)
    holes = np.where(np.arange(1000) % 4, x, np.nan)
    found = pair(x, holes)
    assert found["missing"].value == 0.25
    assert found["psi"].value is not None
    assert found["psi"].value > 0.5
    assert found["ks"].value < 0.01
    assert {f.measure for f in judge({"x": list(found.values())}, Rules()) if f.drift} == {"psi", "missing"}


@pytest.mark.parametrize("odd", [[], [np.nan] * 50, [7.0] * 50, [1.0] * 3, [np.inf] * 50, [1.0] * 49 + [2.0]])
def test_odd_columns_have_defined_results(odd: list[float]) -> None:
    x = np.random.default_rng(2).normal(size=500)
    for first, second in ((x, np.array(odd)), (np.array(odd), x), (np.array(odd), np.array(odd))):
        found = pair(first, second)
        judge({"x": list(found.values())}, Rules())
        for measure in found.values():
            assert measure.value is None or measure.value >= 0
            assert measure.p_value is None or 0 <= measure.p_value <= 1
    assert not any(f.drift for f in judge({"x": list(pair(np.array(odd), np.array(odd)).values())}, Rules()))
    constant = pair(np.full(500, 7.0), np.full(500, 8.0))
    assert constant["ks"].value == 1.0
    assert constant["psi"].p_value < 1e-9


def test_drift_that_lasts() -> None:
    def window(*names: str) -> list:  # type: ignore[type-arg]
        return list(judge({name: [Measure("psi", 0.9, 1e-9)] for name in names}, Rules()))

    windows = [window("a"), window(), window("a", "b"), window("b"), window("b")]
    assert [sorted(found) for found in persistent(windows, 1)] == [["a"], [], ["a", "b"], ["b"], ["b"]]
    assert [sorted(found) for found in persistent(windows, 2)] == [[], [], [], ["b"], ["b"]]
    assert [sorted(found) for found in persistent(windows, 3)] == [[], [], [], [], ["b"]]
    with pytest.raises(ValueError):
        persistent(windows, 0)


def test_exactly_at_the_threshold_is_drift() -> None:
    rules = Rules(least={"psi": 0.25}, alpha=0.05)
    for value, p, drift in ((0.25, 0.05, True), (0.2499, 0.05, False), (0.25, 0.0501, False)):
        assert judge({"x": [Measure("psi", value, p)]}, rules)[0].drift is drift


def test_numbers_are_not_compared_with_categories() -> None:
    numbers, names = Cells.of(frame_of([1.0]), [1.0]), Categories({"1": 1})
    for wrong in (lambda: compared(numbers, names), lambda: common_bins(names, numbers)):
        with pytest.raises(ValueError, match="compared with numbers"):
            wrong()
    assert dependence([names]) == Dependence()
    assert no_drift_p(0.0, 5, 5, 3) == 1.0
    with pytest.raises(ValueError):
        Rules(alpha=0)
