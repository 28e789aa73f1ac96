"""Segments by rule: whose each boundary is, the same at capture and in a table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capturelines import written
from seatrial.engines.answer_table import Asked, table_answers
from seatrial.engines.columns import Columns
from seatrial.engines.inputs import held
from seatrial.engines.wide import Split, Units, Wide
from seatrial.events.capture import CaptureContext, convert
from seatrial.rollout.bands import Bands
from seatrial.rollout.plan import Segment

AGE = Segment(name="age", field="days", bounds=(7, 90), labels=("new", "medium", "power"))
BANDS = Bands((7, 90), ("new", "medium", "power"))
EXERCISE = [(6.99, "new"), (7.0, "medium"), (90.0, "medium"), (90.01, "power"), (-1, "new"), (None, "unknown")]


@pytest.mark.parametrize(
    ("value", "label"),
    [*EXERCISE, (7, "medium"), ("7", "medium"), (" 90.0 ", "medium"), ("9e1", "medium"), ("90.01", "power"),
     ("", "unknown"), ("abc", "unknown"), ("9_0", "unknown"), (True, "unknown"), ([7], "unknown"), ("nan", "unknown"),
     (float("inf"), "unknown"), (10**400, "unknown")],
)  # fmt: skip
def test_whose_a_boundary_is(value: Any, label: str) -> None:
    assert (BANDS.label_of(value) or "unknown") == label


def test_one_bound_and_three() -> None:
    assert [Bands((7,), ("new", "old")).label_of(x) for x in (6.9, 7, 8)] == ["new", "old", "old"]
    four = Bands((1, 2, 3), ("a", "b", "c", "d"))
    assert [four.label_of(x) for x in (0.9, 1, 2, 2.1, 3, 3.1)] == ["a", "b", "b", "c", "c", "d"]


@given(st.decimals(-1000, 1000, places=4))
def test_text_json_and_plan_meet_exactly_at_a_decimal(number: Any) -> None:
    bound = json.loads(str(number))
    bands = Bands((bound, bound + 1), ("below", "at", "above"))
    assert bands.label_of(str(number)) == bands.label_of(json.loads(str(number))) == "at"


@pytest.mark.parametrize(("days", "label"), EXERCISE)
def test_at_capture(days: Any, label: str) -> None:
    context = CaptureContext(bucket_salt="b", unit_key=b"k", segments=(("age", "days"),), bands={"age": BANDS})
    line = {
        "t": "1772366400.1", "id": "x", "model": "m", "rollout": "r", "phase": "1", "arm": "champion", "unit": "u",
        "version": "1", "level": "primary", "attempts": 1, "code": 200, "us": 1, "path": "/models/m/invocations",
        "ct": "application/json", "rct": "application/json", "resp": json.dumps({"predictions": [0.25]}),
        "req": json.dumps({"dataframe_records": [{"days": days} if days is not None else {"other": 1}]}),
    }  # fmt: skip
    tables = convert(
        written(line).encode(), {"m": context}, watermark=None, captured_at=datetime(2026, 3, 1, tzinfo=UTC)
    )
    assert tables["m"]["seg_age"].to_pylist() == [label]


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.decimal128(8, 2)])
def test_in_a_table(kind: pa.DataType) -> None:
    days = [days for days, _ in EXERCISE]
    table = pa.table({
        "user": [f"u{n}" for n in range(len(days))], "arm": ["champion"] * len(days),
        "time": [datetime(2026, 3, 1)] * len(days), "champion": [0.5] * len(days), "shadow": [0.4] * len(days),
        "days": pa.array([None if x is None else str(x) for x in days]).cast(kind),
    })  # fmt: skip
    wanted = [label for _, label in EXERCISE]
    columns = Columns(unit="user", arm="arm", time="time", segments={"age": "days"}, bands={"age": BANDS})
    wide = Wide(held("t", table), columns, Units())
    found = wide.run(wide.exposures({"champion": "champion"}, [Split(1, 1_000)], 1 << 60)).to_pydict()
    assert [label for _, label in sorted(zip(found["unit"], found["seg_age"], strict=True))] == wanted
    answers = table_answers(held("t", table), Asked(segments=[AGE]))
    assert answers.segments["age"].tolist() == wanted


def test_what_was_cut_before_is_not_cut_again() -> None:
    table = pa.table({"champion": [0.1, 0.2], "shadow": [0.1, 0.3], "seg_age": ["new", "power"]})
    assert table_answers(held("t", table), Asked(segments=[AGE])).segments["age"].tolist() == ["new", "power"]
