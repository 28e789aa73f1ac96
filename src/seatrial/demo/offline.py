"""What both models would have said about every flight: one row per flight, for evaluation without traffic.

Scores are computed once; a simulation then splits the same rows by as many salts as it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from seatrial.demo import features, flights, train
from seatrial.evidence.tally import MICRO
from seatrial.rollout.simulate import Population, Values


def events(
    champion: Pipeline | Path,
    challenger: Pipeline | Path,
    start: date | datetime,
    end: date | datetime,
    *,
    release: str = "minutes",
    fault_from: date | datetime | None = None,
) -> pd.DataFrame:
    """Flights of ``[start, end)`` in time order, scored by both models.

    The champion always sees the ``minutes`` features; the challenger sees ``release`` for requests from ``fault_from``
    on (None: from the start), and ``minutes`` before.

    Columns: ``flight_id``, ``unit`` (None without tail number), ``time``, ``outcome_time`` (NaT: never), ``label``
    (nullable boolean, null where the outcome never comes), ``carrier``, ``origin``, ``champion`` and ``challenger``
    (probability of late arrival).
    """
    rows = flights.load(start, end)
    since = pd.Timestamp(flights.instant(start if fault_from is None else fault_from))
    hit = (rows.event_time >= since).to_numpy()
    second = scores(challenger, rows)
    if release != "minutes" and hit.any():
        second[hit] = scores(challenger, rows[hit], release)
    kept = rows[["flight_id", "unit", "event_time", "outcome_time", "delayed", "carrier", "origin"]]
    named = kept.rename(columns={"event_time": "time", "delayed": "label"})
    return named.assign(champion=scores(champion, rows), challenger=second)


def population(frame: pd.DataFrame, *, horizon: timedelta, rare: Sequence[str] = ()) -> tuple[Population, list[str]]:
    """Rows of :func:`events` as a population to simulate releases on, and the names of its units.

    Flights without a tail number are in no arm and left out. ``log_loss`` is the loss of either model; the metrics
    named ``rare`` (errors, slow answers) never happen in these records.
    """
    kept = frame[frame.unit.notna()].reset_index(drop=True)
    codes, names = pd.factorize(kept.unit)
    late = np.asarray(kept.label.astype("Float64").fillna(0.0), dtype=np.float64)
    known = (kept.label.notna() & (kept.outcome_time - kept.time <= horizon)).to_numpy(dtype=bool)
    seconds = kept.time.astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
    losses = Values(_log_loss(kept.champion, late), _log_loss(kept.challenger, late), known)
    never = np.zeros(len(kept), dtype=bool)
    values = {"log_loss": losses}
    return Population(seconds, codes.astype(np.int64), values, dict.fromkeys(rare, (never, never))), list(names)


def _log_loss(score: pd.Series, late: NDArray[np.float64]) -> NDArray[np.int64]:
    """In whole millionths, as evidence is summed."""
    p = np.clip(score.to_numpy(dtype=np.float64), 1e-15, 1 - 1e-15)
    loss = -(late * np.log(p) + (1 - late) * np.log1p(-p))
    return np.asarray(np.floor(loss * MICRO + 0.5), dtype=np.int64)


def scores(model: Pipeline | Path, rows: pd.DataFrame, release: str = "minutes") -> NDArray[np.float64]:
    """Probability of late arrival for rows of :func:`seatrial.demo.flights.load`, as the app would answer it."""
    pipeline = train.load(model) if isinstance(model, Path) else model
    step = features.RELEASES[release]
    records = cast("list[features.Record]", rows[list(flights.FEATURES)].to_dict("records"))
    used = [step(record) for record in records]
    return np.asarray(pipeline.predict_proba(features.frame(used))[:, 1], dtype=np.float64)
