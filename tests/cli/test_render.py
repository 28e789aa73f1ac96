"""The tree of a rollout, as text that is fixed: what a user reads is part of the interface."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from seatrial.cli import render
from seatrial.cli.plan import tables as plan_tables
from seatrial.control.documents.explanation import explanation_document
from seatrial.control.documents.plans import plan_document
from seatrial.control.documents.rollouts import rollout_document
from seatrial.control.states import decision_to_json, state_to_json
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import by_hand, start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Alarm, Decision, Judgement, MetricVerdict, Signals
from seatrial.store.canonical import canonical
from seatrial.store.decisions import StoredDecision
from seatrial.store.plans import parse_plan, plan_to_json
from seatrial.store.rollouts import StoredRollout

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = parse_plan("""
name: standard
deadline: 14d
metrics:
  - {name: log_loss, kind: loss, loss: log_loss, outcome: label, horizon: 1h, margin: 5%}
  - {name: errors, kind: error_rate, margin: 1pp}
  - {name: revenue, kind: mean, outcome: revenue, horizon: 1h, role: signal}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 3d}
  - setWeight: 10%
  - pause: {duration: 2d}
  - setWeight: 50%
  - pause: {}
  - setWeight: 100%
""")


def verdict(metric: str, **given: Any) -> MetricVerdict:
    base: dict[str, Any] = {
        "metric": metric, "role": "guardrail", "arms": "live", "verdict": "pass", "status": "ok",
        "method": "joined boundary", "scale": "relative", "better": "decrease", "bound": 0.05, "margin": 0.05,
        "estimate": -0.127, "lower": -0.182, "upper": -0.069, "count_candidate": 2933, "count_champion": 26400,
        "units_candidate": 800, "units_champion": 7200,
    }  # fmt: skip
    return MetricVerdict(**{**base, **given})


ERRORS: dict[str, Any] = {
    "method": "exact first events", "scale": "absolute", "bound": 0.01, "margin": 0.01,
    "estimate": 0.002, "lower": -0.004, "upper": 0.016, "count_candidate": 800, "count_champion": 7200,
}  # fmt: skip
REVENUE = verdict(
    "revenue", role="signal", scale="relative", better="increase", estimate=0.01, lower=-0.03, upper=0.05, bound=-0.05
)


class Story:
    """A rollout by real decisions; ``document`` is what is shown of it."""

    def __init__(self) -> None:
        decision, self.state = start(
            PLAN, RolloutId("r-0003"), ModelName("fraud"), VersionNumber(11), VersionNumber(12), "s", BEGAN, "ann"
        )
        self.decisions = [decision]

    def look(self, after: timedelta, *verdicts: MetricVerdict, alarms: tuple[Alarm, ...] = ()) -> Decision:
        judgement = Judgement(
            verdicts=verdicts, signals=(REVENUE,), alarms=alarms, units=800, outcomes=2933, pairs=9000
        )
        decision = decide(PLAN, self.state, judgement, Signals(), BEGAN + after)
        self.state: RolloutState = evolve(self.state, judgement, decision)
        self.decisions.append(decision)
        return decision

    def hand(self, verb: Any, after: timedelta, reason: str = "") -> None:
        now = BEGAN + after
        decision, self.state = by_hand(PLAN, self.state, verb, full=False, reason=reason, actor="ann", now=now)
        self.decisions.append(decision)

    def explanation(self) -> dict[str, Any]:
        return explanation_document(*self._stored())

    def document(self, actual: float | None = None) -> dict[str, Any]:
        return rollout_document(*self._stored(), actual)

    def _stored(self) -> tuple[StoredRollout, Plan, RolloutState, list[StoredDecision]]:
        stored = StoredRollout(
            RolloutId("r-0003"), ModelName("fraud"), VersionNumber(12), VersionNumber(11),
            canonical(plan_to_json(PLAN)), state_to_json(self.state), self.state.status, not self.state.over, 4,
            BEGAN, BEGAN,
        )  # fmt: skip
        kept = [
            StoredDecision(d.rollout, n, d.at, d.action, d.rule, d.stage, decision_to_json(d), None)
            for n, d in enumerate(self.decisions, start=1)
        ]
        return stored, PLAN, self.state, kept


def test_a_rollout_under_way() -> None:
    story = Story()
    story.look(timedelta(days=3), verdict("log_loss", arms="shadow"), verdict("errors", **ERRORS, arms="shadow"))
    story.look(
        timedelta(days=6),
        verdict("log_loss"),
        verdict("errors", **ERRORS, verdict="inconclusive", needs="needs 400 more units without a new event"),
    )
    assert (
        render.tree(story.document(actual=1000.0))
        == """\
Name:            r-0003
Status:          ◌ Progressing
Message:         errors is inconclusive
Model:           fraud v12 against v11
Plan:            standard
  Step:          2/4
  SetWeight:     10%
  ActualWeight:  10%
  Strikes:       0 of 2 at this step, 0 of 4 in all
  Deadline:      2026-03-15 00:00 (in 8d, then hold)

⟳ r-0003
├── ✔ shadow 3d
├── ◌ canary 10% 3d of at least 2d
├── · canary 50% · ends by hand
└── · everyone

