"""The area under the ROC curve of one or more scores of the same labelled rows, with its errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def auc(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Areas, shape (k,), and their covariance, shape (k, k), of k scores of the same n rows.

    ``labels``: shape (n,), true or 1 for events. ``scores``: shape (k, n), higher for likelier events; ties count half.
    The variance of the difference of two areas is ``c[0, 0] + c[1, 1] - 2 c[0, 1]``. Raises ValueError for scores that
    are not finite, or fewer than two rows of either label. Source: DeLong, DeLong & Clarke-Pearson (1988), by midranks
    as in Sun & Xu (2014).

    >>> areas, covariance = auc([0, 0, 1, 1], [[0.1, 0.4, 0.35, 0.8]])
    >>> float(areas[0]), round(float(covariance[0, 0]), 6)
    (0.75, 0.125)
    """
    events = np.asarray(labels, dtype=bool)
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if values.shape[1:] != events.shape or not np.isfinite(values).all():
        raise ValueError("every row has a label and finite scores")
    m, n = int(events.sum()), int((~events).sum())
    if min(m, n) < 2:
        raise ValueError(f"{m} events and {n} others have no area with an error")
    together = rankdata(values, axis=1)
    of_events = (together[:, events] - rankdata(values[:, events], axis=1)) / n
    of_others = 1 - (together[:, ~events] - rankdata(values[:, ~events], axis=1)) / m
    covariance = np.atleast_2d(np.cov(of_events)) / m + np.atleast_2d(np.cov(of_others)) / n
    return of_events.mean(axis=1), covariance
