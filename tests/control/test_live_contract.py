"""A contract through the whole system: the gateway, the host, the log; and changed while requests come in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from foreign import TWO_ROWS, Foreign, ask, serving
from seatrial.errors import Conflict
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import event_schema
from seatrial.ids import Digest
from seatrial.registry.contract import Contract
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: contract
timeBucket: 1h
lookEvery: 1h
deadline: 10d
segments: [{name: side, field: y}]
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 50%}, {pause: {duration: 2d}}]
""")


@pytest.fixture
def upstream() -> Iterator[Foreign]:
    with serving() as server:
        yield server


def url(server: Foreign, face: str) -> str:
    return f"http://127.0.0.1:{server.port}/{face}"


def call(live: Any, path: str, method: str = "POST") -> tuple[int, dict[str, str], bytes]:
    headers = {"x-unit-id": "ada", "x-event-time": live.t0.isoformat()}
    body = TWO_ROWS if method == "POST" else None
    return ask(live.project.config.gateway.port, f"/models/fraud{path}", body, method, **headers)


def rows(live: Any, requests: int) -> list[dict[str, Any]]:
    """Everything captured, in the order it came, once it is of so many requests."""

    def found() -> Any:
        live.operations.advance(live.t0 + timedelta(hours=1))
        parts = list_parts(model_directory(live.project.events, "fraud"))
        rows = read_parts(parts, event_schema(("side",))).to_pylist()
        return rows if len({row["request_id"] for row in rows}) >= requests else None

    captured: list[dict[str, Any]] = live.wait_for(found)
    return captured


def features(row: dict[str, Any]) -> Any:
    return None if row["features"] is None else json.loads(row["features"])


def test_a_contract_is_changed_while_requests_come_in(make: Any, upstream: Foreign) -> None:
    live = make()
    live.operations.adopt("fraud", url(upstream, "features"), actor="ann")
    pids = live.pids()
    status, headers, _ = call(live, "/invocations")
    assert status == 200
    assert not {"x-seatrial-host-version", "x-seatrial-features"} & headers.keys()
    first = rows(live, 1)
    assert [(row["score"], features(row)) for row in first] == [(0.25, None), (0.5, None)], "nothing unless declared"

    statuses: list[int] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            statuses.append(call(live, "/invocations")[0])

    asking = threading.Thread(target=keep_asking)
    asking.start()
    live.operations.configure("fraud", Contract(score="/predictions/*/0", features=("y",)), actor="bob")
    live.operations.configure("fraud", Contract(features=("x",)), actor="bob")
    live.operations.configure("fraud", Contract(score="/predictions/*/0", features=("y",)), actor="bob")
    done.set()
    asking.join()
    assert set(statuses) == {200}, "no request is lost"
    assert live.pids() == pids, "and no process is new"

    before = len(rows(live, 1 + len(statuses)))
    call(live, "/invocations")
    last = rows(live, 2 + len(statuses))[before:]
    assert [(row["score"], features(row)) for row in last] == [(0.75, {"y": "ö"}), (0.5, {"y": "z"})]
    (host,) = live.controller.hosts.endpoints().values()
    _, headers, _ = ask(host.port, "/invocations")
    assert json.loads(headers["x-seatrial-features"]) == [{"y": "ö"}, {"y": "z"}], "x does not even leave the host"
    assert "model.configure" in live.actions()


def test_a_restarted_controller_tells_hosts_what_was_agreed_without_it(make: Any, upstream: Foreign) -> None:
    live = make()
    live.operations.adopt("fraud", url(upstream, "chat"), actor="ann")
    assert call(live, "/score")[0] == 502, "no prediction that anybody told it of"
    with live.store.begin() as tx:
        tx.models.configure("fraud", Contract(format="opaque"), actor="bob", now=live.t0)
    pids = live.pids()
    live.controller.stop()
    live.start()
    assert call(live, "/score")[0] == 200
    assert live.pids() == pids


def test_what_is_no_prediction_is_in_no_arm_and_what_is_not_read_no_error(make: Any, upstream: Foreign) -> None:
    live = make()
    live.operations.adopt("fraud", url(upstream, "words"), actor="ann")
    live.begin(live.operations.register("fraud", *version(upstream, "words"), actor="ann").number, PLAN)
    assert call(live, "/v1/chat/completions")[2].count(b"data:") == 5
    assert call(live, "/v2/health/ready", "GET")[0] == 200
    stream, health = [row for row in rows(live, 2) if row["row"] == 0]
    assert (stream["error"], stream["error_kind"], stream["score"]) == (False, "stream", None)
    assert stream["arm"] in ("champion", "canary")
    assert stream["response_bytes"] == len(b"data: 0\n\n") * 5
    assert (health["arm"], health["error"], health["error_kind"]) == ("none", False, "not_a_prediction")


def version(server: Foreign, face: str) -> tuple[Any, Any]:
    digest = Digest("sha256:" + "c" * 64)
    lineage = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(digest, 1000), ModelRef(digest, "sklearn"))
    return Serving(kind="url", url=url(server, face)), lineage


def test_a_segment_of_the_plan_leaves_the_host_and_nothing_else(make: Any, upstream: Foreign) -> None:
    live = make()
    live.operations.adopt("fraud", url(upstream, "features"), actor="ann")
    number = live.operations.register("fraud", *version(upstream, "features"), actor="ann").number
    rollout = live.begin(number, PLAN)
    with pytest.raises(Conflict, match=f"ST0761 model 'fraud' is in rollout {rollout}"):
        live.operations.configure("fraud", Contract(label="/x"), actor="bob")
    call(live, "/invocations")
    live.operations.configure("fraud", Contract(features=("x",)), actor="bob")
    call(live, "/invocations")
    found = rows(live, 2)
    assert [(row["seg_side"], features(row)) for row in found] == [
        ("ö", None), ("z", None), ("ö", {"x": 1}), ("z", {"x": 2}),
    ]  # fmt: skip
