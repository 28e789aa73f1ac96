"""Areas under ROC curves: the definition, DeLong's errors against a bootstrap, and pairs that share their rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from seatrial.stats.discrimination import auc


def sample(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.uniform(size=rows) < 0.3
    strong = labels + rng.normal(size=rows)
    return labels, np.stack([strong, strong + rng.normal(size=rows)]).round(1)  # rounded: there are ties


def test_areas_are_those_of_the_definition() -> None:
    labels, scores = sample(500, 1)
    areas, _ = auc(labels, scores)
    assert areas == pytest.approx([roc_auc_score(labels, one) for one in scores], abs=1e-12)


def test_errors_are_those_of_repeated_samples() -> None:
    found = [auc(*sample(400, seed)) for seed in range(600)]
    areas = np.array([one for one, _ in found])
    wanted, told = np.cov(areas.T), np.mean([covariance for _, covariance in found], axis=0)
    assert told == pytest.approx(wanted, rel=0.15)
    difference = areas[:, 0] - areas[:, 1]
    spread = [c[0, 0] + c[1, 1] - 2 * c[0, 1] for _, c in found]
    low = difference - 1.645 * np.sqrt(spread)
    assert 0.03 < np.mean(low > difference.mean()) < 0.07, "a one-sided 95% bound is exceeded in 5%"


def test_what_has_no_area_is_refused() -> None:
    for labels, scores in (([0, 0, 0], [1, 2, 3]), ([0, 1], [1, 2]), ([0, 0, 1, 1], [1, 2, 3, np.nan]), ([0, 1], [1])):
        with pytest.raises(ValueError, match=r"label|area"):
            auc(labels, scores)
