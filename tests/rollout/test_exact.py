"""Rare events judged on units: what passes, what fails, and that old units excuse nothing after a strike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from seatrial.evidence.facts import MutableFacts, Seen, UnitRow
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import Arm, ModelName, RolloutId, VersionNumber
from seatrial.rollout.exact import judge_rare
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Shadow, Step
from seatrial.rollout.start import start
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import Arms, MetricVerdict
from seatrial.values import Margin, Share

T0 = datetime(2026, 3, 1, tzinfo=UTC)
ERRORS = Metric(name="errors", kind="error_rate", margin=Margin.parse("2pp"))
PLAN = Plan(
    name="p", metrics=(ERRORS,), steps=(Step(shadow=Shadow()), Step(set_weight=Share.parse("10%")))
)  # fmt: skip


def state(*weights: int, epoch: int = 1) -> RolloutState:
    """One phase a weight; a weight of 0 is a shadow of everybody."""
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    phases = tuple(Phase(n, min(w, 1), w, 0 if w else 10_000, T0) for n, w in enumerate(weights, 1))
    return replace(start(PLAN, *ids, "salt", T0, "ann")[1], phases=phases, epoch=epoch)


class World:
    """Units that were seen in phases and arms, some with errors."""

    def __init__(self) -> None:
        self.facts = MutableFacts()
        self.units = 0

    def see(self, phase: int, arm: Arm, units: int, errors: int = 0, mirrored: Arm | None = None) -> World:
        """New units in an arm; with ``mirrored``, a copy of each reached that arm too, without errors."""
        for n in range(units):
            self.units += 1
            met = frozenset({"errors"}) if n < errors else frozenset()
            name = f"u{self.units}"
            self.facts.absorb([UnitRow(name, Seen(self.units, name, phase, arm), met)])
            if mirrored is not None:
                self.facts.absorb([UnitRow(name, Seen(self.units, name, phase, mirrored), frozenset())])
        return self

    def judge(self, state: RolloutState, arms: Arms = "live", metric: Metric = ERRORS) -> MetricVerdict:
        epoch = [p for p in state.phases if p.number >= state.epoch]
        counts = self.facts.counts(
            live=[p.number for p in epoch if p.weight], mirrored=[p.number for p in epoch if p.mirrored]
        )
        return judge_rare(PLAN, metric, arms, 1.0, 0.05, state, Evidence(at=T0, units=counts))


def test_no_error_anywhere_passes_with_enough_units_and_not_before() -> None:
    few = World().see(1, "canary", 100).see(1, "champion", 900).judge(state(1_000))
    assert (few.verdict, few.needs[:5]) == ("inconclusive", "needs")
    assert World().see(1, "canary", 300).see(1, "champion", 2_700).judge(state(1_000)).verdict == "pass"


def test_nobody_there_is_no_pass() -> None:
    assert World().judge(state(1_000)).verdict == "insufficient"


@pytest.mark.parametrize(("errors", "verdict"), [(0, "pass"), (8, "fail")])
def test_a_failure_new_in_the_canary_is_found(errors: int, verdict: str) -> None:
    """0 of 5,000 against 8 of 300: where a pooled z-test has no variance to speak of."""
    world = World().see(1, "canary", 300, errors).see(1, "champion", 5_000)
    assert world.judge(state(1_000)).verdict == verdict


def test_both_arms_failing_alike_is_not_the_canarys_doing() -> None:
    world = World().see(1, "canary", 300, 30).see(1, "champion", 2_700, 270)
    assert world.judge(state(1_000)).verdict == "inconclusive"
    worse = World().see(1, "canary", 300, 90).see(1, "champion", 2_700, 270)
    assert worse.judge(state(1_000)).verdict == "fail"


def test_units_that_failed_as_champions_and_fail_again_count_in_the_canary_too() -> None:
    world = World().see(1, "champion", 1_000, 60).see(1, "canary", 100).see(2, "champion", 5_000, 50)
    for n in range(1, 1_001):
        met = frozenset({"errors"}) if n <= 60 else frozenset()
        world.facts.absorb([UnitRow(f"u{n}", Seen(10_000 + n, f"again{n}", 2, "canary"), met)])
    judged = world.judge(state(164, 1_800))
    assert judged.verdict != "pass", "6% of the canary's units fail, 1% of the champion's; 2pp are tolerable"
    healthy = World().see(1, "champion", 6_000).see(2, "champion", 5_000).see(2, "canary", 1_000)
    assert healthy.judge(state(164, 1_800)).verdict == "pass"


def test_units_that_were_watched_for_longer_excuse_nothing() -> None:
    """On a ramp the champion's units have had more time to meet an error: 5% of them have, in a long first phase."""
    before = World().see(1, "champion", 9_000, 450).see(1, "canary", 1_000, 50)
    harmed = before.see(2, "champion", 3_000, 30).see(2, "canary", 3_000, 150)
    judged = harmed.judge(state(1_000, 5_000))
    assert judged.verdict == "fail", "5% against 1% in the present phase, and the same 5% in both arms before"
    before = World().see(1, "champion", 9_000, 450).see(1, "canary", 1_000, 50)
    equal = before.see(2, "champion", 3_000, 60).see(2, "canary", 3_000, 60).judge(state(1_000, 5_000))
    assert (equal.verdict, equal.count_candidate, equal.estimate) == ("pass", 3_000, 0.0)


def test_a_new_phase_begins_with_nothing_known() -> None:
    world = World().see(1, "canary", 3_000).see(1, "champion", 27_000)
    assert world.judge(state(1_000)).verdict == "pass"
    assert world.judge(state(1_000, 5_000)).verdict == "insufficient"


def test_after_a_strike_old_units_neither_excuse_harm_nor_give_a_pass() -> None:
    struck = state(1_000, 0, 1_000, epoch=2)
    healthy_before = World().see(1, "canary", 3_000).see(1, "champion", 27_000)
    again = healthy_before.see(3, "canary", 60, 12).see(3, "champion", 540)
    assert again.judge(struck).verdict == "fail"
    quiet = World().see(1, "canary", 3_000).see(1, "champion", 27_000).see(3, "canary", 60).see(3, "champion", 540)
    assert quiet.judge(struck).verdict == "inconclusive", "60 units are not enough, whatever was before"
    enough = quiet.see(3, "canary", 300).see(3, "champion", 2_700)
    assert enough.judge(struck).verdict == "pass"


def test_a_shadow_is_counted_on_the_units_of_its_own_epoch() -> None:
    struck = state(0, 1_000, 0, epoch=3)
    world = World().see(1, "shadow", 2_000, mirrored="champion")
    world.see(3, "shadow", 100, 12, mirrored="champion")
    verdict = world.judge(struck, "shadow")
    assert (verdict.verdict, verdict.count_candidate) == ("fail", 100)
    assert verdict.estimate == pytest.approx(0.12)
    healthy = World().see(1, "shadow", 2_000, mirrored="champion").see(3, "shadow", 400, mirrored="champion")
    assert healthy.judge(struck, "shadow").verdict == "pass"
