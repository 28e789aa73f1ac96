"""Losses of predictions whose outcomes are known: of one span against another, and of two models on the same rows.

Rows of one unit go together, so their errors are those of means of clusters.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from seatrial.engines.captured import labels
from seatrial.engines.expressions import CLIP
from seatrial.retrain.policy import Policy
from seatrial.retrain.running import Loss

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """Mean loss of ``rows`` predictions, with its standard error."""

    rows: int
    mean: float
    error: float

    def keep(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises FileNotFoundError."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def sample(table: pa.Table, outcomes: Path, policy: Policy, now: datetime) -> Sample | None:
    """Losses of the scores that were served; None where there are none, or their mean is not a number."""
    truth, known = matured(table, outcomes, policy, now)
    scores = table["score"].to_numpy()
    known &= ~np.isnan(scores)
    if not known.any():
        return None
    found = clustered(losses(policy.watch.loss, truth[known], scores[known]), units(table)[known])
    return found if math.isfinite(found.mean) else None


def matured(table: pa.Table, outcomes: Path, policy: Policy, now: datetime) -> tuple[Floats, NDArray[np.bool_]]:
    """The outcome of each prediction, and which are known."""
    watch = policy.watch
    assert watch.outcome is not None, "whoever asks has looked"
    horizon = round(watch.horizon.seconds * 1e6) or 1 << 60
    truth: Floats = labels(table, outcomes, policy.model, watch.outcome, horizon, now)
    return truth, ~np.isnan(truth)


def losses(loss: Loss, truth: Floats, scores: Floats) -> Floats:
    """One number a row.

    >>> losses("squared", np.array([1.0, 0.0]), np.array([0.5, 0.5])).tolist()
    [0.25, 0.25]
    """
    if loss == "log_loss":
        p = np.clip(scores, CLIP, 1 - CLIP)
        found: Floats = -(truth * np.log(p) + (1 - truth) * np.log1p(-p))
        return found
    miss = scores - truth
    size: Floats = np.abs(miss) if loss == "absolute" else miss * miss
    return size


def units(table: pa.Table) -> NDArray[np.int64]:
    """Which unit each row is of, as numbers; a row without one is a unit of its own."""
    encoded = table["unit"].combine_chunks().dictionary_encode().indices
    codes: NDArray[np.int64] = encoded.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    lone = codes < 0
    codes[lone] = len(codes) + np.arange(int(lone.sum()))
    return codes


def clustered(values: Floats, clusters: NDArray[np.int64]) -> Sample:
    """Mean with its standard error, rows of a cluster taken together (Liang & Zeger 1986).

    >>> clustered(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    Sample(rows=4, mean=2.0, error=1.0)
    """
    n, mean = len(values), float(values.mean())
    _, place = np.unique(clusters, return_inverse=True)
    sums = np.bincount(place, weights=values - mean)
    few = len(sums) / (len(sums) - 1) if len(sums) > 1 else math.inf
    return Sample(n, mean, math.sqrt(few * float(sums @ sums)) / n if math.isfinite(few) else math.inf)


def harm(reference: Sample, current: Sample, alpha: float) -> float:
    """How much the loss rose, relative to what it was; 0 where noise explains it at this level (one-sided).

    >>> harm(Sample(900, 0.5, 0.01), Sample(900, 0.6, 0.01), 0.01), harm(Sample(9, 0.5, 0.1), Sample(9, 0.6, 0.1), 0.01)
    (0.2, 0.0)
    """
    rise = current.mean - reference.mean
    noise = math.hypot(current.error, reference.error) * float(-ndtri(alpha))
    if rise <= noise or reference.mean == 0:
        return 0.0
    return round(rise / abs(reference.mean), 12)
