"""What a service says of the features it used, and what of it leaves the host."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

import seatrial as st
from seatrial.serving.features import features_header

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(rows: Any, **about: Any) -> Any:
    headers: dict[str, str] = {}
    assert st.log_features(headers, rows, **about)
    (name, value) = features_header(headers["x-seatrial-features"], b"", None) or (b"", b"null")
    assert name == b"x-seatrial-features"
    return json.loads(value)


def test_a_service_says_what_it_used() -> None:
    assert told({"amount": 12.5}) == [{"amount": 12.5}]
    assert told([{"a": 1}, {"a": 2}], schema="v3") == [{"a": 1, "@schema": "v3"}, {"a": 2, "@schema": "v3"}]
    assert told({"a": np.float32(0.5), "b": np.arange(2), "c": np.int64(3)}, as_of=NOON) == [
        {"a": 0.5, "b": [0, 1], "c": 3, "@as_of": "2026-03-01T12:00:00+00:00"}
    ]
    assert told({"a": 1}, as_of={"a": 5.5})[0]["@as_of"] == {"a": 5.5}


def test_said_twice_the_last_counts() -> None:
    headers: dict[str, str] = {}
    for amount in (1, 2):
        assert st.log_features(headers, {"amount": amount})
    assert headers == {"x-seatrial-features": '[{"amount":2}]'}


@pytest.mark.parametrize(
    ("rows", "about"),
    [
        ({"a": "x" * 9000}, {}),
        ({"a": 1}, {"as_of": datetime(2026, 3, 1)}),
        (7, {}),
        ([7], {}),
        ({("a", "b"): 1}, {}),
    ],
)
def test_what_cannot_be_said_is_left_out_and_the_answer_goes_on(
    rows: Any, about: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    headers: dict[str, str] = {}
    with caplog.at_level(logging.WARNING):
        assert not st.log_features(headers, rows, **about)
    assert headers == {}
    assert "not told" in caplog.text


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("{", b""), ("7", b""), ("[]", b""), ("[7]", b""), ("[" * 5000, b""), (None, b'{"features": 7}'),
        (None, b'"features"'), (None, b'{"predictions": []}'), ("[{}]", b'{"features": [{"a": 1}]}'),
    ],
)  # fmt: skip
def test_what_is_no_list_of_records_stays_inside(header: str | None, body: bytes) -> None:
    assert features_header(header, body, None) is None


def test_only_what_is_allowed_leaves() -> None:
    header = '[{"a":1,"secret":2,"@as_of":{"a":1,"secret":2}}]'
    assert features_header(header, b"", ()) is None
    assert features_header(header, b"", ("b",)) is None
    assert features_header(header, b"", ("a",)) == (b"x-seatrial-features", b'[{"a":1,"@as_of":{"a":1}}]')
