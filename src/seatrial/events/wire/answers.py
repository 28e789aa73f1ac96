"""Answers become scores and labels: one rule for all formats.

A number is a score; text, booleans and batches of whole numbers are labels. ``[p0, p1]`` is the probability of the
second class. Of a longer vector of probabilities the label is the largest class; other vectors have no summary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from seatrial.events.wire.bodies import as_rows, finite, is_number, kind_of, point
from seatrial.events.wire.lists import rankings
from seatrial.events.wire.rows import columnar
from seatrial.events.wire.types import Prediction, ResponseSpec, WireError, bad_schema

ANSWER_NAMES: Final[tuple[str, ...]] = ("predictions", "prediction", "outputs", "output", "result", "results")

_SCORE_NAMES: Final[tuple[str, ...]] = (
    "score", "scores", "probability", "probabilities", "predict_proba", "confidence", "confidences", "value",
)  # fmt: skip
_LABEL_NAMES: Final[tuple[str, ...]] = (
    "label", "labels", "class", "classes", "predicted_label", "predicted_class", "displayNames", "class_name",
)  # fmt: skip
_NOT_FINITE: Final = frozenset({"NaN", "nan", "Infinity", "-Infinity", "inf", "-inf"})  # protobuf JSON, pandas
_WHOLE: Final = 1e-3
"""Probabilities add up to 1 within this: servers round them."""

_Cell = tuple[int | float | None, str | None]


def pointed(document: object, spec: ResponseSpec) -> Prediction:
    """Answers at declared pointers; a whole number at ``score`` is a score, because the contract says so."""
    if spec.items is not None:
        return _with_lists(document, spec)
    columns = []
    if spec.score is not None:
        answers = as_rows(point(document, spec.score, "no_predictions"))
        columns.append(summarise(answers, spec, numbers=True))
    if spec.label is not None:
        labels = tuple(map(_label, as_rows(point(document, spec.label, "no_predictions"))))
        columns.append(Prediction((None,) * len(labels), labels))
    return merge(columns)


def _with_lists(document: object, spec: ResponseSpec) -> Prediction:
    """Ranked lists, and beside each what else is declared."""
    ranked = rankings(document, spec)
    if spec.score is None and spec.label is None:
        return Prediction((None,) * len(ranked), (None,) * len(ranked), ranked)
    beside = pointed(document, replace(spec, items=None))
    if len(beside) != len(ranked):
        raise WireError("row_count", f"{len(ranked)} ranked lists and {len(beside)} predictions came back")
    return replace(beside, rankings=ranked)


def merge(columns: Sequence[Prediction]) -> Prediction:
    """Scores of the first column, labels of the last."""
    first, last = columns[0], columns[-1]
    if len(first) != len(last):
        raise WireError("row_count", f"{len(first)} scores and {len(last)} labels came back")
    return Prediction(first.scores, last.labels)


def by_row(value: object, spec: ResponseSpec) -> list[Any]:
    """One answer per row. Of a mapping of columns the declared one is taken, or its rows are made."""
    if isinstance(value, dict):
        if spec.output is not None and spec.output in value:
            return as_rows(value[spec.output])
        columns = {name: column for name, column in value.items() if isinstance(column, list)}
        if columns:
            return list(columnar(columns, "outputs"))
    return as_rows(value)


def summarise(answers: Iterable[object], spec: ResponseSpec, *, numbers: bool = False) -> Prediction:
    """Scores and labels, one answer a row. ``numbers``: a whole number is a score, not a class label."""
    answers = list(answers)
    cells = [_mapping_cell(answer, spec) if isinstance(answer, dict) else _cell(answer) for answer in answers]
    if numbers and any(isinstance(answer, str | bool) for answer in answers):
        bad_schema("a score is a number, not text")
    if not numbers and all(isinstance(score, int) for score, _ in cells):
        return Prediction((None,) * len(cells), tuple(str(score) for score, _ in cells))
    scores = tuple(None if score is None else float(score) for score, _ in cells)
    return Prediction(scores, tuple(label for _, label in cells))


def _mapping_cell(answer: dict[str, Any], spec: ResponseSpec) -> _Cell:
    if spec.output is not None and spec.output in answer:
        return _cell(answer[spec.output])
    score = next((answer[name] for name in _SCORE_NAMES if name in answer), None)
    label = next((answer[name] for name in _LABEL_NAMES if name in answer), None)
    if isinstance(score, list) and isinstance(label, list):
        return _ranked(score, label)
    if score is not None or label is not None:
        number, text = _cell(score) if score is not None else (None, None)
        number = None if number is None else float(number)  # named a score, so a whole number is one too
        return number, text if label is None else _label(_unwrap(label))
    name = next((name for name in (*_SCORE_NAMES, *_LABEL_NAMES, *ANSWER_NAMES) if name in answer), None)
    if name is None and len(answer) == 1:
        (name,) = answer
    if name is None:
        raise WireError("no_predictions", f"none of {sorted(answer)[:8]} is known as a prediction; declare which is")
    return _cell(answer[name])


def _ranked(scores: list[Any], classes: list[Any]) -> _Cell:
    """Classes with their scores side by side: the class of the largest; of two, the score of the second."""
    if not scores or len(scores) != len(classes):
        bad_schema(f"{len(scores)} scores and {len(classes)} classes are side by side")
    if not all(is_number(value) for value in scores):
        bad_schema("a score beside a class is not a number")
    values = [float(finite(value)) for value in scores]
    label = _label(classes[max(range(len(values)), key=values.__getitem__)])
    return (values[-1] if len(values) <= 2 else None), label


def _cell(answer: object) -> _Cell:
    answer = _unwrap(answer)
    if isinstance(answer, list):
        return _vector_cell(answer)
    return (finite(answer), None) if is_number(answer) else (None, _label(answer))


def _unwrap(answer: object) -> object:
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer


def _vector_cell(answer: list[Any]) -> _Cell:
    if not answer:
        raise WireError("no_predictions", "a row has an empty list as its prediction")
    _check_finite(answer)
    if not all(is_number(value) for value in answer):
        return None, None
    if len(answer) == 2:
        return float(answer[1]), None
    if min(answer) >= -1e-9 and abs(sum(answer) - 1) < _WHOLE:
        return None, str(max(range(len(answer)), key=answer.__getitem__))
    return None, None


def _label(value: object) -> str:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            raise WireError("nan", f"a prediction is {value}")
        return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate could not be stored
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or is_number(value):
        return str(finite(value))
    bad_schema(f"a prediction is {kind_of(value)}")


def _check_finite(values: list[Any]) -> None:
    """No null, NaN or infinity anywhere in nested lists (objects inside are the model's own business)."""
    pending: list[Any] = [values]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif not isinstance(value, bool | dict):
            _label(value) if isinstance(value, str) else finite(value)
