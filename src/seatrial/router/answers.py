"""Features and answers of Python callables as the bodies they would have had on the wire, and what is no answer.

The form is MLflow's, which the collector reads for every model: ``{"dataframe_records": [...]}`` and
``{"predictions": [...]}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from seatrial.gateway.routes import OFF

Row = Mapping[str, Any]
Features = Row | Sequence[Row]


class Invalid(ValueError):
    """What a handler returned is no prediction."""


def rows_of(features: Features) -> int | None:
    """How many rows were asked for; None for a single one, whose answer stands by itself."""
    return None if isinstance(features, Mapping) else len(features)


def checked(answer: Any, rows: int | None) -> Sequence[Any]:
    """One answer a row. Raises ``Invalid`` for what the model host would refuse: nothing, NaN, other rows."""
    answer = _plain(answer) if hasattr(answer, "tolist") else answer
    if rows is None:
        answers: Sequence[Any] = (answer,)
    elif isinstance(answer, Sequence) and not isinstance(answer, str | bytes) and len(answer) == rows:
        answers = answer
    else:
        count = len(answer) if isinstance(answer, Sequence) else "no"
        raise Invalid(f"{rows} rows were asked for, {count} answers came back")
    for one in answers:
        _check(one)
    return answers


def request_body(features: Features) -> str:
    return _text({"dataframe_records": [features] if isinstance(features, Mapping) else list(features)})


def answer_body(answers: Sequence[Any]) -> str:
    return _text({"predictions": list(answers)})


def error_body(reason: str) -> str:
    return _text({"error": reason})


def off_body(model: str) -> str:
    """As Envoy's own answer says it."""
    return json.dumps({"error": f"model {model} is switched off", "model": model, "level": OFF}) + "\n"


def _check(answer: Any) -> None:
    if answer is None or (isinstance(answer, float) and not math.isfinite(answer)):
        raise Invalid(f"a prediction is {answer}")
    if isinstance(answer, Mapping):
        for value in answer.values():
            if isinstance(value, float) and not math.isfinite(value):
                raise Invalid(f"a prediction holds {value}")
    elif isinstance(answer, list | tuple):
        if not answer:
            raise Invalid("a row has an empty list as its prediction")
        for value in answer:
            _check(value)


def _plain(value: Any) -> Any:
    """What JSON has no form for: times, numbers and arrays of numpy; of anything else the text."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.tolist() if hasattr(value, "tolist") else str(value)


_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_plain).encode
