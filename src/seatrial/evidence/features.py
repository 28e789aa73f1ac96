"""What a model used to answer one row: its features by name, in a form that two models can be compared by.

Names that begin with ``@`` say something about the record itself: ``@schema`` names the schema or version of the
features, ``@as_of`` when their values were true: one time for all, or one for each name. Times are ISO 8601 with their
offset, or seconds since 1970.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

Record = Mapping[str, Any]

SCHEMA: Final = "@schema"
AS_OF: Final = "@as_of"

NEAR_ZERO: Final = 1e-12
"""Numbers this close to each other are equal whatever their size: what is left of a sum that cancels out is noise."""

MOST_NESTED: Final = 32
"""Lists and maps in a feature; what is nested deeper has no canonical form."""

_EXACT: Final = 2.0**53
_YEAR_10_000: Final = 253_402_300_800
_as_text: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_PLAIN: Final = frozenset({float, int, str, bool})


@dataclass(frozen=True, slots=True)
class Difference:
    """How two values differ. ``absolute`` and ``relative``: by how much, 0 where there is no finite number for it."""

    mistyped: bool = False
    absolute: float = 0.0
    relative: float = 0.0

    def __or__(self, other: Difference) -> Difference:
        return Difference(
            self.mistyped or other.mistyped,
            max(self.absolute, other.absolute),
            max(self.relative, other.relative),
        )


def difference(a: Any, b: Any, tolerance: float) -> Difference | None:
    """How two values of a feature differ; None where they are equal.

    Whole numbers are equal if they are the same; where one is a fraction, within ``tolerance`` (relative to the larger
    one) or 1e-12. NaN equals NaN, -0.0 equals 0.0 and 1 equals 1.0. True is no 1: a model that is given the one where
    it was trained on the other sees another type. Lists and maps are compared item by item.

    >>> difference(0.1 + 0.2, 0.3, 1e-9), difference("gold", "silver", 1e-9)
    (None, Difference(mistyped=False, absolute=0.0, relative=0.0))
    >>> difference(80.0, 100.0, 1e-9)
    Difference(mistyped=False, absolute=20.0, relative=0.2)
    """
    if type(a) is type(b) and type(a) in _PLAIN and a == b:
        return None
    kind = _kind(a)
    if kind != _kind(b):
        return Difference(mistyped=True)
    if kind == "number":
        return _numbers(a, b, tolerance)
    if kind == "list":
        return _items(list(a), list(b), tolerance)
    if kind == "map":
        if a.keys() != b.keys():
            return Difference()
        return _items([a[key] for key in a], [b[key] for key in a], tolerance)
    return None if a == b else Difference()


def names_of(record: Record, features: Collection[str] | None = None) -> set[str]:
    """Features that have a value, and ``@schema`` if it is said. ``features``: the only ones that count, if given."""
    present = {name for name, value in record.items() if value is not None and name != AS_OF}
    return present if features is None else present & {*features, SCHEMA}


def only(record: Record, names: Collection[str] | None) -> dict[str, Any]:
    """The named features, with what is said about them; everything for None, nothing where none is there.

    >>> only({"a": 1, "b": 2, "@as_of": {"a": 10, "b": 20}}, ["a"])
    {'a': 1, '@as_of': {'a': 10}}
    """
    if names is None:
        return dict(record)
    kept = {name: record[name] for name in names if name in record and not name.startswith("@")}
    if kept and SCHEMA in record:
        kept[SCHEMA] = record[SCHEMA]
    if kept and AS_OF in record:
        times = record[AS_OF]
        kept[AS_OF] = {name: times[name] for name in kept if name in times} if isinstance(times, Mapping) else times
    return kept


def time_of(record: Record, name: str) -> float | None:
    """When the value of a feature was true, in seconds since 1970; None where that is not said."""
    times = record.get(AS_OF)
    return _seconds(times.get(name) if isinstance(times, Mapping) else times)


def oldest(record: Record) -> float | None:
    """The earliest time of a record's features, in seconds since 1970."""
    times = record.get(AS_OF)
    given = times.values() if isinstance(times, Mapping) else (times,)
    return min((time for value in given if (time := _seconds(value)) is not None), default=None)


def canonical(record: Record) -> str:
    """One text for records that do not differ at all, whoever wrote them down. ValueError where nested too deeply.

    Equal texts mean equal records; equal records may have different texts (0.3 and 0.1 + 0.2).

    >>> canonical({"b": -0.0, "a": 1.0, "c": None}) == canonical({"a": 1, "b": 0})
    True
    """
    return _as_text({name: _normal(value, MOST_NESTED) for name, value in record.items() if value is not None})


def fingerprint(record: Record, key: bytes = b"") -> str:
    """24 hex digits of keyed BLAKE2b of the canonical text (``key``: at most 64 bytes)."""
    return hashlib.blake2b(canonical(record).encode(), key=key, digest_size=12).hexdigest()


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "list"
    return "map" if isinstance(value, Mapping) else type(value).__name__


def _numbers(a: float, b: float, tolerance: float) -> Difference | None:
    if a == b or (a != a and b != b):
        return None
    try:
        whole = isinstance(a, int) and isinstance(b, int)
        if not whole and math.isclose(a, b, rel_tol=tolerance, abs_tol=NEAR_ZERO):
            return None
        gap, size = float(abs(a - b)), float(max(abs(a), abs(b)))
    except OverflowError:  # whole numbers that no float can hold
        return Difference()
    return Difference(absolute=gap, relative=gap / size) if math.isfinite(gap) else Difference()


def _items(a: list[Any], b: list[Any], tolerance: float) -> Difference | None:
    if len(a) != len(b):
        return Difference()
    found = None
    for x, y in zip(a, b, strict=True):
        if (other := difference(x, y, tolerance)) is not None:
            found = other if found is None else found | other
    return found


def _normal(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, str | int):
        return value
    if not depth:
        raise ValueError(f"a feature is nested more than {MOST_NESTED} deep")
    if isinstance(value, list | tuple):
        return [_normal(item, depth - 1) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _normal(item, depth - 1) for key, item in value.items()}
    return value


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if 0 <= value < _YEAR_10_000 else None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    known = isinstance(moment, datetime) and moment.tzinfo is not None and moment.year >= 1970
    return max(moment.timestamp(), 0.0) if known else None
