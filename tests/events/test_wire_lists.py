"""Ranked lists in answers: read where the contract points, checked whole, kept up to the depth that is agreed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from seatrial.errors import UsageError
from seatrial.events.capture import CaptureContext, convert
from seatrial.events.wire import ResponseSpec, WireError, parse_response
from seatrial.registry.contract import Contract

ITEMS = [{"id": f"d{n}", "score": 1 - n / 100} for n in range(20)]


def read(answer: Any, rows: int | None = 1, **places: Any) -> Any:
    spec = ResponseSpec(**{"items": "/items/*/id", **places})
    return parse_response("json", "application/json", json.dumps(answer), rows=rows, spec=spec)


@pytest.mark.parametrize(
    ("answer", "items", "rows"),
    [
        ({"items": [{"id": "a"}, {"id": "b"}]}, "/items/*/id", [("a", "b")]),
        ({"items": ["a", "b"]}, "/items", [("a", "b")]),
        ({"items": ["a", "b"]}, "/items/*", [("a", "b")]),
        (["a", "b"], "", [("a", "b")]),
        ({"items": [7, 8]}, "/items/*", [("7", "8")]),
        ({"predictions": [{"items": ["a", "b"]}, {"items": ["b"]}]}, "/predictions/*/items", [("a", "b"), ("b",)]),
        ({"predictions": [{"items": [{"id": "a"}]}, {"items": [{"id": "b"}, {"id": "c"}]}]},
         "/predictions/*/items/*/id", [("a",), ("b", "c")]),
        ({"predictions": [["a", "b"], ["c", "d"]]}, "/predictions", [("a", "b"), ("c", "d")]),
    ],
)  # fmt: skip
def test_the_last_star_runs_over_a_list_and_one_before_it_over_rows(answer: Any, items: str, rows: list[Any]) -> None:
    found = read(answer, rows=len(rows), items=items)
    assert [ranking.items for ranking in found.rankings] == rows
    assert set(found.scores) == {None} == set(found.labels)


def test_so_many_are_kept_as_is_agreed_and_all_are_checked() -> None:
    assert len(read({"items": ITEMS}).rankings[0].items) == 10
    kept = read({"items": ITEMS}, items="/items/*/id", item_scores="/items/*/score", top_k=3).rankings[0]
    assert (kept.items, kept.scores) == (("d0", "d1", "d2"), (1.0, 0.99, 0.98))
    with pytest.raises(WireError) as error:
        read({"items": [*ITEMS, {"id": "d0"}]}, top_k=3)
    assert error.value.kind == "schema"


@pytest.mark.parametrize(
    ("items", "kind"),
    [
        ([], "no_predictions"),
        ([{"name": "a"}], "no_predictions"),
        ([{"id": None}], "schema"),
        ([{"id": ""}], "schema"),
        ([{"id": 1.5}], "schema"),
        ([{"id": True}], "schema"),
        ([{"id": "x" * 201}], "schema"),
        ([{"id": "a"}, {"id": "a"}], "schema"),
        ([{"id": 1}, {"id": "1"}], "schema"),
        ("none", "no_predictions"),
    ],
)
def test_an_empty_or_broken_list_is_an_error(items: Any, kind: str) -> None:
    with pytest.raises(WireError) as error:
        read({"items": items})
    assert error.value.kind == kind
    assert read({"items": [{"id": "a"}]}).rankings, "and a good one is not"


@pytest.mark.parametrize(
    ("scores", "kind"),
    [([0.5], "row_count"), ([0.5, None], "nan"), ([0.5, "high"], "schema"), ([[1], [2]], "row_count")],
)
def test_scores_are_as_many_as_items_and_finite(scores: list[Any], kind: str) -> None:
    answer = {"items": ["a", "b"], "scores": scores}
    with pytest.raises(WireError) as error:
        read(answer, items="/items", item_scores="/scores")
    assert error.value.kind == kind
    assert read({**answer, "scores": [2, 1]}, items="/items", item_scores="/scores").rankings[0].scores == (2.0, 1.0)


def test_a_list_has_a_score_and_a_label_beside_it_where_both_are_declared() -> None:
    found = read({"items": ["a"], "risk": 3, "kind": "x"}, items="/items", score="/risk", label="/kind")
    assert (found.scores, found.labels, found.rankings[0].items) == ((3.0,), ("x",), ("a",))
    with pytest.raises(WireError):
        read({"items": ["a"], "risk": [3, 4]}, items="/items", score="/risk")


def line(answer: Any, **more: Any) -> bytes:
    entry = {"id": "r1", "model": "shop", "arm": "canary", "unit": "ann", "code": 200, "level": "primary", "t": "1.0",
             "path": "/rank", "ct": "application/json", "rct": "application/json", "req": "{\"query\": \"shoes\"}",
             "resp": json.dumps(answer)}  # fmt: skip
    return json.dumps({**entry, **more}).encode()


def test_the_event_has_the_ids_and_a_broken_answer_is_the_versions_error() -> None:
    context = CaptureContext(
        bucket_salt="b", unit_key=b"k", segments=(("query", "query"),),
        response=ResponseSpec(items="/items/*/id", item_scores="/items/*/score", top_k=2),
    )  # fmt: skip
    lines = [line({"items": ITEMS}), line({"items": []}, id="r2"), line({"items": ITEMS}, id="r3", level="champion")]
    now = datetime(2026, 3, 1, tzinfo=UTC)
    found = convert(b"\n".join(lines), {"shop": context}, watermark=None, captured_at=now)["shop"].to_pylist()
    good, empty, fallback = found
    assert (good["items"], good["item_scores"], good["seg_query"]) == (["d0", "d1"], [1.0, 0.99], "shoes")
    assert (good["error"], good["error_kind"], good["score"]) == (False, None, None)
    assert (empty["items"], empty["error"], empty["error_kind"]) == (None, True, "no_predictions")
    assert (fallback["items"], fallback["error_kind"]) == (["d0", "d1"], "fallback"), "it is what the user saw"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"items": "id"}, "ST0131"),
        ({"items": "/a", "item_scores": "b"}, "ST0131"),
        ({"item_scores": "/b"}, "ST0134"),
        ({"top_k": 5}, "ST0134"),
        ({"items": "/a", "top_k": 0}, "ST0134"),
        ({"items": "/a", "top_k": 101}, "ST0134"),
        ({"items": "/a", "format": "opaque"}, "ST0134"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(given: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as error:
        Contract(**given)
    assert error.value.code == code
    assert Contract(items="/a", top_k=100).document() == {"items": "/a", "topK": 100}
    assert Contract(items="/a").reading() == Contract(items="/a", top_k=10).reading() != Contract().reading()
