"""How much was copied to a shadow, where, and what a day of it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from seatrial.engines.answers import Copied
from seatrial.evidence.answers import Answers
from seatrial.evidence.tally import MICRO
from seatrial.rollout.reweighting import POINTS
from seatrial.rollout.state import RolloutState

Document = dict[str, Any]

DAY = 86_400


def sampling_of(state: RolloutState, copied: Copied, by: str | None, at: datetime) -> Document:
    """Planned and measured shares of a rollout's exposures, over all and by the gateway's segment.

    ``perDay``: copies a day, over the time in which anything was copied.
    """
    copies, seconds = len(copied.answers.time), _copying(state, at)
    return {
        "planned": _shares({phase.mirrored for phase in state.phases if phase.mirrored}),
        "measured": copies / copied.exposures if copied.exposures else None,
        "exposures": copied.exposures,
        "perDay": copies * DAY / seconds if seconds > 0 else None,
        "segments": [] if by is None else _segments(copied, by),
    }


def sampling_of_standing(copied: Copied, seconds: float, share: float | None) -> Document:
    """Of a standing shadow; ``share``: of the units, where it still is one."""
    copies = len(copied.answers.time)
    return {
        "planned": [] if share is None else [share],
        "measured": copies / copied.exposures if copied.exposures else None,
        "exposures": copied.exposures,
        "perDay": copies * DAY / seconds if seconds > 0 else None,
        "segments": [],
    }


def sampling_of_table(answers: Answers, share: int | None) -> Document:
    """Of a table, which tells what was copied and not what was left. ``share``: points of 10,000, as somebody said."""
    known = answers.time[answers.time >= 0]
    seconds = float(np.ptp(known)) / MICRO if len(known) else 0.0
    return {
        "planned": [] if share is None else _shares([share]),
        "measured": None,
        "perDay": len(answers.time) * DAY / seconds if seconds > 0 else None,
        "segments": [],
    }


def cost_of(
    sampling: Document, *, per_day: float | None, per_1000: float | None, share: float | None
) -> Document | None:
    """What copies cost a day: a share of what serving costs, or so much for each thousand. None if nobody said."""
    if per_1000 is not None:
        copies = sampling["perDay"]
        extra = None if copies is None else per_1000 * copies / 1000
        return {"per1000": per_1000, "copiesPerDay": copies, "extraPerDay": extra}
    if per_day is None:
        return None
    share = sampling["measured"] if share is None else share
    return {"servingPerDay": per_day, "share": share, "extraPerDay": None if share is None else per_day * share}


def _segments(copied: Copied, by: str) -> list[Document]:
    """Each value of the segment and share: how much of it was copied."""
    answers = copied.answers
    assert answers.sampled is not None
    taken = Counter(zip(answers.segments[by].tolist(), answers.sampled.tolist(), strict=True))
    return [
        {
            "segment": f"{by}={value}",
            "planned": share / POINTS,
            "exposures": exposures,
            "copied": taken[value, share],
            "measured": taken[value, share] / exposures,
        }
        for (value, share), exposures in sorted(copied.strata.items())
    ]


def _copying(state: RolloutState, at: datetime) -> float:
    """Seconds of the phases in which copies were made."""
    starts = [*(phase.started for phase in state.phases), at]
    spans = zip(state.phases, pairwise(starts), strict=True)
    return sum(max((end - start).total_seconds(), 0.0) for phase, (start, end) in spans if phase.mirrored)


def _shares(points: Iterable[int]) -> list[float]:
    return [share / POINTS for share in sorted(points)]