Look 2 at 2026-03-07 00:00
✔ log_loss −12.7% [−18.2%, −6.9%] must stay below +5.0% · n 2,933 canary / 26,400 champion exposures · look 2 · pass
? errors +0.20pp [−0.40pp, +1.60pp] must stay below +1.00pp · n 800 canary / 7,200 champion units · look 2 · inconclusive
  needs 400 more units without a new event, about 2026-03-08 12:00
Signals (shown, not judged)
✔ revenue +1.0% [−3.0%, +5.0%] must stay above −5.0% · n 2,933 canary / 26,400 champion exposures · look 2 · pass

Decisions
2026-03-01 00:00  start      start           fraud v12 against v11 by plan standard (ann)
2026-03-04 00:00  advance    advance         every guardrail excludes a loss of 3 margins
2026-03-07 00:00  extend     not_proven      errors is inconclusive"""
    )


def test_a_rollout_that_was_stopped() -> None:
    story = Story()
    alarm = Alarm(kind="limit", text="errors: 31.0% of 200 canary requests in this time bucket, limit 20.0%")
    story.look(timedelta(hours=1), verdict("log_loss", verdict="insufficient", estimate=None, lower=None, upper=None,
                                           arms="shadow", needs="needs 92 more shadow units (8 of 100)"),
               alarms=(alarm,))  # fmt: skip
    text = render.tree(story.document())
    assert "Status:          ✖ Aborted\nMessage:         errors: 31.0% of 200 canary requests" in text
    assert "  ActualWeight:  -\n" in text
    assert "├── ✖ shadow 1h\n├── · canary 10%" in text
    assert "\n⚠ limit: errors: 31.0%" in text
    assert (
        "\n◌ log_loss must stay below +5.0% · n 2,933 shadow / 26,400 champion exposures · look 1 · insufficient\n"
        in text
    )
    assert "  needs 92 more shadow units (8 of 100)\n" in text, "no date: nothing more comes after an abort"


def test_a_rollout_that_is_paused_by_hand_keeps_its_verdicts() -> None:
    story = Story()
    story.look(timedelta(days=1), verdict("log_loss", arms="shadow"))
    story.hand("pause", timedelta(days=1, hours=1), "holiday")
    text = render.tree(story.document())
    assert "Status:          ॥ Paused\nMessage:         holiday\n" in text
    assert "├── ॥ shadow 1d of at least 3d" in text
    assert "✔ log_loss −12.7%" in text
    assert text.endswith("2026-03-02 01:00  pause      manual          holiday (ann)")


def test_a_promotion_by_hand_shows_what_it_skipped() -> None:
    story = Story()
    story.state = by_hand(
        PLAN, story.state, "promote", full=True, reason="fire", actor="ann", now=BEGAN + timedelta(hours=2)
    )[1]
    text = render.tree(story.document())
    assert "✔ Promoted" in text
    assert "  Step:          4/4\n  SetWeight:     100%" in text
    assert "├── ✔ shadow 2h\n├── » canary 10%" in text
    assert "└── ✔ everyone" in text


def test_strikes_are_counted_where_they_fell() -> None:
    story = Story()
    story.look(timedelta(days=3), verdict("log_loss", arms="shadow"))
    bad = verdict("log_loss", verdict="fail", estimate=0.31, lower=0.12, upper=0.52)
    assert story.look(timedelta(days=4), bad).action == "step_back"
    text = render.tree(story.document())
    assert "  Strikes:       0 of 2 at this step, 1 of 4 in all" in text
    assert "├── ◌ shadow 3d of at least 3d\n├── · canary 10% 1d of at least 2d · 1 strike\n" in text
    assert "✖ log_loss +31.0% [+12.0%, +52.0%]" in text


def test_decisions_that_repeat_each_other_are_one_line() -> None:
    story = Story()
    for hours in (1, 2, 3):
        story.look(timedelta(hours=hours), verdict("log_loss", arms="shadow"))
    *_, began, held = render.tree(story.document()).splitlines()
    assert began.startswith("2026-03-01 00:00  start ")
    assert held.startswith("2026-03-01 01:00  hold       min_duration    shadow lasts until 2026-03-04 00:00 ")
    assert held.endswith("· again until 2026-03-01 03:00")


def test_the_explanation_names_the_rules_in_their_order() -> None:
    story = Story()
    story.look(
        timedelta(days=3), verdict("log_loss", verdict="inconclusive", needs="needs about 10 more", arms="shadow")
    )
    text = render.explanation(story.explanation())
    lines = text.splitlines()
    assert lines[0] == "r-0003 look 1 at 2026-03-04 00:00: extend — log_loss is inconclusive"
    assert lines[2].split() == ["1", "killed", "silent"]
    assert next(line for line in lines if "not_proven" in line).split()[1:4] == ["not_proven", "→", "extend:"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m"), (3600, "1h"), (129600, "1d12h"), (86400 * 20 + 61, "20d1m")]
)
def test_spans(seconds: float, text: str) -> None:
    assert render.span(seconds) == text


def test_an_explained_plan_says_which_values_are_capped() -> None:
    capped = parse_plan(
        "{name: p, steps: [{setWeight: 10%}], metrics: "
        "[{name: basket, kind: mean, outcome: sum, horizon: 1h, margin: 5%, cap: 250}]}"
    )
    assert "basket: a value above 250 counts as 250" in plan_tables.rules(plan_document(capped)).splitlines()
    assert "counts as" not in plan_tables.rules(plan_document(PLAN))
