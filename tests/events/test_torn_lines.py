"""Whatever a full disk, a power cut or a stranger leaves in the log: it is kept, counted, and stops nothing."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capturelines import written
from seatrial.events.capture import CaptureContext, convert

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXTS = {"fraud": CaptureContext(bucket_salt="b", unit_key=b"k", features=("*",), outcome_key="order")}
GOOD = {
    "t": "1772366400.5", "id": "2f1c", "model": "fraud", "rollout": "r-1", "phase": "1", "arm": "canary", "unit": "ann",
    "version": "2", "level": "primary", "attempts": 1, "code": 200, "flags": "-", "us": 812, "path": "/invocations",
    "ct": "application/json", "rct": "application/json",
    "req": '{"dataframe_records": [{"order": 7}]}', "resp": '{"predictions": [0.5]}',
}  # fmt: skip
LINE = written(GOOD).encode()


def rows(lines):
    tables = convert(lines, CONTEXTS, watermark=NOW, captured_at=NOW)
    return {model: table.to_pylist() for model, table in tables.items()}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from([*GOOD, "feat", "req_b64", "resp_b64", "req_cut", "et", "body"]), VALUES, max_size=6
)


@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=5))
def test_bytes_of_any_kind_between_two_lines_take_neither_with_them(garbage):
    found = rows(b"\n".join([LINE, *garbage, LINE]) + b"\n")
    assert [row["score"] for row in found["fraud"]] == [0.5, 0.5]
    assert len(found.get("", [])) == len([line for line in garbage if line.strip()])


@given(st.integers(1, len(LINE) - 1), st.sampled_from([b"", b"\0" * 64, b"\xff\xfe"]))
def test_a_line_that_is_torn_anywhere_is_one_row_of_no_model(at, behind):
    found = rows(LINE + b"\n" + LINE[:at] + behind + b"\n" + LINE + b"\n")
    assert len(found["fraud"]) == 2
    (torn,) = found[""]
    assert (torn["error_kind"], torn["arm"], torn["error"]) == ("unparsed", "none", False)
    assert torn["unit"] is None


@given(FIELDS)
def test_fields_of_any_kind_are_read_or_left_null(fields):
    found = rows(written({**GOOD, **fields}).encode() + b"\n" + LINE)
    assert sum(len(table) for table in found.values()) >= 2
    assert found["fraud"][-1]["score"] == 0.5


@pytest.mark.parametrize("blank", [b"", b"\n\n", b" \t \n", b"\r\n"])
def test_blanks_are_nothing(blank):
    assert rows(blank) == {}
