"""When sums are judged at all: not while a few large values carry the mean, and at once when they are capped."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Sums, Tally
from seatrial.ids import CANARY, CHAMPION, ModelName, RolloutId, VersionNumber
from seatrial.rollout.gates import judge
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Step
from seatrial.rollout.stages import Stage
from seatrial.rollout.start import start
from seatrial.rollout.verdicts import MetricVerdict
from seatrial.rollout.wording import harm_text
from seatrial.values import Margin, Share

T0 = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = 20_000


def sums(orders: int, mean: float, cap: float, rng: np.random.Generator) -> Sums:
    """Orders with a heavy tail (lognormal, sigma 1.5) in buckets of units, each counted for the cap at most."""
    bucket = rng.integers(0, UNIT_BUCKETS, orders)
    values = np.minimum(rng.lognormal(-1.125, 1.5, orders) * mean, cap)
    found = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
    found[:, 0] = np.bincount(bucket, minlength=UNIT_BUCKETS)
    found[:, 1] = np.rint(np.bincount(bucket, values, UNIT_BUCKETS) * MICRO)
    found[:, 2] = found[:, 0] * MICRO
    return found


def judged(cap: float | None, *, mean: float = 1.0, share: float = 0.1) -> MetricVerdict:
    metric = Metric(name="basket", kind="mean", outcome="amount", margin=Margin(0.15, "relative"), cap=cap)
    plan = Plan(name="p", metrics=(metric,), steps=(Step(set_weight=Share(round(10_000 * share))),))
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    state = start(plan, *ids, "salt", T0, "ann")[1]
    rng, most = np.random.default_rng(5), cap or np.inf
    cells = {
        Cell(1, 0, TOTAL, CANARY): sums(round(ORDERS * share), mean, most, rng),
        Cell(1, 0, TOTAL, CHAMPION): sums(round(ORDERS * (1 - share)), 1.0, most, rng),
    }
    evidence = Evidence(at=T0, metrics={"basket": MetricEvidence(Tally(cells))})
    return judge(plan, Stage(0, "canary", 1_000, 0), True, state, evidence).verdicts[0]


def test_a_heavy_tail_waits_and_says_what_helps() -> None:
    for mean in (1.0, 0.6):
        found = judged(None, mean=mean)
        assert (found.verdict, found.status) == ("insufficient", "not_enough")
        assert "a few large values carry the mean" in found.needs
        assert found.needs.endswith("or 'cap' them in the plan")


def test_capped_values_are_judged() -> None:
    assert judged(10.0).verdict == "pass"
    worse = judged(10.0, mean=0.6)
    assert worse.verdict == "fail"
    assert harm_text(worse).endswith("n 2,000 canary / 18,000 champion exposures, values capped at 10")


def test_equal_arms_are_judged_without_a_cap() -> None:
    assert judged(None, mean=0.6, share=0.5).verdict == "fail"
