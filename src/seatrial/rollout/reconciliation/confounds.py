"""What else could be behind a difference that is found long after a rollout, or hide one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from seatrial.evidence.follow_up import FollowUp
from seatrial.ids import CANARY, CHAMPION
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState

WEEK = timedelta(days=7)
MISSING_GAP = 0.01
"""Shares of missing outcomes that differ by more than this between the arms are told."""

Kind = Literal["both_arms", "weekly_cycle", "other_rollout", "missing_outcomes"]


@dataclass(frozen=True, slots=True)
class Confound:
    """One of them, in words; ``metric`` is empty where it is about all of them."""

    kind: Kind
    text: str
    metric: str = ""


def confounds(
    plan: Plan,
    state: RolloutState,
    evidence: Mapping[str, FollowUp],
    start: datetime,
    end: datetime,
    others: tuple[str, ...],
) -> tuple[Confound, ...]:
    """All that were found. ``start`` and ``end`` bound the first exposures; ``others``: later rollouts."""
    left_out = {metric.name for metric in plan.metrics if metric.missing == "exclude" or metric.kind == "ratio"}
    return (
        *(found for name, data in evidence.items() for found in _both_arms(state, name, data)),
        *_weekly(start, end),
        *(Confound("other_rollout", f"rollout {other} of the same model began since") for other in others),
        *(found for name, data in evidence.items() if name in left_out for found in _missing(name, data)),
    )


def _both_arms(state: RolloutState, name: str, data: FollowUp) -> Iterator[Confound]:
    for arm, own, other in (
        (CHAMPION, state.champion, state.candidate),
        (CANARY, state.candidate, state.champion),
    ):
        crossed, after, matured = data.crossed.get(arm, 0), data.after.get(arm, 0), data.matured(arm)
        if crossed or after:
            yield Confound(
                "both_arms",
                f"{crossed:,} of {matured:,} units that began with v{own} met v{other} within the horizon "
                f"({crossed / max(matured, 1):.0%}), {after:,} after the rollout: the effect is diluted",
                name,
            )


def _weekly(start: datetime, end: datetime) -> Iterator[Confound]:
    if (lasted := end - start) < WEEK:
        yield Confound(
            "weekly_cycle",
            f"the units came within {lasted / timedelta(days=1):.3g} days, less than a week: what weekdays and "
            "weekends do differently is not in the comparison",
        )


def _missing(name: str, data: FollowUp) -> Iterator[Confound]:
    shares = {arm: data.missing.get(arm, 0) / max(data.matured(arm), 1) for arm in (CHAMPION, CANARY)}
    if abs(shares[CANARY] - shares[CHAMPION]) > MISSING_GAP:
        yield Confound(
            "missing_outcomes",
            f"outcomes are missing for {shares[CANARY]:.1%} of the canary's units and {shares[CHAMPION]:.1%} of the "
            "champion's",
            name,
        )
