"""The in-process router beside a real Envoy on the same route table: the same arms, and the same rows in the log."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from seatrial.control.capture.routers import in_process
from seatrial.errors import Unavailable
from seatrial.events.capture import CaptureContext, convert
from seatrial.gateway.kill import KillLatch, apply_latches
from seatrial.router import Router
from seatrial.router.follow import CHECK_S

pytestmark = pytest.mark.live

SEGMENTS = (("amount", "amount"), ("tenure", None))
CONTEXTS = {"fraud": CaptureContext(bucket_salt="b", unit_key=b"k", segments=SEGMENTS, features=("*",))}
BODY = b'{"predictions":[0.5]}'
OWN = {"request_id", "outcome_key", "time", "event_time", "captured_at", "latency_us"}
"""Columns that no two requests share."""


@pytest.fixture
def beside(gateway, tmp_path):
    """A router on the gateway's files, made when there are routes."""

    def made():
        state = tmp_path / ".seatrial"
        state.mkdir()
        (state / "gateway").symlink_to(gateway.directory)
        return Router(tmp_path, "fraud")

    return made


def split(fraud, upstream, **more):
    """10% canary, 20% copied."""
    canary, shadow = upstream("8"), upstream("9")
    options = {"canary": canary.backend(), "shadow": shadow.backend("shadow"), "canary_weight": 1000, "mirrored": 2000}
    return fraud(**options, rollout="r-1", phase=3, timeout_s=20.0, try_timeout_s=10.0, **more)


def check_equal(gateway, router, units):
    gateway.send_all("fraud", [unit.encode() for unit in units], connections=8)
    live = gateway.lines("live", len(units))
    found = {unit: router.decide(unit) for unit in units}
    assert {line["unit"]: (line["arm"], line["version"]) for line in live} == {
        unit: (one.arm, one.version) for unit, one in found.items()
    }
    copied = {unit for unit, one in found.items() if one.copied}
    assert {line["unit"] for line in gateway.lines("shadow", len(copied))} == copied
    assert len({one.arm for one in found.values()}) == 2


def test_units_are_where_envoy_has_them(gateway, fraud, upstream, table, beside):
    gateway.envoy.apply(table(1, split(fraud, upstream)))
    check_equal(gateway, beside(), [f"user-{n}" for n in range(3000)])


@pytest.mark.slow
def test_a_hundred_thousand_units_are_where_envoy_has_them(gateway, fraud, upstream, table, beside):
    gateway.envoy.apply(table(1, split(fraud, upstream)))
    check_equal(gateway, beside(), [f"user-{n}" for n in range(100_000)])


def rows(texts, contexts):
    """Rows of log lines, without what no two requests share."""
    found = convert("\n".join(texts).encode(), contexts, watermark=None, captured_at=datetime(2026, 1, 1, tzinfo=UTC))
    kept = [{name: value for name, value in row.items() if name not in OWN} for row in found["fraud"].to_pylist()]
    return sorted(kept, key=lambda row: json.dumps(row, sort_keys=True))


def pairs(texts):
    """Ids of copies have those of the requests they are copies of."""
    lines = [json.loads(text) for text in texts]
    live = {line["id"]: line.get("unit") for line in lines if line.get("arm") != "shadow"}
    copies = [line for line in lines if line.get("arm") == "shadow"]
    return bool(copies) and all(live[copy["id"]] == copy["unit"] for copy in copies)


def test_the_same_requests_are_the_same_rows(gateway, upstream, fraud, table, beside, clock):
    """Good answers, a canary that fails, no unit, a withdrawn one, segments, and at last a model switched off."""
    good = {name: upstream(name, body=BODY).backend(level) for name, level in (("6", "previous"), ("7", "primary"))}
    canary, shadow = upstream("8", body=BODY), upstream("9", body=BODY).backend("shadow")
    route = fraud(
        champion=good["7"], canary=canary.backend(), shadow=shadow, fallbacks=(good["6"],), canary_weight=1000,
        mirrored=2000, mirrored_by=(("new", 8000),), segment_header="x-tenure", withdrawn=("left",), rollout="r-1",
        phase=3, timeout_s=20.0, try_timeout_s=10.0,
    )  # fmt: skip
    gateway.envoy.apply(table(1, route))
    router, handlers = beside(), dict.fromkeys(("7", "8", "9"), lambda row: 0.5)

    def both(unit, amount, tenure):
        given = {"x-unit-id": unit, "x-tenure": tenure}
        headers = {name: value for name, value in given.items() if value is not None}
        body = json.dumps({"dataframe_records": [{"amount": amount}]}, separators=(",", ":")).encode()
        assert gateway.send("/models/fraud/invocations", headers=headers, body=body).status == 200
        assert router.predict(unit, {"amount": amount}, handlers=handlers, segment=tenure).value == 0.5

    asked = [(f"u{n}", n, ("new", "old", None)[n % 3]) for n in range(60)]
    asked += [(None, 3, "new"), ("left", 4, None), ("", 5, None), (" blank ", 6, "old")]
    for one in asked:
        both(*one)
    canary.status, handlers["8"] = 500, lambda row: 1 / 0
    failing = [f"v{n}" for n in range(100) if router.arm(f"v{n}") == "canary"][:3]
    for unit in failing:
        both(unit, 1, "old")
    gateway.envoy.apply(apply_latches(table(2, route), [KillLatch("fraud", "off", "ann", "complaints", clock)]))
    assert gateway.send("/models/fraud/invocations", headers={"x-unit-id": "u1"}, body=b"{}").status == 503
    time.sleep(CHECK_S)
    with pytest.raises(Unavailable):
        router.predict("u1", {}, handlers=handlers)
    assert router.flush(20)

    log = gateway.directory / "log"
    ours = [text for path in log.glob("router-*.jsonl") for text in path.read_text().splitlines()]
    copies = sum(json.loads(text)["arm"] == "shadow" for text in ours)
    lived = len(asked) + len(failing) + 1
    for name, count in (("live", lived), ("shadow", copies)):
        assert len(gateway.lines(name, count)) == count
    theirs = [text for name in ("live", "shadow") for text in (log / f"{name}.jsonl").read_text().splitlines()]
    own, same = rows(ours, in_process(CONTEXTS)), rows(theirs, CONTEXTS)
    assert len(same) == lived + copies
    assert {row["error_kind"] for row in same} == {None, "fallback", "http_503"}
    assert own == same
    assert pairs(ours)
    assert pairs(theirs)
