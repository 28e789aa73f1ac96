"""Whether the comparison of champion and shadow can be trusted: did both models see the same inputs?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seatrial.evidence.features import SCHEMA
from seatrial.evidence.inputs import FeatureTally, InputRule, InputTally
from seatrial.evidence.snapshot import Evidence
from seatrial.rollout.plan import Inputs, Plan
from seatrial.rollout.verdicts import Alarm
from seatrial.stats.counts import bernoulli_bounds

INPUTS_ALPHA = 0.001
"""Chance of a false alarm in a whole rollout over all features: each gets an equal part, and its bound holds at every
look."""

PLANNED_PAIRS = 1000
"""The bounds are tightest near so many pairs."""

MOST_NAMED = 3
"""Features that an alarm describes; of others it gives the number."""

Result = Literal["agrees", "diverges", "unclear"]


@dataclass(frozen=True, slots=True)
class FeatureVerdict:
    """One feature's share of diverging pairs, with bounds that hold at every look.

    ``result``: *diverges* if the share is proven to be above what is allowed; *agrees* if it is not above it; *unclear*
    if it is, and might be so by chance.
    """

    name: str
    tally: FeatureTally
    lower: float
    upper: float
    result: Result

    @property
    def rate(self) -> float:
        """Diverging pairs among those in which either side has the feature."""
        return self.tally.diverging / self.tally.pairs if self.tally.pairs else 0.0


def rule_of(inputs: Inputs | None) -> InputRule:
    """When a plan takes two values for the same."""
    asked = inputs or Inputs()
    return InputRule(
        asked.tolerance, asked.staleness.seconds, None if asked.features is None else frozenset(asked.features)
    )


def judge_inputs(tally: InputTally, most: float) -> tuple[FeatureVerdict, ...]:
    """Every feature, the most diverging first. ``most``: the share of pairs that may diverge."""
    alpha = INPUTS_ALPHA / max(len(tally.features), 1)
    found = [_judged(name, feature, most, alpha) for name, feature in tally.features.items()]
    return tuple(sorted(found, key=lambda v: (v.result != "diverges", -v.rate, v.name)))


def input_alarm(plan: Plan, evidence: Evidence) -> Alarm | None:
    """The features in which more pairs diverge than the plan allows, if that is proven of any."""
    most = (plan.inputs or Inputs()).max_divergence.fraction
    tally = evidence.inputs
    if not any(feature.diverging > most * feature.pairs for feature in tally.features.values()):
        return None  # bounds cost more than the look at most plans has to pay
    proven = [verdict for verdict in judge_inputs(tally, most) if verdict.result == "diverges"]
    if not proven:
        return None
    told = [divergence_text(verdict) for verdict in proven[:MOST_NAMED]]
    more = [f"{len(proven) - MOST_NAMED} more features"] if len(proven) > MOST_NAMED else []
    return Alarm(kind="input_divergence", text=f"{'; '.join(told + more)}; at most {most:.2%} may")


def pairs_told(plan: Plan, tally: InputTally) -> int | None:
    """Pairs of which both models said what they used, where the plan asks for it; of the named feature with fewest."""
    if plan.inputs is None:
        return None
    if plan.inputs.features is None:
        return tally.pairs
    found = (tally.features.get(name, FeatureTally()) for name in plan.inputs.features)
    return min((f.pairs - f.champion_only - f.shadow_only for f in found), default=tally.pairs)


def divergence_text(verdict: FeatureVerdict) -> str:
    """Counts and largest differences, and never a value: an alarm is read by more people than a user's data may be.

    >>> tally = FeatureTally(pairs=1500, diverging=45, differing=40, stale=30, largest_absolute=12.5, largest_gap_s=300)
    >>> divergence_text(FeatureVerdict("balance", tally, 0.017, 0.049, "diverges"))
    'balance diverges in 45 of 1,500 pairs (3.00%, at least 1.70%): 40 differ by up to 12.5, 30 stale by up to 300 s'
    """
    t = verdict.tally
    name = "the schema" if verdict.name == SCHEMA else verdict.name
    size = f" by up to {t.largest_absolute:.4g}" if t.largest_absolute else ""
    kinds = [
        (t.differing, f"{t.differing:,} differ{size}"),
        (t.champion_only, f"{t.champion_only:,} only the champion has"),
        (t.shadow_only, f"{t.shadow_only:,} only the shadow has"),
        (t.mistyped, f"{t.mistyped:,} of another type"),
        (t.stale, f"{t.stale:,} stale by up to {t.largest_gap_s:.0f} s"),
    ]
    said = ", ".join(text for count, text in kinds if count)
    counted = f"{t.diverging:,} of {t.pairs:,} pairs ({verdict.rate:.2%}, at least {verdict.lower:.2%})"
    return f"{name} diverges in {counted}: {said}"


def _judged(name: str, feature: FeatureTally, most: float, alpha: float) -> FeatureVerdict:
    x, n = feature.diverging, feature.pairs
    lower, upper = bernoulli_bounds(x, n, alpha=2 * alpha, planned_n=PLANNED_PAIRS)
    result: Result = "diverges" if lower > most else "agrees" if x <= most * n else "unclear"
    return FeatureVerdict(name, feature, lower, upper, result)
