"""How fast a release goes on: a pace from the intervals of a look, within the bounds of the plan.

Strong evidence shortens the stage and enlarges the next step; evidence of a small loss does the opposite; everything
else, an interval that crosses zero above all, leaves both as planned. A pace changes when a step may be taken and how
large it is, never what must be shown to take it: gates hold at every look, whenever that is.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.rollout.plan import Pacing, Plan
from seatrial.rollout.stages import Stage
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Judgement, MetricVerdict, Pace, PaceWord
from seatrial.rollout.wording import number

ENLARGED = 1.5
REDUCED = 0.5
"""What a step rises by, as a part of what the plan says, at a fast and at a slow pace."""


def pace_of(plan: Plan, stages: Sequence[Stage], state: RolloutState, judgement: Judgement) -> Pace | None:
    """The pace at one look; None where the plan sets none, and in shadow, where time costs no user anything."""
    stage = stages[state.stage]
    if plan.pacing is None or stage.kind == "shadow":
        return None
    word, why = _word(plan.pacing, judgement)
    return Pace(
        word=word,
        why=why,
        min_duration=least_time(plan.pacing, stage, word),
        next_weight=next_weight(plan.pacing, stages, state, word),
    )


def least_time(pacing: Pacing, stage: Stage, word: PaceWord) -> float:
    """Seconds the stage lasts at least: fast never below the floor, or below what the plan says if that is less."""
    planned = stage.min_duration
    if word == "fast":
        return max(planned * pacing.fastest.factor, min(pacing.floor.seconds if pacing.floor else 0.0, planned))
    return planned * pacing.slowest.factor if word == "slow" else planned


def next_weight(pacing: Pacing, stages: Sequence[Stage], state: RolloutState, word: PaceWord) -> int:
    """The canary's share of the next stage, out of 10,000.

    It rises, by ``maxStep`` at most, and stays at least half a step short of the stage after it: no stage is skipped.
    """
    if state.stage + 1 >= len(stages):
        return 10_000
    now, planned = state.phase.weight, stages[state.stage + 1].weight
    after = stages[state.stage + 2].weight if state.stage + 2 < len(stages) else 10_000
    part = {"fast": ENLARGED, "standard": 1.0, "slow": REDUCED}[word]
    wanted = now + round((planned - now) * part)
    return max(min(wanted, (planned + after) // 2, now + pacing.max_step.per_10k), now + 1)


def weight_before(stages: Sequence[Stage], state: RolloutState) -> int:
    """The share to step back to: what the stage before had, and not more than the plan gives it."""
    index = state.stage - 1
    had = [phase.weight for phase in state.phases if phase.stage == index]
    return min(had[-1] if had else 10_000, stages[index].weight)


def shortest(plan: Plan, stage: Stage) -> float:
    """Seconds before which no pace lets the stage end."""
    if plan.pacing is None or stage.kind == "shadow":
        return stage.min_duration
    return least_time(plan.pacing, stage, "fast")


def _word(pacing: Pacing, judgement: Judgement) -> tuple[PaceWord, str]:
    worse = next((v for v in judgement.verdicts if _gain(v)[1] < 0), None)
    if worse is not None:
        return "slow", f"{worse.metric} {_interval(worse)} is worse, within what is tolerable"
    lead = next((v for v in judgement.verdicts if v.metric == pacing.metric), None)
    if lead is not None and _gain(lead)[0] > pacing.strong.value:
        return "fast", f"{lead.metric} {_interval(lead)} gains more than {pacing.strong}"
    shown = "" if lead is None or lead.lower is None else f" {_interval(lead)}"
    return "standard", f"{pacing.metric}{shown} does not gain more than {pacing.strong} for sure"


def _gain(v: MetricVerdict) -> tuple[float, float]:
    """The interval of the candidate's gain, so that more is better; unknown is anything."""
    if v.lower is None or v.upper is None:
        return float("-inf"), float("inf")
    return (v.lower, v.upper) if v.better == "increase" else (-v.upper, -v.lower)


def _interval(v: MetricVerdict) -> str:
    return "" if v.lower is None or v.upper is None else f"[{number(v, v.lower)}, {number(v, v.upper)}]"
