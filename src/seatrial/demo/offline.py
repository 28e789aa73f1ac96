"""What both models would have said about every flight: one row per flight, for evaluation without traffic.

Scores are computed once; a simulation then splits the same rows by as many salts as it likes.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from seatrial.demo import features, flights, train


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


def scores(model: Pipeline | Path, rows: pd.DataFrame, release: str = "minutes") -> NDArray[np.float64]:
    """Probability of late arrival for rows of :func:`seatrial.demo.flights.load`, as the app would answer it."""
    pipeline = train.load(model) if isinstance(model, Path) else model
    step = features.RELEASES[release]
    records = cast("list[features.Record]", rows[list(flights.FEATURES)].to_dict("records"))
    used = [step(record) for record in records]
    return np.asarray(pipeline.predict_proba(features.frame(used))[:, 1], dtype=np.float64)
