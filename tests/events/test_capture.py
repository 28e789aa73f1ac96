"""Capture lines become rows: what counts as an error, which segment, which time, and that no line is lost."""

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capturelines import written
from seatrial.events.capture import CaptureContext, convert
from seatrial.events.schema import event_schema
from seatrial.events.units import unit_bucket, unit_hash
from seatrial.events.wire import ResponseSpec
from seatrial.gateway.assignment import bucket

CONTEXT = CaptureContext(
    bucket_salt="bucket-salt",
    unit_key=b"secret",
    segments=(("origin", "origin"), ("late hour", "hour")),
    features=("origin", "temp"),
)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REQUEST = json.dumps({"dataframe_records": [{"origin": "JFK", "hour": 7, "temp": 50.5, "name": "Ada"}]})
LINE = {
    "t": "1772366400.123456", "id": "x-1", "model": "m", "rollout": "r-1", "phase": "2", "arm": "canary",
    "unit": "N123", "version": "7", "level": "primary", "attempts": 1, "code": 200, "us": 5300,
    "path": "/models/m/invocations", "ct": "application/json", "rct": "application/json",
    "req": REQUEST, "resp": json.dumps({"predictions": [0.25]}),
}  # fmt: skip


def rows(*lines, context=CONTEXT, watermark=None):
    data = "\n".join(line if isinstance(line, str) else written(line) for line in lines).encode()
    tables = convert(data, {"m": context}, watermark=watermark, captured_at=NOW)
    return {model: table.to_pylist() for model, table in tables.items()}


def row(**changes):
    line = {key: value for key, value in (LINE | changes).items() if value is not None}
    (found,) = rows(line)["m"]
    return found


def test_a_prediction_is_one_row_with_all_that_is_known():
    found = row()
    assert found["request_id"] == found["outcome_key"] == "x-1"
    assert (found["rollout"], found["phase"], found["arm"], found["served_version"]) == ("r-1", 2, "canary", "7")
    assert (found["error"], found["error_kind"], found["score"], found["status"]) == (False, None, 0.25, 200)
    assert (found["seg_origin"], found["seg_late hour"]) == ("JFK", "7")
    assert json.loads(found["features"]) == {"origin": "JFK", "temp": 50.5}
    assert found["event_time"] == found["time"] == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert (found["latency_us"], found["attempts"], found["captured_at"]) == (5300, 1, NOW)


def test_features_that_the_model_used_are_told_from_those_that_it_was_asked_with():
    used = {"temp": 51, "origin": "JFK", "secret": 1, "@as_of": {"temp": 1772366000, "secret": 5}, "@schema": "v3"}
    found, asked = row(feat=json.dumps([used])), row()
    kept = {"origin": "JFK", "temp": 51, "@schema": "v3", "@as_of": {"temp": 1772366000}}
    assert json.loads(found["features"]) == kept
    assert found["feature_as_of"] == datetime.fromtimestamp(1772366000, UTC)
    assert found["features_hash"] == row(feat=json.dumps([used | {"temp": 51.0, "secret": 2}]))["features_hash"]
    others = [used | {"temp": 51.5}, used | {"@schema": "v4"}, used | {"@as_of": 7}]
    assert len({found["features_hash"], *(row(feat=json.dumps([other]))["features_hash"] for other in others)}) == 4
    assert asked["features"] is not None
    assert asked["features_hash"] is None
    wild = [{"temp": 10**400, "@as_of": moment} for moment in (1e300, -1e300, 1e400, "0001-01-01", [1], {"temp": {}})]
    assert [row(feat=json.dumps([features]))["feature_as_of"] for features in wild] == [None] * 6


def test_the_unit_is_a_keyed_hash_and_its_bucket_that_of_the_gateway():
    found = row()
    assert found["unit"] == unit_hash("N123", b"secret") != unit_hash("N123", b"other")
    assert "N123" not in json.dumps(found, default=str)
    assert found["bucket"] == unit_bucket("N123", "bucket-salt") == bucket("bucket-salt", "N123")
    with pytest.raises(ValueError, match="unit_key"):
        CaptureContext(bucket_salt="s", unit_key=b"")


