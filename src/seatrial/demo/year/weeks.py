"""How good the answers were, week by week: of what served, of the model that was never trained again, of the newest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from seatrial.demo.year.readings import WEEK, log_loss, monday_of
from seatrial.demo.year.world import Floats, World
from seatrial.events.schema import to_micros

LEAST = 200
"""Flights with an outcome below which a week is left out: the end of the year is part of one."""

AFTER = timedelta(days=28)
"""What hindsight looks at."""


@dataclass(frozen=True)
class Quality:
    """Of flights with an outcome: area under the ROC curve, and mean log loss in nats."""

    auc: float
    log_loss: float


@dataclass(frozen=True)
class Week:
    """``flights`` with an outcome, the share of them that was ``late``, and each lane's quality."""

    start: datetime
    flights: int
    late: float
    lanes: Mapping[str, Quality]


def weeks(world: World, lanes: Mapping[str, Floats], begin: datetime, end: datetime) -> Iterator[Week]:
    """Weeks from Monday to Monday in UTC; the first one begins with the year."""
    start = begin
    while start < end:
        until = min(monday_of(start) + WEEK, end)
        which = _with_outcome(world, start, until)
        if which.sum() >= LEAST:
            late = world.late[which]
            found = {lane: quality(late, scores[which]) for lane, scores in lanes.items()}
            yield Week(start, int(which.sum()), float(late.mean()), found)
        start = until


def whole(world: World, lanes: Mapping[str, Floats], begin: datetime, end: datetime) -> dict[str, Quality]:
    """All flights of the time together."""
    which = _with_outcome(world, begin, end)
    return {lane: quality(world.late[which], scores[which]) for lane, scores in lanes.items()}


def quality(late: NDArray[np.float64], scores: NDArray[np.float64]) -> Quality:
    """Raises ValueError where all flights are late, or none."""
    return Quality(float(roc_auc_score(late, scores)), log_loss(late, scores))


def hindsight(world: World, challenger: Floats, champion: Floats, cut: datetime, end: datetime) -> float | None:
    """By how much the challenger's log loss is higher than the champion's in the four weeks after it was trained.

    Relative, and on all their flights: what no release could know when it had to decide. None without flights.
    """
    which = _with_outcome(world, cut, min(cut + AFTER, end))
    if not which.any():
        return None
    late = world.late[which]
    return log_loss(late, challenger[which]) / log_loss(late, champion[which]) - 1


def _with_outcome(world: World, begin: datetime, end: datetime) -> NDArray[np.bool_]:
    chosen = np.zeros(len(world.rows), dtype=bool)
    chosen[world.between(to_micros(begin) - 1, to_micros(end) - 1)] = True
    return chosen & ~np.isnan(world.late)
