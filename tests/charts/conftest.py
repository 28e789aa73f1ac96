"""A rollout made by the real rules from verdicts written by hand: two days a stage, one look every three hours."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.start import start
from seatrial.rollout.verdicts import Decision, Judgement, MetricVerdict, Signals
from seatrial.store.plans import parse_plan

START = datetime(2026, 3, 2, tzinfo=UTC)
Walk = Callable[..., list[Decision]]
Drawn = Callable[[Any, str], list[tuple[dict[str, Any], list[dict[str, Any]]]]]


@pytest.fixture
def plan() -> Plan:
    return parse_plan("""
        name: standard
        steps:
        - shadow: {share: 100%}
        - pause: {duration: 2d}
        - setWeight: 5%
        - pause: {duration: 2d}
        - setWeight: 25%
        - pause: {duration: 2d}
        - setWeight: 100%
        metrics:
        - {name: log_loss, kind: loss, loss: log_loss, outcome: late, horizon: 6h, margin: 1.5%}
        - {name: errors, kind: error_rate, margin: 1pp}
    """)


@pytest.fixture
def walk(plan: Plan) -> Walk:
    """``walk(loss)``: the decisions when log loss differs by ``loss(hours)``; the interval is one point each way."""

    def run(loss: Callable[[int], float], *, hours: int = 400, every: int = 3) -> list[Decision]:
        decision, state = start(
            plan, RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2), "salt", START, "ana"
        )
        decisions, stages = [decision], compile_stages(plan)
        for hour in range(every, hours, every):
            stage = stages[state.stage]
            factor = 1.0 if state.stage + 1 == len(stages) else stage.tolerance
            arms = "shadow" if stage.kind == "shadow" else "live"
            common = {"role": "guardrail", "arms": arms, "status": "ok", "better": "decrease"}
            bad = loss(hour)
            found = "fail" if bad > 0.01 else "pass"
            verdicts = (
                MetricVerdict(
                    metric="log_loss", method="joined boundary", scale="relative", bound=0.015 * factor, margin=0.015,
                    estimate=bad, lower=bad - 0.01, upper=bad + 0.01, verdict=found, **common,
                ),
                MetricVerdict(
                    metric="errors", method="exact first events", scale="absolute", bound=0.01 * factor, margin=0.01,
                    estimate=0.0005, lower=-0.002, upper=0.003, verdict="pass", **common,
                ),
            )  # fmt: skip
            judged = Judgement(verdicts=verdicts, units=500, outcomes=500, pairs=500)
            decision = decide(plan, state, judged, Signals(), START + timedelta(hours=hour))
            state = evolve(state, judged, decision)
            decisions.append(decision)
            if state.over:
                break
        return decisions

    return run


@pytest.fixture
def drawn() -> Drawn:
    """``drawn(chart, mark)``: the layers of a mark with the rows they draw; checks the Vega-Lite schema on the way."""

    def find(chart: Any, mark: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        spec = chart.to_dict()
        layers = [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]
        return [(layer, json.loads(spec["datasets"][layer["data"]["name"]])) for layer in layers]

    return find
