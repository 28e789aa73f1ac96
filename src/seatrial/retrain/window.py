"""Which rows a model is trained on: a window that ends at the cut-off, and nothing that was not known by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seatrial.instants import in_utc
from seatrial.retrain.differences import LEVEL, Difference, difference
from seatrial.retrain.policy import Training

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Span:
    """[start, cutoff) in UTC. ``start`` None: from the first row there is."""

    start: datetime | None
    cutoff: datetime

    def holds(self, times: ArrayLike, known: ArrayLike) -> Mask:
        """Which rows may be trained on: happened in the span, and their outcome known before the cut-off.

        ``times`` and ``known`` as datetime64 in UTC, shape (n,); an outcome that never came is NaT.

        >>> span = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
        >>> span.holds(["2026-02-28", "2026-03-01", "2026-03-02", "2026-03-02", "2026-03-03"],
        ...            ["2026-03-01", "2026-03-01", "2026-03-03", "NaT", "2026-03-03"]).tolist()
        [False, True, False, False, False]
        """
        at, outcome = _instants(times), _instants(known)
        end = _instant(self.cutoff)
        inside = (at < end) & (outcome < end)
        return inside if self.start is None else inside & (at >= _instant(self.start))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model was trained on, for its lineage: the span, how many rows, and the first and last of them.

    ``effective``: how many equal rows the weights amount to (Kish 1965).
    """

    span: Span
    rows: int
    first: datetime | None
    last: datetime | None
    effective: float

    def document(self) -> dict[str, Any]:
        return {
            "from": _iso(self.span.start), "until": _iso(self.span.cutoff), "rows": self.rows,
            "first": _iso(self.first), "last": _iso(self.last), "effectiveRows": self.effective,
        }  # fmt: skip


def span(training: Training, cutoff: datetime) -> Span:
    """The span of a run at ``cutoff``: sliding is the last window; expanding and decay go back to the first row.

    A window is counted in UTC: neither a change of the clocks nor a leap day makes it longer. Raises ValueError for
    sliding or decay without a window, or a moment without a time zone.

    >>> from seatrial.values import Duration
    >>> span(Training(window=Duration.parse("2d")), datetime(2024, 3, 1, tzinfo=UTC)).start
    datetime.datetime(2024, 2, 28, 0, 0, tzinfo=datetime.timezone.utc)
    """
    cutoff = in_utc(cutoff)
    if training.mode != "expanding" and training.window is None:
        raise ValueError(f"a {training.mode} window has a length")
    if training.mode == "sliding" and training.window is not None:
        return Span(cutoff - training.window.delta, cutoff)
    return Span(None, cutoff)


def weights(training: Training, cutoff: datetime, times: ArrayLike) -> Floats:
    """How much each row counts, shape (n,): halved with every window of age in ``decay``, 1 otherwise.

    >>> from seatrial.values import Duration
    >>> weights(Training(window=Duration.parse("1d"), mode="decay"), datetime(2026, 3, 3, tzinfo=UTC),
    ...         ["2026-03-03", "2026-03-02", "2026-03-01"]).tolist()
    [1.0, 0.5, 0.25]
    """
    at = _instants(times)
    if training.mode != "decay" or training.window is None:
        return np.ones(at.shape)
    age = (_instant(cutoff) - at) / np.timedelta64(1, "s")
    return np.asarray(0.5 ** (age / training.window.seconds))


def seen(training: Training, cutoff: datetime, times: ArrayLike, known: ArrayLike) -> tuple[Mask, Seen]:
    """The rows to train on at ``cutoff``, and their lineage; arguments as in `span` and `Span.holds`."""
    over = span(training, cutoff)
    chosen = over.holds(times, known)
    at = _instants(times)[chosen]
    if not at.size:
        return chosen, Seen(over, 0, None, None, 0.0)
    weight = weights(training, cutoff, at)
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    return chosen, Seen(over, int(at.size), _moment(at.min()), _moment(at.max()), effective)


def uncovered(training: Training, first: datetime, cutoff: datetime) -> str | None:
    """Why rows from ``first`` to the cut-off do not cover one declared season; None where they do, or none is declared.

    >>> from seatrial.values import Duration
    >>> a_year = Training(window=Duration.parse("90d"), season=Duration.parse("365d"))
    >>> uncovered(a_year, datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    'training data of 90 days are shorter than one season, 365d'
    """
    if training.season is None:
        return None
    start = span(training, cutoff).start
    covered = cutoff - (first if start is None else max(first, start))
    if covered >= training.season.delta:
        return None
    return f"training data of {covered / timedelta(days=1):g} days are shorter than one season, {training.season}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A window in days (infinite: all there is), its mean loss, and how much worse than the best it is.

    ``enough``: not significantly worse, or surely not by more than the margin where there is one.
    """

    days: float
    loss: float
    worse: Difference | None
    enough: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """``candidates`` from the shortest on. ``chosen`` is the first of them that is good enough."""

    periods: int
    best: float
    chosen: float
    candidates: tuple[Candidate, ...]


def choose(losses: Mapping[float, Mapping[str, float]], margin: float | None = None, level: float = LEVEL) -> Choice:
    """The shortest window that is not significantly worse than the best, by losses of each window in each period.

    Paired over the periods that all windows have. Without a ``margin`` few or noisy periods excuse any window: with one
    the whole interval of the difference has to be within it. Raises ValueError for fewer than two windows or three
    periods.

    >>> week = {7.0: [2.0, 2.2, 2.1, 2.3], 30.0: [1.0, 1.1, 1.1, 1.2], 365.0: [0.9, 1.2, 1.1, 1.15]}
    >>> found = choose({days: dict(enumerate(losses)) for days, losses in week.items()})
    >>> found.best, found.chosen, [one.enough for one in found.candidates]
    (365.0, 30.0, [False, True, True])
    """
    if len(losses) < 2:
        raise ValueError("one window alone is no choice")
    common = sorted(set.intersection(*(set(of) for of in losses.values())))
    means = {days: float(np.mean([of[period] for period in common])) if common else 0.0 for days, of in losses.items()}
    best = min(means, key=lambda days: (means[days], days))
    candidates = []
    for days in sorted(losses):
        apart = difference([losses[days][period] - losses[best][period] for period in common], level)
        enough = days == best or (apart.interval[0] <= 0 if margin is None else apart.interval[1] <= margin)
        candidates.append(Candidate(days, means[days], None if days == best else apart, enough))
    chosen = next(one.days for one in candidates if one.enough)
    return Choice(len(common), best, chosen, tuple(candidates))


def _instants(times: ArrayLike) -> NDArray[np.datetime64]:
    return np.asarray(times, dtype="datetime64[us]")


def _instant(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _moment(instant: np.datetime64) -> datetime:
    found: datetime = instant.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
