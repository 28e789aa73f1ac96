"""How good a candidate is on labelled rows: what each metric is over, and the end of its interval that counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from seatrial.ci.pipeline import METRICS, ModelCheck
from seatrial.ci.validation import SliceResult, judged, measured

LABELS = np.repeat([1.0, 0.0], [100, 900])


def found(scores: np.ndarray, champion: np.ndarray | None = None, **more: object) -> list[SliceResult]:
    told = {"file": "reads.parquet", "label": "finding", "metric": "sensitivity", "required": 0.8, **more}
    sites = ["A", "B"] * 500
    return list(judged(ModelCheck(**told), LABELS, scores, champion, {"site": sites}))  # type: ignore[arg-type]


def missing(count: int, *, healthy: int = 0) -> np.ndarray:
    """Scores of a reader who misses so many of the ill, and calls so many of the healthy ill."""
    scores = np.where(LABELS == 1, 0.9, 0.1)
    scores[:count] = 0.2
    scores[100 : 100 + healthy] = 0.8
    return scores


def test_sensitivity_is_over_the_ill_and_specificity_over_the_healthy() -> None:
    overall, *_ = found(missing(10, healthy=90))
    assert (overall.rows, overall.problem) == (100, "")
    assert overall.value is not None
    assert overall.value.estimate == pytest.approx(0.9)
    assert overall.value.bound == pytest.approx(beta.ppf(0.05, 90, 11))
    overall, *_ = found(missing(50, healthy=90), metric="specificity")
    assert (overall.rows, overall.problem) == (900, "")
    assert overall.value is not None
    assert overall.value.estimate == pytest.approx(0.9)
    assert "sensitivity is 0.5" in found(missing(50))[0].problem, "99 of 100 healthy do not make up for it"


def test_a_slice_with_few_positives_has_not_passed_however_many_rows_it_has() -> None:
    _, site_a, site_b = found(missing(0), slices=("site",), min_rows=60)
    assert (site_a.rows, site_a.problem, site_b.counts) == (50, "50 rows are fewer than 60", True)
    assert [one.problem for one in found(missing(0), slices=("site",), min_rows=50)] == ["", "", ""]
    none = ModelCheck(file="f", label="y", metric="sensitivity", required=0.8)
    (healthy,) = judged(none, np.zeros(500), np.zeros(500), None, {})
    assert healthy.problem == "no row shows its sensitivity"


def test_the_threshold_is_that_of_the_decision() -> None:
    assert "sensitivity is 0" in found(missing(0), threshold=0.95)[0].problem
    assert found(missing(0), threshold=0.9)[0].problem == "", "at or above it"


def test_no_mistake_among_a_few_rows_is_not_taken_for_none_ever() -> None:
    value, loss = measured("accuracy", np.ones(20), np.ones(20), np.ones(20))
    assert loss is not None
    assert value.bound == pytest.approx(0.05 ** (1 / 20))
    assert (loss.estimate, loss.bound) == (0, pytest.approx(1.6449 / 22, rel=1e-3))


def test_a_loss_against_the_champion_is_paired() -> None:
    champion, worse = missing(5), missing(15)
    _, loss = measured("sensitivity", LABELS[:100], worse[:100], champion[:100])
    assert loss is not None
    assert loss.estimate == pytest.approx(0.10)
    assert 0.13 < loss.bound < 0.17
    assert "worse than the champion's" in found(worse, champion, margin=0.02, required=0.5)[0].problem
    assert found(champion, champion, margin=0.02, required=0.5)[0].problem == ""


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_finds_a_model_that_answers_by_chance(metric: str) -> None:
    rng = np.random.default_rng(5)
    labels, noise = (rng.random(2_000) < 0.5).astype(float), rng.random(2_000)
    good = np.clip(labels * 0.8 + 0.1 + rng.normal(0, 0.02, 2_000), 0.01, 0.99)
    (value, same), (_, worse) = (measured(metric, labels, one, good) for one in (good, noise))  # type: ignore[arg-type]
    assert same is not None
    assert worse is not None
    assert same.bound < 0.01 < 0.1 < worse.bound
    assert value.bound != value.estimate or metric in ("auc",)
