"""Canonical JSON: one text for one value."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import UsageError
from seatrial.store.canonical import canonical, digest_of, iso_z

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Point:
    y: float
    x: tuple[int, ...]


@given(JSON)
def test_it_is_json_and_stable(value: object) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1, 2.0]}, '{"a":[1,2.0],"b":1}'),
        ({"é": "ü\n"}, '{"é":"ü\\n"}'),
        ([0.1, 1e22, -0.0, 5e-324], "[0.1,1e+22,-0.0,5e-324]"),
        (Colour.RED, '"red"'),
        (Point(0.5, (1, 2)), '{"x":[1,2],"y":0.5}'),
        (datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))), '"2026-03-01T12:00:00.000000Z"'),
    ],
)
def test_texts(value: object, text: str) -> None:
    assert canonical(value) == text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1.0, float("nan")]}, r"\$\.a\[1\] is nan"),
        (float("-inf"), r"\$ is -inf"),
        ({"a": {1: 2}}, r"\$\.a: the key 1 is not text"),
        ({"a": {3}}, r"\$\.a: a set has no canonical JSON"),
        (b"bytes", "a bytes has no"),
        (Point, "a type has no"),
        ("\ud800", "not valid Unicode"),
        (datetime(2026, 3, 1), "no time zone"),
    ],
)
def test_what_has_no_canonical_form_is_refused_by_place(value: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        canonical(value)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_the_order_of_times_is_the_order_of_their_texts(a: datetime, b: datetime) -> None:
    assert (a < b) == (iso_z(a) < iso_z(b))
    assert datetime.fromisoformat(iso_z(a)) == a
