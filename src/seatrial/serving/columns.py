"""Rows of a request as the columns a model was fitted on.

The type of a column must not depend on which other requests happen to be predicted together with this one. Types are
therefore fixed by declaration or by the model's own encoders; a column that neither knows is typed from its request
alone, and only requests with the same ``signature`` are put into one frame.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.events.wire import Request

HEADER_LIMIT = 8192
_NAN = math.nan


class FeatureError(ValueError):
    """The request does not have what the model needs; the message names the column."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Values by column, in the model's order. ``signature``: a letter a column: Integer, Float, Text, Bool, Object."""

    columns: tuple[list[Any], ...]
    count: int
    signature: str


class Columns:
    """Turns requests into ``Rows`` and ``Rows`` into one frame."""

    def __init__(self, features: Sequence[str], dtypes: Sequence[str] = (), texts: Sequence[str] = ()) -> None:
        self.features = tuple(features)
        kinds = list(dtypes) or ["known text" if name in set(texts) else "unknown" for name in features]
        self.kinds = tuple(kinds)
        self._typers = [_TYPERS[kind] for kind in kinds]

    def rows(self, request: Request) -> Rows:
        """Raises ``FeatureError`` for a missing column, a wrong number of columns, or a value of the wrong kind."""
        raw = self._by_name(request) if request.features is not None else self._by_position(request)
        typed = [typer(values, name) for typer, values, name in zip(self._typers, raw, self.features, strict=True)]
        return Rows(tuple(values for values, _ in typed), request.rows, "".join(letter for _, letter in typed))

    def _by_name(self, request: Request) -> list[list[Any]]:
        rows = request.features or ()
        try:
            return [[row[name] for row in rows] for name in self.features]
        except KeyError:
            missing = next(name for name in self.features for row in rows if name not in row)
            raise FeatureError(
                f"the column {missing!r} is missing; the model needs {', '.join(self.features)}"
            ) from None

    def _by_position(self, request: Request) -> list[list[Any]]:
        rows, width = request.vectors or (), len(self.features)
        for row in rows:
            if len(row) != width:
                raise FeatureError(
                    f"a row has {len(row)} values and the model needs {width}: {', '.join(self.features)}"
                )
        return [[row[j] for row in rows] for j in range(width)]

    def frame(self, batch: Sequence[Rows]) -> Any:
        """One pandas frame of several requests with the same signature."""
        import pandas as pd

        columns = self._joined(batch)
        letters = batch[0].signature
        typed = {
            name: _array(pd, values, letter)
            for name, values, letter in zip(self.features, columns, letters, strict=True)
        }
        frame = pd.DataFrame(typed, copy=False)
        frame.columns = pd.Index(self.features, dtype=object)  # looked up by name faster than Arrow text
        return frame

    def array(self, batch: Sequence[Rows]) -> Any:
        """One two-dimensional array of several requests, for a model fitted without column names."""
        import numpy as np

        numeric = set(batch[0].signature) <= set("IFB")
        return np.array(self._joined(batch), dtype=np.float64 if numeric else object).T

    def _joined(self, batch: Sequence[Rows]) -> Sequence[list[Any]]:
        if len(batch) == 1:
            return batch[0].columns
        return [[value for rows in batch for value in rows.columns[j]] for j in range(len(self.features))]

    def as_used(self, rows: Rows, names: Sequence[str] | None) -> str | None:
        """The rows as ASCII JSON, a list of objects in column order; ``None`` when too long for a header."""
        kept = [(name, values) for name, values in zip(self.features, rows.columns, strict=True) if _in(name, names)]
        shortest = sum(len(name) + 5 for name, _ in kept) + 2  # "name":0, and the braces
        if not kept or rows.count * shortest > HEADER_LIMIT:
            return None
        objects = [{name: _plain(values[i]) for name, values in kept} for i in range(rows.count)]
        text = json.dumps(objects, separators=(",", ":"))
        return text if len(text) <= HEADER_LIMIT else None


def _in(name: str, names: Sequence[str] | None) -> bool:
    return names is None or name in names


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _array(pd: Any, values: list[Any], letter: str) -> Any:
    import numpy as np

    if letter == "T":
        return pd.array(values, dtype=_text_dtype(pd))
    if letter == "O":
        objects = np.empty(len(values), dtype=object)
        objects[:] = values
        return pd.Series(objects, dtype=object)
    return np.array(values, dtype={"F": np.float64, "I": np.int64, "B": np.bool_}[letter])


def _text_dtype(pd: Any) -> Any:
    """What pandas itself makes of a list of text: ``str`` from version 3 on, objects before."""
    return "str" if int(pd.__version__.partition(".")[0]) >= 3 else object


# Typers: the values of one column of one request -> the values as the model gets them, and the letter of their type.

_Typed = tuple[list[Any], str]


def _number(values: list[Any], name: str) -> _Typed:
    try:
        return [_NAN if value is None else _as_float(value) for value in values], "F"
    except (TypeError, ValueError, OverflowError):
        bad = next(value for value in values if value is not None and not _is_float(value))
        raise FeatureError(f"the column {name!r} is a number, not {str(bad)[:40]!r}") from None


def _integer(values: list[Any], name: str) -> _Typed:
    if all(type(value) is int and -(2**63) <= value < 2**63 for value in values):
        return values, "I"
    floats, letter = _number(values, name)
    if any(math.isfinite(value) and not value.is_integer() for value in floats):
        raise FeatureError(f"the column {name!r} is a whole number")
    if all(-(2.0**63) <= value < 2.0**63 for value in floats):  # false for NaN: a missing value makes it a float
        return [int(value) for value in floats], "I"
    return floats, letter


def _string(values: list[Any], name: str) -> _Typed:
    for value in values:
        if value is not None and not isinstance(value, str):
            raise FeatureError(f"the column {name!r} is text, not {str(value)[:40]!r}")
    return values, "T"


def _boolean(values: list[Any], name: str) -> _Typed:
    for value in values:
        if value is not None and not isinstance(value, bool):
            raise FeatureError(f"the column {name!r} is true or false, not {str(value)[:40]!r}")
    return values, "O" if None in values else "B"


def _known_text(values: list[Any], name: str) -> _Typed:
    return values, "T" if all(value is None or isinstance(value, str) for value in values) else "O"


def _unknown(values: list[Any], name: str) -> _Typed:
    """What pandas would make of these values alone; a column of nulls is one of missing numbers."""
    types = set(map(type, values))
    if types <= {int}:
        return (values, "I") if all(-(2**63) <= value < 2**63 for value in values) else _number(values, name)
    if types <= {int, float, type(None)}:
        return _number(values, name)
    if types <= {str, type(None)}:
        return values, "T"
    return values, "B" if types == {bool} else "O"


def _as_float(value: Any) -> float:
    if isinstance(value, str):
        raise TypeError
    return float(value)


def _is_float(value: Any) -> bool:
    try:
        return math.isfinite(_as_float(value)) or True
    except (TypeError, ValueError, OverflowError):
        return False


_TYPERS: dict[str, Callable[[list[Any], str], _Typed]] = {
    "number": _number,
    "integer": _integer,
    "string": _string,
    "boolean": _boolean,
    "known text": _known_text,
    "unknown": _unknown,
}
