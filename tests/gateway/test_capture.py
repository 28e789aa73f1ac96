"""What is written down of a request, what a shadow sees, and what a client cannot do."""

from __future__ import annotations

import base64
import json
import socket

import pytest

from capturelines import BODIES

pytestmark = pytest.mark.live

UNIT = {"x-unit-id": "u-1"}
LINE_KEYS = {
    *("t", "id", "model", "rollout", "phase", "arm", "unit", "version", "level", "attempts", "code", "flags", "why"),
    *("us", "method", "path", "et", "ct", "rct", "sampled", "segment", "to"),
    *BODIES,
}


def raw(port, data, *, until=b"\r\n\r\n"):
    """Send bytes as they are; what came back until the marker or the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.sendall(data)
        answer = b""
        while until not in answer and (more := wire.recv(65_536)):
            answer += more
    return answer


def test_a_line_holds_the_whole_exchange(gateway, fraud, table):
    gateway.envoy.apply(table(1, fraud(rollout="r-0001", phase=4)))
    reply = gateway.send("/models/fraud/v2/predict?x=1", headers=UNIT, body=b'{"amount": 3}')
    (line,) = gateway.lines("live", 1)
    assert set(line) <= LINE_KEYS
    assert line["id"] == reply.headers["x-seatrial-id"]
    wanted = {
        "model": "fraud",
        "rollout": "r-0001",
        "phase": "4",
        "arm": "champion",
        "unit": "u-1",
        "version": "7",
        "level": "primary",
        "attempts": 1,
        "code": 200,
        "method": "POST",
        "path": "/v2/predict?x=1",
        "ct": "application/json",
        "rct": "application/json",
        "req": '{"amount": 3}',
        "resp": '{"served_by": "7"}',
    }
    assert {key: line[key] for key in wanted} == wanted
    assert line["us"] > 0
    assert float(line["t"]) > 1.6e9
    answered = {key: reply.headers[f"x-seatrial-{key}"] for key in ("version", "arm", "level")}
    assert answered == {"version": "7", "arm": "champion", "level": "primary"}


def test_the_model_host_sees_its_own_path_and_the_request_id(gateway, fraud, upstream, table):
    champion = upstream("7b")
    gateway.envoy.apply(table(1, fraud(champion=champion.backend())))
    reply = gateway.send("/models/fraud/predict", headers=UNIT)
    gateway.send("/models/fraud", headers=UNIT)
    assert [seen.path for seen in champion.seen] == ["/predict", "/"]
    assert champion.seen[0].headers["x-seatrial-id"] == reply.headers["x-seatrial-id"]
    assert "x-seatrial-shadow" not in champion.seen[0].headers


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"name": "Zoë 東京"}'.encode(), "text"),
        (b'{"nul": "\0"}', "base64"),
        (bytes(range(256)), "base64"),
    ],
)
def test_bodies_come_back_from_the_log_as_they_were(gateway, fraud, upstream, table, body, kind):
    champion = upstream("7b", body=body)
    gateway.envoy.apply(table(1, fraud(champion=champion.backend())))
    content_type = "application/octet-stream" if body[:1] == b"\0" else "application/json"
    assert gateway.send("/models/fraud/x", headers={"content-type": content_type}, body=body).body == body
    (line,) = gateway.lines("live", 1)
    for key in ("req", "resp"):
        logged = line[key].encode() if kind == "text" else base64.b64decode(line[f"{key}_b64"])
        assert logged == body
        assert (key in line) == (kind == "text")


def test_a_long_body_passes_whole_and_is_logged_in_part(gateway, fraud, upstream, table):
    body = b"[" + b"1," * 500_000 + b"1]"
    champion = upstream("7b", body=body)
    gateway.envoy.apply(table(1, fraud(champion=champion.backend())))
    assert gateway.send("/models/fraud/x", headers=UNIT, body=body).body == body
    assert champion.seen[0].body == body
    (line,) = gateway.lines("live", 1)
    assert line["req_cut"] == line["resp_cut"] == len(body)
    assert base64.b64decode(line["req_b64"]) == body[:16_384]


def test_features_go_to_the_log_and_not_to_the_client(gateway, fraud, upstream, table):
    features = json.dumps([{"amount": index, "country": "NL"} for index in range(3000)])
    champion = upstream("7b", headers={"x-seatrial-features": features})
    shadow = upstream("9", headers={"x-seatrial-features": '[{"amount":9}]'})
    gateway.envoy.apply(table(1, fraud(champion=champion.backend(), shadow=shadow.backend("shadow"), mirrored=10_000)))
    assert "x-seatrial-features" not in gateway.send("/models/fraud/x", headers=UNIT).headers
    assert gateway.lines("live", 1)[0]["feat"] == features
    assert gateway.lines("shadow", 1)[0]["feat"] == '[{"amount":9}]'


def test_a_shadow_is_captured_and_its_answer_reaches_nobody(gateway, fraud, upstream, table):
    shadow = upstream("9", status=500)
    gateway.envoy.apply(table(1, fraud(shadow=shadow.backend("shadow"), mirrored=10_000, rollout="r-1", phase=2)))
    replies = [gateway.send("/models/fraud/x", headers=UNIT, body=b'{"n": %d}' % n) for n in range(5)]
    live, copies = gateway.lines("live", 5), gateway.lines("shadow", 5)
    assert [reply.json() for reply in replies] == [{"served_by": "7"}] * 5
    assert [line["id"] for line in live] == [reply.headers["x-seatrial-id"] for reply in replies]
    assert {line["id"] for line in copies} == {line["id"] for line in live}
    wanted = {"model": "fraud", "rollout": "r-1", "phase": "2", "arm": "shadow", "unit": "u-1", "version": "9"}
    for line in copies:
        assert set(line) <= LINE_KEYS
        assert {key: line[key] for key in wanted} == wanted
        assert (line["code"], line["level"], line["resp"]) == (500, "shadow", '{"served_by": "9"}')
    assert {seen.body for seen in shadow.seen} == {b'{"n": %d}' % n for n in range(5)}
    assert all(seen.headers["x-seatrial-shadow"] == "true" for seen in shadow.seen)
    assert gateway.envoy.counters() == {("r-1", 2, "champion"): 5, ("r-1", 2, "shadow"): 5}


def test_a_hanging_shadow_is_given_up_after_one_try_and_nobody_waits(gateway, fraud, upstream, table):
    shadow = upstream("9", delay_s=60)
    gateway.envoy.apply(table(1, fraud(shadow=shadow.backend("shadow"), mirrored=10_000, try_timeout_s=0.2)))
    assert gateway.send("/models/fraud/x", headers=UNIT).status == 200
    (copy,) = gateway.lines("shadow", 1)
    assert (copy["code"], copy["flags"]) == (504, "UT")


def test_headers_a_client_invents_are_removed(gateway, fraud, upstream, table):
    champion = upstream("7b", status=503)
    canary = upstream("8")
    gateway.envoy.apply(table(1, fraud(champion=champion.backend(), canary=canary.backend(), canary_weight=1)))
    spoofed = {
        "x-seatrial-arm": "canary",
        "x-seatrial-unit": "someone-else",
        "x-seatrial-id": "mine",
        "x-seatrial-shadow": "true",
        "x-seatrial-shadow-to": "elsewhere",
        "x-seatrial-event-time": "2001-01-01",
        "x-event-time": "2001-01-01",
        "x-envoy-max-retries": "7",
        "x-envoy-retry-on": "5xx",
        "x-envoy-upstream-rq-timeout-ms": "1",
    }
    reply = gateway.send("/models/fraud/x", headers={**UNIT, **spoofed})
    (line,) = gateway.lines("live", 1)
    assert (reply.status, line["attempts"], line["arm"], line["unit"]) == (503, 1, "champion", "u-1")
    assert "et" not in line
    assert line["id"] != "mine"
    seen = champion.seen[0].headers
    assert not {key for key in seen if key.startswith("x-envoy-")}
    assert {key for key in seen if key.startswith("x-seatrial-")} == {
        "x-seatrial-id",
        "x-seatrial-arm",
        "x-seatrial-unit",
    }
    assert canary.seen == []


def test_an_upstream_cannot_name_its_own_version(gateway, fraud, upstream, table):
    champion = upstream("7b", headers={"x-seatrial-version": "99", "x-seatrial-level": "x", "x-seatrial-arm": "canary"})
    gateway.envoy.apply(table(1, fraud(champion=champion.backend())))
    headers = gateway.send("/models/fraud/x", headers=UNIT).headers
    answered = {key: headers[f"x-seatrial-{key}"] for key in ("version", "arm", "level")}
    assert answered == {"version": "7b", "arm": "champion", "level": "primary"}


def test_event_time_is_logged_in_replay_only(gateway, fraud, upstream, table):
    shadow = upstream("9")
    route = fraud(shadow=shadow.backend("shadow"), mirrored=10_000)
    for generation, replay in ((1, False), (2, True)):
        gateway.envoy.apply(table(generation, route, replay=replay))
        gateway.send("/models/fraud/x", headers={**UNIT, "x-event-time": "2013-01-05T10:00:00Z"})
    for name in ("live", "shadow"):
        assert [line.get("et") for line in gateway.lines(name, 2)] == [None, "2013-01-05T10:00:00Z"]


def test_each_model_has_its_own_body_limit(gateway, fraud, upstream, table):
    roomy = fraud(model="roomy", max_body_bytes=5000)
    tight = fraud(model="tight", max_body_bytes=100)
    gateway.envoy.apply(table(1, roomy, tight))
    answers = {
        (model, size): gateway.send(f"/models/{model}/x", headers=UNIT, body=b"x" * size).status
        for model in ("roomy", "tight")
        for size in (100, 101, 5000, 5001)
    }
    assert {key for key, status in answers.items() if status == 413} == {
        ("roomy", 5001),
        ("tight", 101),
        ("tight", 5000),
        ("tight", 5001),
    }
    chunked = b"POST /models/tight/x HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n"
    assert raw(gateway.port, chunked + b"ff\r\n" + b"x" * 255 + b"\r\n0\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_a_long_header_and_a_hidden_slash_are_refused(gateway, fraud, table):
    gateway.envoy.apply(table(1, fraud()))
    assert gateway.send("/models/fraud/x", headers={"x-long": "x" * 40_000}).status == 431
    assert gateway.send("/models%2ffraud/x").status == 400
    assert gateway.send("/models/fraud/x").status == 200


@pytest.mark.slow
def test_slow_headers_time_out(gateway):
    assert raw(gateway.port, b"GET / HTTP/1.1\r\nhost: g\r\n", until=b"\r\n\r\n").startswith(b"HTTP/1.1 408")


def test_an_unknown_model_is_told_which_there_are(gateway, fraud, table):
    gateway.envoy.apply(table(1, fraud(), fraud(model="fraud-eu")))
    for path in ("/models/nope/predict", "/models/fraudulent/x", "/"):
        reply = gateway.send(path)
        assert (reply.status, reply.json()["models"]) == (404, ["fraud", "fraud-eu"])
        assert reply.headers["content-type"] == "application/json"


def test_many_unknown_models_fit_into_an_answer(gateway, fraud, table):
    route = fraud()
    gateway.envoy.apply(table(1, *(fraud(model=f"a-rather-long-name-of-a-model-{n:03}") for n in range(60)), route))
    reply = gateway.send("/models/nope/x")
    assert (reply.status, len(reply.json()["models"]), reply.json()["more"]) == (404, 50, 11)


def test_health_checks_are_answered_at_the_door_and_not_logged(gateway, fraud, table):
    assert gateway.send("/healthz", method="GET", body=b"").status == 200
    gateway.envoy.apply(table(1, fraud()))
    gateway.send("/models/fraud/x", headers=UNIT)
    assert [line["path"] for line in gateway.lines("live", 1)] == ["/x"]
    assert gateway.envoy.counters() == {(None, None, "champion"): 1}


def test_log_rotation_loses_no_line(gateway, fraud, table):
    gateway.envoy.apply(table(1, fraud()))
    log = gateway.directory / "log" / "live.jsonl"
    gateway.send("/models/fraud/before", headers=UNIT)
    gateway.lines("live", 1)
    log.rename(log.with_suffix(".1"))
    gateway.envoy.reopen_logs()
    gateway.send("/models/fraud/after", headers=UNIT)
    assert [line["path"] for line in gateway.lines("live", 1)] == ["/after"]
    assert [json.loads(line)["path"] for line in log.with_suffix(".1").read_text().splitlines()] == ["/before"]
