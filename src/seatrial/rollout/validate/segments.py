"""Segments whose rule cannot be followed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from seatrial.rollout.plan import Plan, Segment
from seatrial.rollout.validate.problem import Problem

RESERVED = ("unknown", "other")
"""Values that segments have anyway: no number, and beyond the fiftieth value."""


def check_segments(plan: Plan) -> Iterator[Problem]:
    names = [segment.name for segment in plan.segments]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("ST0225", f"segment '{name}'", "declared twice.", "Names of segments are unique.")
    for segment in plan.segments:
        if why := _wrong(segment):
            yield Problem(
                "ST0225", f"segment '{segment.name}'", why, "e.g. bounds: [7, 90] with labels: [new, medium, power]."
            )  # fmt: skip


def _wrong(segment: Segment) -> str:
    """What is wrong with the rule; empty if there is none, or nothing is wrong."""
    bounds, labels = segment.bounds, segment.labels
    if bounds is None and labels is None:
        return ""
    if not bounds or not labels:
        return "'bounds' and 'labels' go together."
    if not all(map(math.isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
        return "its bounds do not rise."
    if len(labels) != len(bounds) + 1:
        return f"{len(bounds)} bounds make {len(bounds) + 1} bands, and there are {len(labels)} labels."
    if len({*labels}) < len(labels) or not all(labels):
        return "every band needs a label of its own."
    taken = [label for label in labels if label in RESERVED]
    return f"'{taken[0]}' is taken: it is what has no band." if taken else ""
