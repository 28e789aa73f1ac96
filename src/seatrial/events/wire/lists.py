"""Ranked lists in an answer: the ids of each row's list, best first, checked and cut to what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from seatrial.events.wire.bodies import as_rows, finite, is_number, kind_of, point
from seatrial.events.wire.types import Ranking, ResponseSpec, WireError, bad_schema

LONGEST_ID: Final = 200
"""Characters of an item's id."""


def rankings(document: object, spec: ResponseSpec) -> tuple[Ranking, ...]:
    """The lists at ``spec.items``, one a row. The last ``*`` of a pointer runs over a list, one before it over rows.

    ``/items/*/id`` is one list; ``/predictions/*/items/*/id`` one a row; ``/predictions/*/items`` also, of lists of
    ids. Raises ``WireError``: *no_predictions* where nothing is there or a list is empty, *schema* for an id that is
    none or is there twice, *nan* for a score that is no number, *row_count* for another number of scores than of ids.
    """
    assert spec.items is not None
    lists = [_ids(values) for values in _lists(document, spec.items)]
    scores: list[tuple[float, ...]] | list[None] = [None] * len(lists)
    if spec.item_scores is not None:
        scores = [tuple(map(_score, values)) for values in _lists(document, spec.item_scores)]
        if [*map(len, lists)] != [*map(len, scores)]:
            raise WireError("row_count", "a ranked list has another number of scores than of items")
    k = spec.top_k
    return tuple(Ranking(ids[:k], of and of[:k]) for ids, of in zip(lists, scores, strict=True))


def _lists(document: object, pointer: str) -> list[list[Any]]:
    """Of each row the values of its list."""
    parts = pointer.split("/")
    if "*" not in parts:
        return _by_row(as_rows(point(document, pointer, "no_predictions")))
    last = len(parts) - 1 - parts[::-1].index("*")
    head, tail = "/".join(parts[:last]), "".join(f"/{token}" for token in parts[last + 1 :])
    held = point(document, head, "no_predictions")
    if "*" in parts[:last]:
        return [[point(item, tail, "no_predictions") for item in as_rows(row)] for row in as_rows(held)]
    return _by_row([point(item, tail, "no_predictions") for item in as_rows(held)])


def _by_row(values: list[Any]) -> list[list[Any]]:
    """A list of lists is one a row, and a list of anything else that of the only row."""
    return values if values and all(isinstance(value, list) for value in values) else [values]


def _ids(values: Sequence[object]) -> tuple[str, ...]:
    if not values:
        raise WireError("no_predictions", "a ranked list is empty")
    ids = tuple(_id(value) for value in values)
    if len({*ids}) < len(ids):
        bad_schema("a ranked list holds an item twice")
    return ids


def _id(value: object) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text:
        bad_schema(f"an item of a ranked list is {kind_of(value)}, not an id")
    if len(text) > LONGEST_ID:
        bad_schema(f"an item's id is longer than {LONGEST_ID} characters")
    return text.encode("utf-8", "replace").decode("utf-8")


def _score(value: object) -> float:
    if value is not None and not is_number(value):
        bad_schema(f"the score of an item is {kind_of(value)}")
    return float(finite(value))
