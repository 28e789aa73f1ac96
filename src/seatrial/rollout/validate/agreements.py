"""Agreement that cannot be judged, or not as it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, ServingDecision
from seatrial.rollout.validate.problem import Problem
from seatrial.values import to_camel

OWN = ("floor", "segment_floor", "max_gap", "min_pairs", "segment", "statistic")
"""Settings that only agreement has."""


def check_agreements(plan: Plan) -> Iterator[Problem]:
    if (served := plan.decision) is not None and not _parts(served):
        yield Problem(
            "ST0227", "decision", "a threshold parts two decisions of different names.",
            "e.g. decision: {threshold: 0.8, above: block, below: allow}.",
        )  # fmt: skip
    for metric in plan.metrics:
        where = f"metric '{metric.name}'"
        if metric.kind == "agreement":
            yield from _floors(metric, where)
            yield from _place(plan, metric, where)
        else:
            for name in OWN:
                if getattr(metric, name) is not None:
                    yield Problem(
                        "ST0217", where, f"'{to_camel(name)}' has no meaning for kind {metric.kind}.", "Remove it."
                    )


def _parts(served: ServingDecision) -> bool:
    return math.isfinite(served.threshold) and bool(served.above and served.below) and served.above != served.below


def _floors(m: Metric, where: str) -> Iterator[Problem]:
    if m.role != "signal" and m.floor is None:
        yield Problem("ST0226", where, f"a {m.role} of agreement without a floor cannot pass.", "e.g. floor: 0.9.")
    for name in ("floor", "segment_floor"):
        value = getattr(m, name)
        if value is not None and not -1 < value < 1:
            yield Problem(
                "ST0226", where, f"'{to_camel(name)}' is a correlation between -1 and 1, and {value:g} leaves no room.",
                "e.g. 0.9: perfect agreement is never proven.",
            )  # fmt: skip
    if m.max_gap is not None and not 0 < m.max_gap <= 2:
        yield Problem(
            "ST0226", where, f"'maxGap' is a difference of correlations, not {m.max_gap:g}.", "e.g. maxGap: 0.2."
        )
    if m.min_pairs is not None and m.min_pairs < 10:
        yield Problem("ST0226", where, f"{m.min_pairs} pairs say nothing about agreement.", "Ask for 10 or more.")
    for name in ("margin", "direction", "limit", "historic_effect"):
        if getattr(m, name) is not None:
            yield Problem("ST0217", where, f"'{to_camel(name)}' has no meaning for kind agreement.", "It has floors.")
    if m.weight != 1 or m.fail_on != "harm":
        yield Problem(
            "ST0217", where, "agreement sends nothing back, so it has no part of the budget.",
            "Remove 'weight' and 'failOn'.",
        )  # fmt: skip


def _place(plan: Plan, m: Metric, where: str) -> Iterator[Problem]:
    if not plan.mirrors:
        yield Problem("ST0227", where, "agreement is that of a shadow, and no step has one.", "Begin with a 'shadow'.")
    names = [segment.name for segment in plan.segments]
    if m.segment is not None and m.segment not in names:
        yield Problem(
            "ST0227", where, f"there is no segment '{m.segment}'.", f"Known are: {', '.join(names) or 'none'}."
        )  # fmt: skip
    if (m.segment_floor is not None or m.max_gap is not None) and not names:
        yield Problem("ST0227", where, "it asks for segments, and the plan has none.", "Declare 'segments'.")
    if m.segment is not None and m.segment_floor is None and m.max_gap is None:
        yield Problem("ST0227", where, "nothing is asked of its segments.", "Add 'segmentFloor' or 'maxGap'.")
