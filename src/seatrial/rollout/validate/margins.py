"""Margins that give up too much."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.rollout.plan import Plan
from seatrial.rollout.validate.problem import Problem
from seatrial.values import Margin, Share

PRESERVED = Share(5_000)
"""The part of a historic effect that a margin may give up, unless the plan says otherwise."""


def check_justifications(plan: Plan) -> Iterator[Problem]:
    """A margin accepts a loss: where the plan asks for it, each one says why that is worth it."""
    for m in plan.guardrails:
        if plan.justify_margins and m.margin is not None and not (m.justification or "").strip():
            yield Problem(
                "ST0258", f"metric '{m.name}'", f"a margin of {m.margin} accepts a loss, and nobody says why.",
                "Add 'justification': what is gained for it (latency, cost, fairness, upkeep), and who agreed.",
            )  # fmt: skip
    for m in plan.metrics:
        if m.justification is not None and m.margin is None:
            yield Problem("ST0259", f"metric '{m.name}'", "a justification without a margin.", "Remove it, or add one.")


def check_margins(plan: Plan) -> Iterator[Problem]:
    """Margins that give up too much of what the champion was released for (as M2 of M1 in FDA 2016)."""
    allowed = PRESERVED if plan.margin_at_most is None else plan.margin_at_most
    for m in plan.metrics:
        if m.historic_effect is None:
            continue
        where, gained = f"metric '{m.name}'", m.historic_effect
        if m.margin is None or m.margin.scale != gained.scale:
            yield Problem(
                "ST0256", where, f"a historicEffect of {gained} cannot be held against a margin of {m.margin}.",
                "Give both in the same unit: per cent, or absolute.",
            )  # fmt: skip
        elif m.margin.value > allowed.fraction * gained.value * (1 + 1e-9):
            yield Problem(
                "ST0251", where,
                f"a margin of {m.margin} gives up {m.margin.value / gained.value:.0%} of the {gained} by which the "
                f"champion beats its baseline; at most {allowed} may be given up.",
                f"Take a margin of {Margin(allowed.fraction * gained.value, gained.scale)} or less, or raise "
                "'marginAtMost'.",
            )  # fmt: skip
