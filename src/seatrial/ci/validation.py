"""A candidate on labelled rows: good enough, and not worse than the champion, overall and in every slice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.ci.parity import Scores
from seatrial.ci.pipeline import Metric, ModelCheck
from seatrial.stats.discrimination import auc
from seatrial.stats.intervals import clopper_pearson_interval

Z = 1.6448536269514722  # one-sided 95%
BOTH_SIDES = 0.1  # of a two-sided interval whose ends are one-sided 95% bounds
CLIP = 1e-15
HIGHER_IS_BETTER = ("auc", "accuracy", "sensitivity", "specificity")

OVERALL = "overall"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bound:
    """An estimate with the end of its one-sided 95% interval that counts against the candidate."""

    estimate: float
    bound: float


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One slice, ``overall`` or ``column=value``. ``problem``: why it has not passed; empty if it has."""

    name: str
    rows: int
    value: Bound | None
    loss: Bound | None
    problem: str
    counts: bool = True

    def document(self) -> dict[str, Any]:
        def told(bound: Bound | None) -> dict[str, float] | None:
            return None if bound is None else {"estimate": bound.estimate, "bound": bound.bound}

        return {
            "slice": self.name, "rows": self.rows, "value": told(self.value), "loss": told(self.loss),
            "problem": self.problem, "counts": self.counts,
        }  # fmt: skip


def judged(
    check: ModelCheck,
    labels: Scores,
    candidate: Scores,
    champion: Scores | None,
    columns: dict[str, Sequence[Any]],
) -> Iterator[SliceResult]:
    """The whole table first, then each value of each column of ``slices``. All must pass, so no level is corrected."""
    yield _judged(check, OVERALL, labels, candidate, champion)
    for column in check.slices:
        values = np.array([_key(value) for value in columns[column]])
        for value in sorted(set(values.tolist())):
            mask: Mask = values == value
            theirs = None if champion is None else champion[mask]
            yield _judged(check, f"{column}={value}", labels[mask], candidate[mask], theirs)


def _judged(check: ModelCheck, name: str, labels: Scores, candidate: Scores, champion: Scores | None) -> SliceResult:
    about = _about(check.metric, labels)
    labels, candidate = labels[about], candidate[about]
    champion = None if champion is None else champion[about]
    rows = len(labels)
    if name != OVERALL and rows < check.min_rows:
        counts = check.small_slices == "fail"
        return SliceResult(name, rows, None, None, f"{rows} rows are fewer than {check.min_rows}", counts)
    if not rows:
        return SliceResult(name, rows, None, None, f"no row shows its {check.metric}")
    if not np.isfinite(candidate).all():
        return SliceResult(name, rows, None, None, f"{int((~np.isfinite(candidate)).sum())} rows have no answer")
    known = champion if champion is not None and np.isfinite(champion).all() else None
    try:
        value, loss = measured(check.metric, labels, candidate, known, threshold=check.threshold)
    except ValueError as error:
        return SliceResult(name, rows, None, None, str(error))
    return SliceResult(name, rows, value, loss, _problem(check, value, loss, champion))


def _problem(check: ModelCheck, value: Bound, loss: Bound | None, champion: Scores | None) -> str:
    better = value.bound >= check.required if check.metric in HIGHER_IS_BETTER else value.bound <= check.required
    if not better:
        return f"{check.metric} is {value.estimate:.4g} ({value.bound:.4g} at 95%), required is {check.required:g}"
    if check.margin is None or champion is None:
        return ""
    if loss is None:
        return "the champion has rows without an answer: nothing to compare with"
    if loss.bound > check.margin:
        return (
            f"{check.metric} is {abs(loss.estimate):.4g} {'worse' if loss.estimate > 0 else 'better'} than the "
            f"champion's, and a loss of {loss.bound:.4g} is possible; {check.margin:g} is allowed"
        )
    return ""


def measured(
    metric: Metric, labels: Scores, candidate: Scores, champion: Scores | None, *, threshold: float = 0.5
) -> tuple[Bound, Bound | None]:
    """The metric of the candidate, and its loss against the champion (positive: worse), each with its 95% bound.

    Rows are taken as independent. Areas by DeLong; shares of right decisions exactly (Clopper and Pearson), and their
    loss with half a row more in each cell of the pairs (Agresti and Min, 2005), so that no mistake among a few rows
    is not taken for none ever; all else are paired means.

    >>> y, p = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.4, 0.9])
    >>> value, loss = measured("brier", y, p, p)
    >>> round(value.estimate, 3), loss.estimate
    (0.185, 0.0)
    >>> measured("sensitivity", np.ones(50), np.ones(50), None)[0]
    Bound(estimate=1.0, bound=0.941...)
    """
    if metric == "auc":
        return _areas(labels, candidate, champion)
    if metric in HIGHER_IS_BETTER:
        return _shares(labels, candidate, champion, threshold)
    mine = _losses(metric, labels, candidate)
    value = Bound(float(mine.mean()), _upper(mine))
    if champion is None:
        return value, None
    extra = mine - _losses(metric, labels, champion)
    return value, Bound(float(extra.mean()), _upper(extra))


def _about(metric: Metric, labels: Scores) -> Mask:
    """The rows that a metric is over."""
    if metric not in ("sensitivity", "specificity"):
        return np.ones(len(labels), dtype=np.bool_)
    return np.asarray((labels >= 0.5) == (metric == "sensitivity"))


def _shares(labels: Scores, candidate: Scores, champion: Scores | None, threshold: float) -> tuple[Bound, Bound | None]:
    n, right = len(labels), _right(labels, candidate, threshold)
    value = Bound(float(right.mean()), clopper_pearson_interval(int(right.sum()), n, BOTH_SIDES)[0])
    if champion is None:
        return value, None
    theirs = _right(labels, champion, threshold)
    worse, better = int((theirs & ~right).sum()), int((right & ~theirs).sum())
    apart, of = worse - better, n + 2
    reach = Z * math.sqrt(worse + better + 1 - apart**2 / of) / of
    return value, Bound(apart / n, apart / of + reach)


def _right(labels: Scores, scores: Scores, threshold: float) -> Mask:
    return np.asarray((scores >= threshold) == (labels >= 0.5))


def _areas(labels: Scores, candidate: Scores, champion: Scores | None) -> tuple[Bound, Bound | None]:
    both = np.stack([candidate] if champion is None else [candidate, champion])
    areas, covariance = auc(labels, both)
    value = Bound(float(areas[0]), float(areas[0]) - Z * math.sqrt(max(float(covariance[0, 0]), 0.0)))
    if champion is None:
        return value, None
    loss = float(areas[1] - areas[0])
    spread = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    return value, Bound(loss, loss + Z * math.sqrt(max(spread, 0.0)))


def _losses(metric: Metric, labels: Scores, scores: Scores) -> Scores:
    match metric:
        case "log_loss":
            p = np.clip(scores, CLIP, 1 - CLIP)
            return -(labels * np.log(p) + (1 - labels) * np.log1p(-p))
        case "brier" | "squared_error":
            return (scores - labels) ** 2
        case "absolute_error":
            return np.abs(scores - labels)
        case _:
            raise ValueError(f"{metric} is no mean of losses over rows")


def _upper(losses: Scores) -> float:
    error = float(losses.std(ddof=1)) / math.sqrt(len(losses)) if len(losses) > 1 else math.inf
    return float(losses.mean()) + Z * error


def _key(value: Any) -> str:
    return "unknown" if value is None or value != value else str(value)
