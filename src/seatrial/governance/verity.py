"""Whether a version was taken out for something that it did: from what was seen before, meanwhile and after.

A kill has no control group. What it has is time: a version that is well again without a change was not the cause, and
neither is one whose replacement does as badly. A rollout does have one: its champion, at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from seatrial.stats.intervals import newcombe_interval

Verity = Literal["true", "false", "unknown"]

ALPHA: Final = 0.05
_Z: Final = 1.959963984540054

PROVEN: Final = frozenset({"guardrail_harm", "hard_signal", "subgroup_floor"})
"""Rules that hold the candidate against its champion, or against a limit that the champion keeps."""

NOT_THE_MODEL: Final = frozenset({"sample_ratio", "input_divergence", "capture_loss", "shared_outage"})
"""Rules that say that the comparison was broken, not the candidate."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A matured outcome over a span: how many, their mean, and their standard deviation."""

    n: int
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One span: requests that a version had to answer, those it did not answer itself, and outcomes by name."""

    requests: int
    failures: int
    outcomes: Mapping[str, Outcome]

    @property
    def share(self) -> float:
        return self.failures / self.requests if self.requests else math.nan


@dataclass(frozen=True, slots=True)
class Effect:
    """What changed from one span to the next: ``after - before`` of a share or a mean, with its 95% interval."""

    metric: str
    before: float
    after: float
    lower: float
    upper: float
    n_before: int
    n_after: int

    @property
    def shown(self) -> bool:
        return self.lower > 0 or self.upper < 0


@dataclass(frozen=True, slots=True)
class Finding:
    """The word, and the evidence for it in one sentence."""

    verity: Verity
    why: str


def effects(before: Seen | None, after: Seen | None) -> tuple[Effect, ...]:
    """Every metric that both spans know: *failures* first. Before and after are compared, so time plays its part."""
    return () if before is None or after is None else tuple(_effects(before, after))


def _effects(before: Seen, after: Seen) -> Iterator[Effect]:
    if before.requests and after.requests:
        arms = (after.failures, after.requests, before.failures, before.requests)
        lower, upper = newcombe_interval(*arms, ALPHA)
        yield Effect("failures", before.share, after.share, lower, upper, before.requests, after.requests)
    for name in sorted(before.outcomes.keys() & after.outcomes.keys()):
        old, new = before.outcomes[name], after.outcomes[name]
        if min(old.n, new.n) < 2:
            continue
        reach = _Z * math.sqrt(old.deviation**2 / old.n + new.deviation**2 / new.n)
        shift = new.mean - old.mean
        yield Effect(name, old.mean, new.mean, shift - reach, shift + reach, old.n, new.n)


def of_kill(usual: Seen | None, before: Seen | None, during: Seen | None, after: Seen | None) -> Finding:
    """A kill, or a rollback by hand.

    ``usual``: the version in ordinary times; ``before``: the same just before it was taken out; ``during``: whoever
    answered in its place; ``after``: the same version once it was back, unchanged (None if it never came back).
    """
    troubled = _shown(effects(usual, before))
    if not effects(usual, before):
        return Finding("unknown", "too little was captured before it was taken out")
    if not troubled:
        return Finding("false", "nothing was out of line before it was taken out")
    metric = troubled[0]
    told = f"{_named(metric)} went from {_value(metric, metric.before)} to {_value(metric, metric.after)}"
    if (again := _back(effects(usual, after), metric)) is not None:
        if again:
            return Finding("true", f"{told}, and was as far off when the same version came back")
        return Finding("false", f"{told}, and recovered without a change of the model")
    if (elsewhere := _back(effects(usual, during), metric)) is None:
        return Finding("unknown", f"{told}; nothing was captured since")
    if elsewhere:
        return Finding("false", f"{told}, and stayed there while another version answered")
    return Finding("true", f"{told}, and recovered with another version in its place")


def of_abort(rule: str, promoted_later: str) -> Finding:
    """The end of a rollout. ``promoted_later``: the rollout in which the very same version became the champion."""
    if promoted_later:
        return Finding("false", f"the same version was promoted in {promoted_later}")
    if rule in NOT_THE_MODEL:
        return Finding("false", f"{rule}: the comparison was broken, not the model")
    if rule in PROVEN:
        return Finding("true", f"{rule}: its champion did better on the same traffic")
    return Finding("unknown", "no verdict was given: it was ended by hand, by a kill or by its deadline")


def _shown(found: tuple[Effect, ...]) -> list[Effect]:
    return [effect for effect in found if effect.shown]


def _back(found: tuple[Effect, ...], trouble: Effect) -> bool | None:
    """Whether a metric is off in the same direction as in the trouble, by half of it or more; None if nobody knows."""
    for effect in found:
        if effect.metric == trouble.metric:
            return effect.shown and (effect.after - effect.before) / (trouble.after - trouble.before) >= 0.5
    return None


def _named(effect: Effect) -> str:
    return "the share of failures" if effect.metric == "failures" else f"the mean of {effect.metric}"


def _value(effect: Effect, value: float) -> str:
    return f"{value:.2%}" if effect.metric == "failures" else f"{value:.4g}"