@pytest.mark.parametrize(
    ("changes", "error", "kind"),
    [
        ({"code": 503, "resp": None}, True, "http_503"),
        ({"code": 404}, True, "http_404"),
        ({"code": 0, "flags": "UF", "resp": None}, True, "no_response"),
        ({"code": 0, "flags": "DC", "resp": None}, False, "client_disconnect"),
        ({"code": 0, "flags": "DR", "resp": None}, False, "client_disconnect"),
        ({"code": 0, "flags": "DR", "resp": None, "arm": "shadow"}, True, "no_response"),
        ({"code": 413, "why": "request_payload_too_large", "resp": None}, False, "too_large"),
        ({"code": 413, "why": "via_upstream"}, True, "http_413"),
        ({"flags": "UT", "rct": "text/event-stream"}, True, "broken_off"),
        ({"flags": "DC", "resp": '{"predic'}, False, "client_disconnect"),
        ({"level": "champion"}, True, "fallback"),
        ({"level": "previous"}, True, "fallback"),
        ({"level": None}, False, None),
        ({"resp": '{"predictions": [NaN]}'}, True, "nan"),
        ({"resp": '{"predictions": [0.1, 0.2]}'}, True, "row_count"),
        ({"resp": "oops"}, True, "non_json"),
        ({"resp": None}, True, "no_predictions"),
        ({"resp": None, "resp_cut": 99999}, False, "truncated"),
        ({"flags": "-"}, False, None),
    ],
)
def test_an_error_is_that_the_assigned_version_gave_no_valid_answer(changes, error, kind):
    found = row(**changes)
    assert (found["error"], found["error_kind"]) == (error, kind)
    if kind not in (None, "fallback"):
        assert found["score"] is None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"rct": "text/event-stream", "resp": "data: 1\n\n"}, "stream"),
        ({"rct": "text/event-stream", "resp": None, "resp_cut": 99_999}, "stream"),
        ({"rct": "application/octet-stream", "resp": None, "resp_b64": "AAEC"}, "unsupported"),
        ({"path": "/models/m/v1/chat/completions", "resp": '{"choices": []}'}, "unsupported"),
        ({"method": "GET", "path": "/models/m/v2/health/ready", "req": None, "resp": "{}"}, "not_a_prediction"),
        ({"method": "GET", "code": 503, "req": None}, "not_a_prediction"),
    ],
)
def test_an_answer_that_is_not_read_is_no_failure_of_the_model(changes, kind):
    found = row(**changes)
    assert (found["error"], found["error_kind"], found["score"]) == (False, kind, None)
    assert row(**{**changes, "code": 503})["error"] == (kind != "not_a_prediction"), "a 503 of a prediction is one"


def test_the_contract_says_how_bodies_are_read():
    def reading(**declared):
        return CaptureContext(bucket_salt="s", unit_key=b"k", **declared)

    body = json.dumps({"items": [{"origin": "JFK"}, {"origin": "LGA"}]})
    line = LINE | {"path": "/models/m/rank", "req": body, "resp": json.dumps({"ranks": [{"p": 1}, {"p": 0.5}]})}
    pointed = reading(response=ResponseSpec(rows="/items", score="/ranks/*/p"), features=("origin",))
    found = rows(line, context=pointed)["m"]
    assert [(r["score"], r["features"]) for r in found] == [(1.0, '{"origin":"JFK"}'), (0.5, '{"origin":"LGA"}')]
    assert rows(line, context=reading())["m"][0]["error"], "nobody said where the answer is"
    opaque = rows(line, context=reading(format="opaque"))["m"]
    assert [(r["error"], r["error_kind"], r["score"]) for r in opaque] == [(False, "unsupported", None)]
    everything = rows(line, context=reading(response=pointed.response, features=("*",)))["m"]
    assert everything[0]["features"] == '{"origin":"JFK"}'


def test_features_that_are_not_allowed_are_in_no_column():
    found = rows(LINE, context=CaptureContext(bucket_salt="s", unit_key=b"k", features=("temp",)))["m"][0]
    assert json.loads(found["features"]) == {"temp": 50.5}
    assert not [name for name, value in found.items() if "JFK" in str(value) or "Ada" in str(value)]
    assert "Ada" in str(rows(LINE, context=CaptureContext(bucket_salt="s", unit_key=b"k", features=("*",)))["m"][0])


def test_sizes_are_of_the_request_and_a_body_that_is_not_read_has_a_keyed_hash():
    found = row(resp=None, resp_cut=99_999)
    assert (found["request_bytes"], found["response_bytes"]) == (len(REQUEST), 99_999)
    assert found["request_hash"] is None
    parquet = {"ct": "application/x-parquet", "req": None, "req_b64": base64.b64encode(b"PAR1 and more").decode()}
    found = row(**parquet)
    assert (found["request_bytes"], found["score"]) == (13, 0.25)
    assert found["request_hash"] == unit_hash(parquet["req_b64"], b"secret") == row(**parquet)["request_hash"]
    batch = rows(LINE | {"req": '{"instances": [1, 2]}', "resp": '{"predictions": [0.5, 0.5]}'})["m"]
    assert [r["request_bytes"] for r in batch] == [21, None], "once a request, so that a sum is one"


def test_a_shadows_answer_is_read_without_its_request():
    tensors = {"outputs": [{"name": "p", "shape": [1, 2], "datatype": "FP32", "data": [0.75, 0.25]}]}
    shadow = {"arm": "shadow", "req": None, "level": None, "path": "/models/m/score"}
    assert row(**shadow, resp=json.dumps(tensors))["score"] == 0.25


