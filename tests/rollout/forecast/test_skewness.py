"""A forecast waits for large values as the gates will: until the estimate's skewness is what the boundary tolerates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.ids import CANARY, CHAMPION
from seatrial.rollout.forecast import declare, forecast, observe
from seatrial.rollout.forecast.needs import Slot, evened
from seatrial.rollout.forecast.traffic import Traffic
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Step
from seatrial.rollout.stages import Stage
from seatrial.rollout.start_rule import MAX_SKEWNESS, may_judge
from seatrial.stats.clustered import stratified_effect
from seatrial.values import Duration, Margin, Share

BASKET = Metric(
    name="basket", kind="mean", outcome="amount", horizon=Duration(3600.0, "1h"), margin=Margin(0.05, "relative")
)
GAMMA = 33.5
"""Skewness of a lognormal with sigma 1.5, computed: (e^s2 + 2) sqrt(e^s2 - 1)."""


def exponential(orders: int, seed: int) -> np.ndarray:
    """Sums of exponential values (skewness 2) in buckets of units: orders and their values."""
    rng = np.random.default_rng(seed)
    bucket, values = rng.integers(0, UNIT_BUCKETS, orders), rng.exponential(1.0, orders)
    count = np.bincount(bucket, minlength=UNIT_BUCKETS)
    return np.stack([count, np.bincount(bucket, values, UNIT_BUCKETS), count])


def slots(*stages: tuple[float, float, float]) -> list[Slot]:
    return [Slot(Stage(n, "canary", round(10_000 * w), 0), start, end) for n, (w, start, end) in enumerate(stages)]


def traffic(skewness: float, per_day: float = 10_000.0) -> Traffic:
    return declare(BASKET, per_day, 48.0, deviation=96.0, skewness=skewness)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_the_days_are_those_after_which_the_skewness_is_tolerable(share: float) -> None:
    days = evened(traffic(GAMMA), slots((share, 0.0, 0.0)))
    n = 10_000 * days
    assert GAMMA * (1 - 2 * share) / np.sqrt(n * share * (1 - share)) == pytest.approx(MAX_SKEWNESS, rel=1e-6)


def test_what_was_gathered_at_smaller_shares_counts_and_the_even_split_is_never_skewed() -> None:
    assert evened(traffic(GAMMA), slots((0.5, 0.0, 0.0))) == pytest.approx(0.0, abs=1e-5)
    alone = evened(traffic(GAMMA), slots((0.1, 0.0, 0.0)))
    later = evened(traffic(GAMMA), slots((0.1, 0.0, alone / 2), (0.3, alone / 2, 0.0)))
    assert 0 < later < alone / 2, "three times as much a day, and less askew"
    assert evened(traffic(GAMMA), slots((0.1, 0.0, alone), (0.3, alone, 0.0))) == 0.0
    assert evened(traffic(0.5), slots((0.1, 0.0, 0.0))) < alone / 1_000, "ordinary values do not wait"
    assert evened(traffic(-GAMMA), slots((0.1, 0.0, 0.0))) == pytest.approx(alone), "nor does the sign matter"


def test_a_log_tells_the_skewness_and_shares_have_none() -> None:
    count, num, den = exponential(40_000, 3)
    cells = {Cell(1, 0, TOTAL, CHAMPION): np.column_stack([count, num * MICRO, den * MICRO]).astype(np.int64)}
    values = observe(Tally(cells), 1.0, 20_000)
    share = observe(Tally(cells), 1.0, 20_000, share=True)
    assert values is not None
    assert share is not None
    assert share.skewness == 0.0
    assert abs(values.skewness) < 20, "chance alone shows up to two standard errors, and is not believed"
    heavy = num.copy()
    heavy[7] += 3_000.0
    cells = {Cell(1, 0, TOTAL, CHAMPION): np.column_stack([count, heavy * MICRO, den * MICRO]).astype(np.int64)}
    tailed = observe(Tally(cells), 1.0, 20_000)
    assert tailed is not None
    assert tailed.skewness > 50 * max(1.0, abs(values.skewness) / 20)
    both = {Cell(1, 0, TOTAL, CANARY): cells[Cell(1, 0, TOTAL, CHAMPION)] // 10, **cells}
    s = Tally(both).strata(CANARY, CHAMPION)
    effect = stratified_effect(s.count_t, s.num_t, s.den_t, s.count_c, s.num_c, s.den_c, scale="log")
    w, n = 1 / 11, 44_000
    predicted = tailed.skewness * (1 - 2 * w) / np.sqrt(n * w * (1 - w))
    assert effect.skewness == pytest.approx(predicted, rel=0.05), "the forecast's formula is that of the gates' effect"
    assert not may_judge(BASKET, effect, 1_000)


def test_the_forecast_names_the_cap() -> None:
    plan = Plan(name="p", metrics=(BASKET,), steps=(Step(set_weight=Share(1_000)),))
    found = forecast(plan, {"basket": traffic(200.0, 200_000.0)})
    texts = [c.text for c in found.stages[0].constraints if c.by == "start rule"]
    assert any(text.endswith("or 'cap' them in the plan") for text in texts)
    capped = replace(plan, metrics=(replace(BASKET, cap=500.0),))
    texts = [c.text for c in forecast(capped, {"basket": traffic(200.0, 200_000.0)}).stages[0].constraints]
    assert any("a lower cap than 500" in text for text in texts)
    assert found.stages[0].binding.by == "start rule"
    plain = forecast(plan, {"basket": traffic(0.0, 200_000.0)})
    assert plain.stages[0].binding.by != "start rule", "and without a tail the sample binds"
    assert plain.stages[0].binding.days < found.stages[0].binding.days
