"""The flights of the year in memory, with what the log knows of their units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from seatrial.demo import features, flights, offline
from seatrial.events.units import unit_bucket, unit_hash
from seatrial.gateway.assignment import assigner

UNIT_KEY, BUCKET_SALT = bytes(32), "flights-year"
"""Drawn by chance in a project; fixed here, so that everybody sees the same year."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """``rows``: as :func:`seatrial.demo.flights.load`, in order of time."""

    rows: pd.DataFrame

    @classmethod
    def of(cls, start: date, end: date) -> World:
        return cls(flights.load(start, end).sort_values("event_time", kind="stable", ignore_index=True))

    @cached_property
    def times(self) -> Ints:
        """When each flight was asked about, in microseconds since 1970."""
        return _micros(self.rows.event_time)

    @cached_property
    def known(self) -> Ints:
        """When each flight's outcome was known; the largest number for never."""
        told = self.rows.outcome_time.notna().to_numpy()
        filled = self.rows.outcome_time.fillna(self.rows.event_time.iloc[0])
        return np.where(told, _micros(filled), np.iinfo(np.int64).max)

    @cached_property
    def late(self) -> Floats:
        """1 or 0, NaN where it never becomes known."""
        return np.asarray(self.rows.delayed.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))

    @cached_property
    def _factorized(self) -> tuple[Ints, list[str]]:
        codes, names = pd.factorize(self.rows.unit)
        return codes.astype(np.int64), [str(name) for name in names]

    @property
    def units(self) -> Ints:
        """Number of each flight's aircraft, -1 for none."""
        return self._factorized[0]

    @cached_property
    def hashes(self) -> NDArray[np.object_]:
        """What the log calls each aircraft."""
        return np.array([unit_hash(name, UNIT_KEY) for name in self._factorized[1]], dtype=object)

    @cached_property
    def buckets(self) -> Ints:
        return np.array([unit_bucket(name, BUCKET_SALT) for name in self._factorized[1]], dtype=np.int64)

    def points(self, salt: str) -> Ints:
        """Where each aircraft falls by the hash of a rollout, 0..9,999."""
        point = assigner(salt)
        return np.array([point(name) for name in self._factorized[1]], dtype=np.int64)

    def between(self, after: int, until: int) -> slice:
        """The flights with ``after < time <= until``."""
        first, last = np.searchsorted(self.times, [after, until], side="right")
        return slice(int(first), int(last))

    def matured(self, after: int, until: int) -> NDArray[np.bool_]:
        """Flights asked about in ``(after, until]`` whose outcome was known by ``until``."""
        chosen = np.zeros(len(self.rows), dtype=bool)
        chosen[self.between(after, until)] = True
        return chosen & (self.known <= until) & ~np.isnan(self.late)

    def scores(self, model: Pipeline, since: datetime) -> Floats:
        """What a model says of every flight from ``since`` on; NaN before, where nobody asks it."""
        found = np.full(len(self.rows), np.nan)
        first = int(np.searchsorted(self.times, int(pd.Timestamp(since).value // 1000)))
        if first < len(found):
            with threadpool_limits(limits=1, user_api="openmp"):
                found[first:] = model.predict_proba(self.rows[list(flights.FEATURES)].iloc[first:])[:, 1]
        return found

    def faulty(self, model: Pipeline, scores: Floats, release: str, part: slice) -> Floats:
        """The scores, where the flights of ``part`` reach the model by another release of the feature service."""
        if release not in features.RELEASES:
            raise ValueError(f"no release {release!r}")
        found = scores.copy()
        found[part] = offline.scores(model, self.rows.iloc[part], release)
        return found


def _micros(times: pd.Series) -> Ints:
    return np.asarray(times.astype("datetime64[us, UTC]").astype("int64").to_numpy())
