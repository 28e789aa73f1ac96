"""The interval that costs least: the square-root law, curves of any shape, limits, and inputs that are not sure."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.retrain.backtest import paired
from seatrial.retrain.cadence import Costs, Limits, allowed, compare, optimum, uncertain
from seatrial.retrain.curve import Curve, straight, through

money = st.floats(1, 1e5)


@settings(max_examples=60)
@given(money, money, st.floats(0.01, 10))
def test_a_straight_decline_has_the_closed_form(run: float, loss: float, rate: float) -> None:
    best = optimum(Costs(run, loss), straight(rate))
    assert best.interval == pytest.approx(math.sqrt(2 * run / (loss * rate)), rel=1e-9)
    assert best.cost == pytest.approx(math.sqrt(2 * run * loss * rate), rel=1e-9)
    points = through([(best.interval * k / 50, rate * best.interval * k / 50) for k in range(101)])
    numeric = optimum(Costs(run, loss), points)
    assert numeric.interval == pytest.approx(best.interval, rel=1e-6)


@settings(max_examples=60)
@given(st.lists(st.floats(0, 5), min_size=1, max_size=8), money, money)
def test_no_interval_is_cheaper_on_any_curve(declines: list[float], run: float, loss: float) -> None:
    curve, costs = through([(i + 1, d) for i, d in enumerate(declines)]), Costs(run, loss)
    best = optimum(costs, curve)
    tried = [costs.per_day(curve, t) for t in np.linspace(0.01, curve.end, 400)]
    assert best.cost <= min(tried) * (1 + 1e-9)
    assert best.cost == costs.per_day(curve, best.interval)


def test_an_area_is_that_below_the_curve() -> None:
    curve = Curve((0, 2, 5), (0, 1, 4), open_end=True)
    grid = np.linspace(0, 9, 90_001)
    area = np.trapezoid([curve.decline(t) for t in grid], grid)
    assert curve.lost(9) == pytest.approx(area, rel=1e-6)
    with pytest.raises(ValueError, match="says nothing"):
        through([(1, 1)]).decline(1.1)


@pytest.mark.parametrize(
    ("limits", "interval", "binding"),
    [
        (Limits(), math.sqrt(0.8), ()),
        (Limits(grid=1), 1.0, ("grid",)),
        (Limits(least=3), 3.0, ("min_interval",)),
        (Limits(most=0.5), 0.5, ("max_interval",)),
        (Limits(label_delay=2), 2.0, ("label_delay",)),
        (Limits(label_delay=2.5, grid=1), 3.0, ("label_delay", "grid")),
        (Limits(grid=7), 7.0, ("grid",)),
        (Limits(least=0.1, most=9, label_delay=0.2), math.sqrt(0.8), ()),
    ],
)
def test_limits_that_bind_are_named(limits: Limits, interval: float, binding: tuple[str, ...]) -> None:
    found = allowed(Costs(200, 1000), straight(0.5), limits)
    assert found.interval == pytest.approx(interval)
    assert found.binding == binding


def test_a_curve_that_ends_too_early_is_told() -> None:
    best = optimum(Costs(10_000, 1), through([(30, 1.0)]))
    assert (best.interval, best.binding) == (30, ("curve_end",))
    with pytest.raises(ValueError, match="no interval"):
        allowed(Costs(200, 1000), through([(5, 1)]), Limits(least=6))
    with pytest.raises(ValueError, match="too many steps"):
        allowed(Costs(1e6, 1e-3), straight(0.01), Limits(grid=0.01))


def test_unsure_inputs_give_an_interval() -> None:
    found = uncertain([150, 200, 250], [800, 1200], [straight(0.4), straight(0.6)], 0.9)
    assert found.lower == pytest.approx(math.sqrt(2 * 150 / (1200 * 0.6)))
    assert found.upper == pytest.approx(math.sqrt(2 * 250 / (800 * 0.4)))
    assert found.regret > 0
    same = uncertain([200], [1000], [straight(0.5)], math.sqrt(0.8))
    assert (same.lower, same.regret) == (same.upper, pytest.approx(0, abs=1e-9))


def test_models_of_every_age_are_compared_by_period() -> None:
    rng = np.random.default_rng(29)

    def rows(per_hour: float) -> list[tuple[str, float, float]]:
        weather = rng.normal(0, 5, 40)
        return [
            (f"d{p}", age, 10 + weather[p] + per_hour * age + rng.normal(0, 0.05))
            for p in range(40)
            for age in range(5)
        ]

    stale, fresh = paired(rows(0.2), (1, 4)), paired(rows(0.0), (1, 4))
    assert stale.difference == pytest.approx(0.2 * 1.5, abs=0.05)
    assert stale.interval[0] > 0
    assert fresh.interval[0] < 0 < fresh.interval[1]
    for wrong in ([("a", 0.0, 1.0)], rows(0)[:11], [("a", math.nan, 1.0)] * 3, [(p, 0.0, 1.0) for p in "abc"]):
        with pytest.raises(ValueError):
            paired(wrong, (1, 4))


def test_what_means_nothing_is_refused() -> None:
    wrong = (
        lambda: Costs(0, 1),
        lambda: straight(0),
        lambda: Curve((0, 1, 1), (0, 1, 2)),
        lambda: Curve((1, 2), (0, 1)),
        lambda: through([(1, -1)]),
        lambda: Costs(1, 1).per_day(straight(1), 0),
        lambda: compare(15, (4, 1)),
        lambda: uncertain([], [1], [straight(1)], 1),
        lambda: optimum(Costs(1, 1), Curve((0, 1), (0, 0), open_end=True)),
    )
    for call in wrong:
        with pytest.raises(ValueError):
            call()