def test_a_batch_is_a_row_per_prediction_also_when_it_fails():
    request = json.dumps({"dataframe_records": [{"origin": "JFK", "id": "a"}, {"origin": None}, {}]})
    line = LINE | {"req": request, "resp": json.dumps({"predictions": [0.1, 0.2, 0.3]})}
    good = rows(line)["m"]
    assert [(r["row"], r["outcome_key"], r["score"], r["seg_origin"]) for r in good] == [
        (0, "x-1", 0.1, "JFK"), (1, "x-1:1", 0.2, "unknown"), (2, "x-1:2", 0.3, "unknown"),
    ]  # fmt: skip
    bad = rows(line | {"code": 500, "resp": "no"})["m"]
    assert [(r["row"], r["error"]) for r in bad] == [(0, True), (1, True), (2, True)]


def test_outcomes_may_be_keyed_by_a_field_of_the_request():
    context = CaptureContext(bucket_salt="s", unit_key=b"k", outcome_key="flight")
    request = json.dumps({"dataframe_records": [{"flight": 17}, {"flight": "B6-1"}, {}]})
    line = LINE | {"req": request, "resp": json.dumps({"predictions": [0.1, 0.2, 0.3]})}
    found = rows(line, context=context)["m"]
    assert [r["outcome_key"] for r in found] == ["17", "B6-1", "x-1:2"]
    assert found[0]["features"] is None  # nothing is kept unless it is declared


def test_features_as_used_come_before_those_of_the_request():
    found = row(feat=json.dumps([{"origin": "LGA", "temp": 10}]))
    assert found["seg_origin"] == "LGA"
    assert found["seg_late hour"] == "7"
    assert json.loads(found["features"]) == {"origin": "LGA", "temp": 10}
    assert row(feat="not json")["seg_origin"] == "JFK"


def test_a_cut_request_keeps_its_answer_and_has_no_features():
    found = row(req='{"dataframe_rec', req_cut=1_000_000)
    assert (found["score"], found["features"], found["seg_origin"], found["error"]) == (0.25, None, "unknown", False)


def test_a_shadow_row_has_only_the_answer():
    found = row(arm="shadow", req=None, level=None, unit=None)
    assert (found["arm"], found["score"], found["unit"], found["error"]) == ("shadow", 0.25, None, False)


def test_coded_and_compressed_bodies_are_read():
    body = base64.b64encode(gzip.compress(b'{"predictions": [0.75]}')).decode()
    assert row(resp=None, resp_b64=body)["score"] == 0.75
    assert row(resp=None, resp_b64=base64.b64encode(b'{"predictions": [0.5]}').decode())["score"] == 0.5
    assert row(resp=None, resp_b64="***")["error_kind"] == "non_json"


def test_a_request_without_unit_is_in_no_arm():
    found = row(unit=None, arm="champion")
    assert (found["arm"], found["unit"], found["bucket"]) == ("none", None, None)


def test_a_late_event_is_lifted_past_the_watermark_and_no_other():
    at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    before, same, after = at - timedelta(seconds=1), at, at + timedelta(hours=1)
    times = [rows(LINE, watermark=watermark)["m"][0]["time"] for watermark in (before, same, after)]
    micro = timedelta(microseconds=1)
    assert times == [at, same + micro, after + micro]
    assert rows(LINE, watermark=after)["m"][0]["event_time"] == at


def test_event_time_is_the_clients_only_in_replay():
    replay = CaptureContext(bucket_salt="s", unit_key=b"k", replay=True)
    expected = datetime(2013, 7, 1, 8, 30, tzinfo=UTC)
    for text in ("2013-07-01T08:30:00Z", "2013-07-01T04:30:00-04:00", str(int(expected.timestamp()))):
        assert rows(LINE | {"et": text}, context=replay)["m"][0]["event_time"] == expected
        assert row(et=text)["event_time"] != expected
    for text in ("yesterday", "2013-07-01T08:30:00", ""):
        assert rows(LINE | {"et": text}, context=replay)["m"][0]["event_time"] == row()["event_time"]


def test_a_line_that_does_not_parse_is_kept():
    found = rows("{torn", LINE, "[]", LINE | {"model": "stranger", "id": "x-2"})
    assert len(found["m"]) == 1
    assert [r["error_kind"] for r in found[""]] == ["unparsed", "unparsed", "unknown_model"]
    assert all(r["arm"] == "none" and r["score"] is None for r in found[""])


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*LINE, "et", "feat", "flags", "req_b64", "resp_b64", "resp_cut"]), ANY))
def test_no_line_can_stop_the_collector(changes):
    tables = convert(
        written(LINE | changes).encode(), {"m": CONTEXT}, watermark=NOW, captured_at=NOW
    )  # fmt: skip
    assert sum(len(table) for table in tables.values()) >= 1
    for model, table in tables.items():
        assert table.schema.names == event_schema(["origin", "late hour"] if model else []).names


@given(st.binary(max_size=200))
def test_no_bytes_can_stop_the_collector(data):
    convert(data, {"m": CONTEXT}, watermark=None, captured_at=NOW)


def test_half_a_surrogate_is_no_text_and_no_crash():
    found = row(unit="\ud800", req=json.dumps({"dataframe_records": [{"origin": "\udfff"}]}))
    assert found["seg_origin"] == "?"
