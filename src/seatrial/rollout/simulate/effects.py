"""What a simulated candidate does to a metric, and the scenarios that a plan is tried on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from seatrial.rollout.exact import DEFAULT_MARGIN
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.feed import Floats
from seatrial.values import Margin

"""Every exposure is a yes or a no."""

HARM = 2.0
"""Size of the harm that is tried unless another is declared, in margins."""

Purpose = Literal["equal", "margin", "harm", "better"]


@dataclass(frozen=True, slots=True)
class Effect:
    """A change of a metric's rate or mean, with its sign: relative (-0.03 is 3% less) or absolute.

    ``points``: an absolute one is written in points of a share.

    >>> Effect.parse("-3%").size, Effect.parse("+0.5pp").size, str(Effect.parse("+0.5pp"))
    (-0.03, 0.005, '+0.5pp')
    """

    size: float
    scale: Literal["relative", "absolute"]
    points: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for a change without its unit."""
        match = re.fullmatch(r"\s*([+-]?\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%|pp| absolute)\s*", text)
        if match is None:
            raise ValueError(f"{text!r} is not a change with its unit, such as -3% (relative), +0.5pp or 0.02 absolute")
        value = float(match[1])
        if match[2] == " absolute":
            return cls(value, "absolute")
        return cls(value / 100, "relative") if match[2] == "%" else cls(value / 100, "absolute", points=True)

    def __str__(self) -> str:
        if self.scale == "relative":
            return f"{self.size * 100:+g}%"
        return f"{self.size * 100:+g}pp" if self.points else f"{self.size:+g} absolute"

    def keeps(self, rate: float | None, *, share: bool) -> bool:
        """Whether a rate can change so: nothing falls below zero, no share rises above one. None: a rate not known."""
        if rate is None:
            return self.size >= -1 and (not share or self.scale == "relative" or self.size <= 1)
        changed = rate * (1 + self.size) if self.scale == "relative" else rate + self.size
        return changed >= 0 and (not share or changed <= 1)

    def on(self, rate: Floats) -> Floats:
        """Rates or means with this change; a mean may fall to zero and not below."""
        changed: Floats = rate * (1 + self.size) if self.scale == "relative" else rate + self.size
        return np.maximum(changed, 0.0)


NONE = Effect(0.0, "relative")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A candidate: what it does to each metric (nothing to those that are not named), and what that is a trial of.

    ``equal``: going home is wrong; ``margin``: promoting is wrong; ``harm``: going home is right; ``better``: promoting
    is.
    """

    name: str
    purpose: Purpose
    effects: Mapping[str, Effect]

    def effect(self, metric: str) -> Effect:
        return self.effects.get(metric, NONE)


def scenarios(plan: Plan, declared: Mapping[str, Effect]) -> tuple[Scenario, ...]:
    """No effect; each guardrail on sums alone at its margin; harm; improvement.

    Harm is what was ``declared``, else twice the margin of every guardrail on sums, or of all if none is. An
    improvement is one margin of each guardrail on sums. Rare events are counted once a unit, and how many units the
    chance of a request comes to depends on how often they return: they are not tried at their margin, nor made fewer.
    """
    sums = [m for m in plan.guardrails if not m.rare]
    harm = declared or {m.name: loss(m, HARM) for m in sums or plan.guardrails}
    found = [Scenario("no effect", "equal", {})]
    found += [Scenario(f"{m.name} {loss(m, 1.0)}, its margin", "margin", {m.name: loss(m, 1.0)}) for m in sums]
    found.append(Scenario(_named(harm), "harm", harm))
    if sums:
        better = {m.name: loss(m, -1.0) for m in sums}
        found.append(Scenario(_named(better), "better", better))
    return tuple(found)


def loss(metric: Metric, margins: float) -> Effect:
    """So many margins in the direction that is worse."""
    margin = metric.margin or (DEFAULT_MARGIN if metric.rare else Margin(0.05, "relative"))
    size = margins * margin.value
    return Effect(-size if metric.better == "increase" else size, margin.scale, points=metric.kind in SHARE_KINDS)


def _named(effects: Mapping[str, Effect]) -> str:
    return ", ".join(f"{name} {effect}" for name, effect in effects.items())
