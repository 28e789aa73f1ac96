"""What is measured of the serving model: how far its inputs and scores have moved, and what it has lost since training.

Drift is judged by the detector of `seatrial analyze drift`: calibrated on the weeks of the window that the model was
trained on, over all columns at once, and only what lasts two weeks counts. Quality is the log loss as a part of what
saying the base rate would cost: the loss alone is larger in months in which more flights are late.
Source: normalised entropy, He et al. (2014), Practical lessons from predicting clicks on ads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from seatrial.control.analyses.drift import Known, Question, drift, learn
from seatrial.demo import flights
from seatrial.demo.year.models import Version
from seatrial.demo.year.world import World
from seatrial.engines.drift import Asked, Table
from seatrial.events.schema import to_micros
from seatrial.retrain.manager import Reading

WEEK = timedelta(days=7)
LASTS = 2
"""Weeks in which a column must have drifted before it counts."""

BEHIND = 2 * WEEK
"""Outcomes that a reading of quality looks back on."""

SCORE = "score"
_ASKED = Asked(time="event_time", window=WEEK // timedelta(microseconds=1), as_categories=("dow",))


@dataclass(frozen=True)
class Gauge:
    """The serving model with the reference that its readings are held against."""

    world: World
    version: Version
    known: Known

    @classmethod
    def of(cls, world: World, version: Version) -> Gauge:
        """The reference is the training window; its scores are those of the model itself, there and later."""
        seen = world.between(to_micros(version.start), to_micros(version.cut))
        return cls(world, version, learn(_table(world, version, seen, "training window"), _ASKED))

    def reading(self, at: datetime) -> Reading:
        """As known at ``at``: nothing later is looked at."""
        loss, mature = self._lost(at)
        return Reading(at=at, psi=self._drifted(at), loss=loss, mature=mature)

    def _drifted(self, at: datetime) -> dict[str, float]:
        """PSI in the last whole week of the columns that surely moved, and far, in each of the last weeks."""
        monday = monday_of(at)
        seen = self.world.between(to_micros(monday - LASTS * WEEK) - 1, to_micros(monday) - 1)
        table = _table(self.world, self.version, seen, f"weeks to {monday:%d %b}")
        found = drift(self.known, table, Question(asked=_ASKED, persist=LASTS))
        sizes = {name: m.value for name, all_of in found.measures[-1].items() for m in all_of if m.name == "psi"}
        return {name: round(sizes[name] or 0.0, 4) for name in sorted(found.lasting[-1])}

    def _lost(self, at: datetime) -> tuple[float | None, int]:
        which = self.world.matured(to_micros(at - BEHIND), to_micros(at)) & ~np.isnan(self.version.scores)
        if not which.any():
            return None, 0
        metrics = self.version.metrics
        before = metrics["log_loss"] / entropy(metrics["base_rate"])
        now = normalised(self.world.late[which], self.version.scores[which])
        return round(now / before - 1, 4), int(which.sum())


def normalised(late: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    """Mean log loss over the entropy of the base rate: 1 is as good as saying the base rate.

    >>> round(normalised(np.array([1.0, 0, 0, 0]), np.full(4, 0.25)), 12)
    1.0
    """
    return log_loss(late, score) / entropy(float(late.mean()))


def log_loss(late: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    """Mean, in nats. Scores of 0 and 1 are taken for 1e-15 from there."""
    p = np.clip(score, 1e-15, 1 - 1e-15)
    return float(-np.mean(late * np.log(p) + (1 - late) * np.log1p(-p)))


def entropy(rate: float) -> float:
    """Of a yes with this probability, in nats.

    >>> round(entropy(0.5), 6), entropy(0.0)
    (0.693147, 0.0)
    """
    return -sum(p * math.log(p) for p in (rate, 1 - rate) if p > 0)


def monday_of(at: datetime) -> datetime:
    """When the week of a time began, in UTC.

    >>> monday_of(datetime(2013, 12, 31, 6)).isoformat()
    '2013-12-30T00:00:00'
    """
    return (at - timedelta(days=at.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)


def _table(world: World, version: Version, part: slice, name: str) -> Table:
    rows = world.rows.iloc[part]
    scores = version.pipeline.predict_proba(rows[list(flights.FEATURES)])[:, 1]
    frame = pd.DataFrame({"event_time": rows.event_time, **{f: rows[f] for f in flights.FEATURES}, SCORE: scores})
    held = pa.Table.from_pandas(frame, preserve_index=False)
    return Table(name, held.schema, len(frame), lambda names: held.select(list(names)), lambda: None)
