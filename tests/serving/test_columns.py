"""Rows become the columns a model was fitted on, and company never changes their type."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.events.wire import Request
from seatrial.serving.columns import HEADER_LIMIT, Columns, FeatureError


def named(*rows: dict[str, Any]) -> Request:
    return Request("json", len(rows), features=rows)


def test_columns_come_in_the_order_of_the_model_and_others_are_ignored() -> None:
    columns = Columns(("amount", "country"))
    frame = columns.frame([columns.rows(named({"country": "DE", "noise": 1, "amount": 2.5}))])
    assert list(frame.columns) == ["amount", "country"]
    assert frame.to_dict("records") == [{"amount": 2.5, "country": "DE"}]


def test_a_missing_column_is_named() -> None:
    columns = Columns(("amount", "country"))
    with pytest.raises(FeatureError, match="'country' is missing"):
        columns.rows(named({"amount": 1, "country": "DE"}, {"amount": 2}))
    with pytest.raises(FeatureError, match="3 values and the model needs 2: amount, country"):
        columns.rows(Request("mlflow", 1, vectors=([1, 2, 3],)))


@pytest.mark.parametrize(
    ("kind", "bad"),
    [("number", "many"), ("number", [1]), ("integer", 1.5), ("string", 5), ("boolean", 1), ("number", 10**400)],
)
def test_a_value_of_the_wrong_kind_is_refused(kind: str, bad: Any) -> None:
    with pytest.raises(FeatureError, match="'x'"):
        Columns(("x",), (kind,)).rows(named({"x": bad}))


def test_declared_kinds_fix_the_type_of_a_column() -> None:
    columns = Columns(("n", "i", "s", "b"), ("number", "integer", "string", "boolean"))
    frame = columns.frame([columns.rows(named({"n": 5, "i": 7.0, "s": None, "b": True}))])
    assert [frame[name].dtype.kind for name in "nib"] == ["f", "i", "b"]
    assert frame["s"].isna().all()
    assert columns.rows(named({"n": None, "i": None, "s": "", "b": None})).signature == "FFTO"


SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3) | st.just([1])


@given(st.lists(st.tuples(SCALARS, SCALARS), min_size=1, max_size=6))
def test_company_never_changes_the_type_of_a_column(rows: list[tuple[Any, Any]]) -> None:
    columns = Columns(("a", "b"), texts=("b",))
    alone = [columns.rows(Request("json", 1, vectors=(row,))) for row in rows]
    for signature in {row.signature for row in alone}:
        group = [row for row in alone if row.signature == signature]
        together = columns.frame(group)
        for i, row in enumerate(group):
            single = columns.frame([row])
            assert list(single.dtypes) == list(together.dtypes)
            assert repr(single.iloc[0].tolist()) == repr(together.iloc[i].tolist())


def test_a_model_without_names_gets_an_array() -> None:
    columns = Columns(("a", "b"))
    batch = [columns.rows(Request("mlflow", 2, vectors=([1.0, 2.0], [3.0, 4.0])))]
    assert columns.array(batch).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_features_as_used_are_ascii_json_in_model_order_within_the_allow_list() -> None:
    columns = Columns(("amount", "city", "ssn"))
    rows = columns.rows(named({"ssn": "1", "city": "Köln", "amount": None}, {"ssn": "2", "city": "Ulm", "amount": 3.0}))
    text = columns.as_used(rows, ("city", "amount"))
    assert text is not None
    assert text.isascii()
    assert json.loads(text) == [{"amount": None, "city": "Köln"}, {"amount": 3.0, "city": "Ulm"}]
    assert list(json.loads(text)[0]) == ["amount", "city"]
    assert columns.as_used(rows, ()) is None
    assert math.isnan(rows.columns[0][0])


def test_features_that_do_not_fit_a_header_are_left_out() -> None:
    columns = Columns(("a",))
    many = Request("mlflow", 5000, vectors=tuple([1.0] for _ in range(5000)))
    assert columns.as_used(columns.rows(many), None) is None
    assert columns.as_used(columns.rows(named({"a": "x" * HEADER_LIMIT})), None) is None
    assert columns.as_used(columns.rows(named({"a": "x" * (HEADER_LIMIT - 10)})), None) is not None
