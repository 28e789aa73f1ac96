"""Clients that misbehave: what they are told, and that neither the comparison nor anybody else is touched by it.

A model server with a canary at half of the units; each request is written to the wire as it stands.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from livesystem import Live
from rogue import Rogue
from seatrial.events.parts import list_parts, model_directory
from seatrial.gateway.assignment import assign
from seatrial.gateway.routes import MAX_BODY_BYTES
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: clients
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 50%}, {pause: {duration: 2d}}]
""")
UNIT = next(f"unit-{n}" for n in range(99) if assign(Live.salt, f"unit-{n}") < 5_000)
BODY = b'{"dataframe_records": [{"unit": "x"}]}'
TARGET = "/models/fraud/invocations"


def request(
    target: str = TARGET,
    *,
    method: str = "POST",
    body: bytes = BODY,
    unit: bytes | None = UNIT.encode(),
    version: str = "1.1",
    kind: str | None = "application/json",
    **more: str | bytes | None,
) -> bytes:
    """One request as bytes; a header that is None is left out."""
    given = {"host": "g", "x-unit-id": unit, "content-type": kind, "content-length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in more.items()}
    lines = [
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        for name, value in given.items()
        if value is not None
    ]
    return b"\r\n".join([f"{method} {target} HTTP/{version}".encode(), *lines, b"", body])


def head_of(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the first answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, rest[: int(headers.get("content-length", len(rest)))]


class House:
    """The running system, and what clients do to it."""

    def __init__(self, root: Path) -> None:
        self.live = Live(root, clock="wall", request="8s", attempt="4s")
        self.champion, self.canary = Rogue("champion", 0.25), Rogue("canary", 0.75)
        for server in (self.champion, self.canary):
            server.start()
            self.live.servers.append(server)
        self._parts: dict[Path, list[dict[str, Any]]] = {}

    def start(self) -> None:
        self.live.start()
        self.live.adopt(self.champion)
        self.rollout = self.live.begin(self.live.register(self.canary), PLAN)
        self.live.run()

    def connect(self) -> socket.socket:
        gateway = self.live.project.config.gateway
        return socket.create_connection((gateway.host, gateway.port), timeout=10)

    def send(self, data: bytes, answers: int = 1) -> bytes:
        """All that comes back until there are so many answers, or the end."""
        with self.connect() as wire:
            with contextlib.suppress(ConnectionError):  # whoever refuses a long body closes while it is sent
                wire.sendall(data)
            return _read(wire, answers)

    def ask(self, data: bytes) -> tuple[int, dict[str, str], Any]:
        status, headers, body = head_of(self.send(data))
        return status, headers, json.loads(body) if body else None

    def row(self, identity: str) -> dict[str, Any]:
        return self.rows(identity)[0]

    def rows(self, identity: str) -> list[dict[str, Any]]:
        """What the evidence has of a request, once it is there."""

        def found() -> list[dict[str, Any]]:
            return [row for row in self.events() if row["request_id"] == identity]

        rows: list[dict[str, Any]] = self.live.wait_for(found, 10)
        return sorted(rows, key=lambda row: row["row"])

    def events(self) -> list[dict[str, Any]]:
        """Everything captured; each part is read once."""
        for part in list_parts(model_directory(self.live.project.events, self.live.model)):
            if part.path not in self._parts:
                self._parts[part.path] = pq.read_table(part.path).to_pylist()
        return [row for rows in self._parts.values() for row in rows]

    def disconnected(self) -> list[dict[str, Any]]:
        return [row for row in self.events() if row["error_kind"] == "client_disconnect"]

    def asked(self) -> int:
        return len(self.champion.asked) + len(self.canary.asked)

    def is_well(self) -> bool:
        """The healthy control: an ordinary request is answered by the version of its arm."""
        status, headers, _ = self.ask(request())
        return (status, headers["x-seatrial-arm"], headers["x-seatrial-level"]) == (200, "canary", "primary")


def _read(wire: socket.socket, answers: int) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):
        while _complete(data) < answers and (more := wire.recv(65_536)):
            data += more
    return data


def _complete(data: bytes) -> int:
    """How many answers are there as a whole."""
    count = 0
    while b"\r\n\r\n" in data:
        _, headers, body = head_of(data)
        if len(body) < int(headers.get("content-length", "0")):
            break
        data = data.partition(b"\r\n\r\n")[2][len(body) :]
        count += 1
    return count


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = House(tmp_path_factory.mktemp("clients") / "live")
    try:
        opened.start()
        yield opened
    finally:
        opened.live.close()


def test_what_a_client_sees_of_the_house_and_what_a_model_sees_of_the_client(house: House) -> None:
    _, headers, _ = house.ask(request())
    own = {"id", "version", "arm", "level", "waited"}
    assert set(headers) == {"content-type", "content-length", "date", *(f"x-seatrial-{name}" for name in own)}
    told = house.canary.asked[-1].headers
    assert {name for name in told if name.startswith(("x-seatrial-", "x-envoy-"))} <= {
        *(f"x-seatrial-{name}" for name in ("id", "unit", "arm")),
    }
    assert "fraud--" not in json.dumps([headers, dict(told)]), "names of clusters stay inside"


def test_units_of_all_kinds(house: House) -> None:
    """Any bytes are a unit; nothing and blanks are none, and go to the champion."""
    units = (b"-", b"null", b"a b", "über-🚢".encode(), b"caf\xe9", b"a,b", b"x" * 5_000, None, b"", b"   ")
    wanted, found = {}, {}
    for unit in units:
        where = "none"
        if unit and unit.strip():
            where = "canary" if assign(Live.salt, unit.decode("utf-8", "surrogateescape")) < 5_000 else "champion"
        wanted[unit] = (200, where, "2" if where == "canary" else "1")
        status, headers, _ = house.ask(request(unit=unit))
        found[unit] = (status, headers["x-seatrial-arm"], headers["x-seatrial-version"]), headers["x-seatrial-id"]
    assert {unit: told for unit, (told, _) in found.items()} == wanted
    assert {arm for _, arm, _ in wanted.values()} == {"none", "canary", "champion"}
    for unit, (told, identity) in found.items():
        row = house.row(identity)
        assert (row["arm"], row["error"], row["unit"] is None) == (told[1], False, told[1] == "none"), unit


def test_a_unit_with_control_characters_is_refused(house: House) -> None:
    status, _, body = house.ask(request(unit=b"a\x01b"))
    assert (status, body["status"]) == (400, 400)
    assert house.is_well()


def test_a_client_that_comes_twice_is_two_requests(house: House) -> None:
    ids = [house.ask(request(x_request_id="same"))[1]["x-seatrial-id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert [house.row(identity)["outcome_key"] for identity in ids] == ids


def test_nobody_chooses_an_arm_an_id_or_a_time(house: House) -> None:
    spoofed = {
        "x_seatrial_arm": "champion",
        "x_seatrial_unit": "other",
        "x_seatrial_id": "mine",
        "x_seatrial_features": "[{}]",
        "x_seatrial_shadow_to": "elsewhere",
        "x_envoy_max_retries": "9",
        "x_envoy_upstream_rq_timeout_ms": "1",
        "x_envoy_original_path": "/x",
        "x_event_time": "2001-01-01T00:00:00Z",
    }
    status, headers, _ = house.ask(request(**spoofed))
    row = house.row(headers["x-seatrial-id"])
    assert (status, headers["x-seatrial-arm"], row["arm"], row["attempts"]) == (200, "canary", "canary", 1)
    assert headers["x-seatrial-id"] != "mine"
    assert row["event_time"].year > 2001
    assert "x-seatrial-shadow-to" not in house.canary.asked[-1].headers


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (request(x_long="x" * 40_000), 431, "32 KiB"),
        (request(**{f"x_h{n}": "1" for n in range(80)}), 431, "64"),
        (request("/models%2ffraud/invocations"), 400, "escapes"),
        (request("/models/fraud/%00"), 400, "malformed"),
        (request("/models/fraud/x#part"), 400, "malformed"),
        (request(transfer_encoding="chunked"), 400, "malformed"),
        (request(content_length="-1"), 400, "malformed"),
        (b"POST " + TARGET.encode() + b" HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed"),
        (request(method="BREW"), 400, "malformed"),
        (request("/models/nope/invocations"), 404, "no such model"),
        (request("/Models/Fraud/invocations"), 404, "no such model"),
        (request("/models/fraud/../../etc/passwd"), 404, "no such model"),
    ],
)
def test_what_is_refused_at_the_door_says_why_in_json(house: House, data: bytes, status: int, why: str) -> None:
    before = house.asked()
    told, headers, body = house.ask(data)
    assert (told, headers["content-type"]) == (status, "application/json")
    assert why in body["error"]
    assert house.asked() == before
    assert house.is_well()


def test_an_unknown_model_names_the_remedy(house: House) -> None:
    _, _, body = house.ask(request("/models/nope/x"))
    assert body["remedy"].startswith("seatrial model adopt")
    assert body["models"] == ["fraud"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused_and_is_no_model_s_error(house: House, chunked: bool) -> None:
    before, size = house.asked(), MAX_BODY_BYTES + 1
    body = b"x" * size
    if chunked:
        piece = b"%x\r\n%s\r\n" % (1 << 16, b"x" * (1 << 16))
        data = request(body=piece * (size // (1 << 16) + 1), content_length=None, transfer_encoding="chunked")
    else:
        data = request(body=body)
    status, headers, told = house.ask(data)
    assert (status, told["error"]) == (413, "the body is above the limit of this model")
    row = house.row(headers.get("x-seatrial-id") or told["id"])
    assert (row["status"], row["error_kind"], row["error"], row["arm"]) == (413, "too_large", False, "none")
    assert house.asked() == before
    assert house.is_well()


def test_odd_requests_are_answered_and_compared_if_they_are_predictions(house: House) -> None:
    compared = {
        "HTTP/1.0": request(version="1.0", connection="close"),
        "a slash at the end": request(TARGET + "/"),
        "double slashes": request("//models//fraud//invocations"),
        "dots": request("/models/x/../fraud/invocations"),
        "a whole URL": request("http://elsewhere" + TARGET),
        "a query": request(TARGET + "?a=1&b=%2F"),
        "no content type": request(kind=None),
        "text": request(kind="text/plain"),
        "a form": request(kind="application/x-www-form-urlencoded"),
        "gzip": request(body=gzip.compress(BODY), content_encoding="gzip"),
    }
    others = {
        "the unit as a hop-by-hop header": request(connection="x-unit-id"),
        **{method: request(method=method, body=b"", kind=None) for method in ("GET", "HEAD", "OPTIONS")},
        "the host's own page": request("/models/fraud/-/host", method="GET", body=b""),
        "a health check": request("/models/fraud/v2/health/ready", method="GET", body=b""),
    }
    ids = {}
    for name, data in {**compared, **others}.items():
        before = house.asked()
        status, headers, body = head_of(house.send(data))
        assert (status, headers["x-seatrial-arm"]) == (200, "canary" if name in compared else "none"), (name, body)
        assert house.asked() == before + 1, f"{name}: the model's server was asked, whatever the path"
        ids[name] = headers["x-seatrial-id"]
    for name, identity in ids.items():
        row = house.row(identity)
        assert (row["arm"], row["error"]) == ("canary" if name in compared else "none", False), name
        assert (row["score"] == 0.75) == (name in compared), name


def test_an_answer_of_ten_megabytes_passes_whole_and_is_logged_in_part(house: House) -> None:
    house.canary.mode = "10 MB"
    status, headers, body = house.ask(request())
    house.canary.mode = "good"
    row = house.row(headers["x-seatrial-id"])
    assert (status, headers["x-seatrial-level"], len(body["why"])) == (200, "primary", 10_000_000)
    assert (row["error"], row["error_kind"], row["score"]) == (False, "truncated", None)
    assert house.is_well()


def test_requests_on_one_connection_are_answered_in_order(house: House) -> None:
    rows = [[{"unit": str(n)}] * (n + 1) for n in range(3)]
    data = b"".join(request(body=json.dumps({"dataframe_records": row}).encode()) for row in rows)
    text = house.send(data, answers=3)
    assert [text.count(b"HTTP/1.1 200"), text.count(b"0.75")] == [3, 6]
    assert [found.count(b"0.75") for found in re.findall(rb"\[[^\]]*\]", text)] == [1, 2, 3]


def test_http_2_without_an_upgrade(house: House) -> None:
    status, body = http2(house)
    assert (status, json.loads(body)) == (200, {"predictions": [0.75]})


def test_a_batch_is_one_request_of_one_unit(house: House) -> None:
    """Whoever its rows are about: the header says who is assigned, and all rows count in that unit's bucket."""
    body = json.dumps({"dataframe_records": [{"unit": f"someone-{n}"} for n in range(40)]}).encode()
    _, headers, answer = house.ask(request(body=body))
    identity = headers["x-seatrial-id"]
    rows = house.rows(identity)
    assert len(answer["predictions"]) == 40
    assert [row["outcome_key"] for row in rows] == [identity, *(f"{identity}:{n}" for n in range(1, 40))]
    assert len({(row["arm"], row["unit"], row["bucket"]) for row in rows}) == 1


@pytest.mark.parametrize("when", ["before the body", "before the answer", "within the answer"])
def test_a_client_that_hangs_up_is_nobody_s_error(house: House, when: str) -> None:
    before = len(house.disconnected())
    with house.connect() as wire:
        if when == "before the body":
            wire.sendall(request()[:-10])
        elif when == "before the answer":
            house.canary.mode = "slow below the limit"
            asked = house.asked()
            wire.sendall(request())
            house.live.wait_for(lambda: house.asked() > asked)
        else:
            house.canary.mode = "10 MB"
            wire.sendall(request())
            wire.recv(1_000)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    house.canary.mode = "good" if when != "before the answer" else house.canary.mode
    if when != "within the answer":  # an answer too long for the log has a name of its own
        house.live.wait_for(lambda: len(house.disconnected()) > before, 10)
        assert not any(row["error"] for row in house.disconnected())
    house.canary.mode = "good"
    assert house.is_well()


def test_clients_that_send_slowly_hold_up_nobody(house: House) -> None:
    asked = house.asked()
    slow = [house.connect() for _ in range(60)]
    try:
        for wire in slow:
            wire.sendall(request()[:-5])
        time.sleep(0.1)
        assert house.asked() == asked, "a request goes on when it is complete"
        assert house.is_well()
        for wire in slow:
            wire.sendall(BODY[-5:])
        assert all(head_of(_read(wire, 1))[0] == 200 for wire in slow), "slow, and not refused"
    finally:
        for wire in slow:
            wire.close()


def test_after_all_of_that_the_comparison_is_whole(house: House) -> None:
    """Envoy counted what the log has, nothing in it is an error, and only good requests were compared."""
    house.ask(request())
    compared = ("champion", "canary")

    def counts() -> tuple[dict[Any, int], dict[Any, int]]:
        found = house.live.counted(house.rollout), house.live.captured(house.rollout)
        counted, captured = ({key: n for key, n in count.items() if key[1] in compared} for count in found)
        return counted, captured

    house.live.wait_for(lambda: counts()[0] == counts()[1], 10)
    rows = [row for row in house.events() if row["arm"] in compared]
    assert rows
    assert [row["error_kind"] for row in rows if row["error"]] == []


# ── HTTP/2 by hand ─────────────────────────────────────────────────────────────────────────────────────────────────


def http2(house: House) -> tuple[int, bytes]:
    """One POST with prior knowledge (RFC 9113, 3.3); names and values go as literals that nobody indexes."""
    headers = {":method": "POST", ":scheme": "http", ":authority": "g", ":path": TARGET}
    headers |= {"content-type": "application/json", "x-unit-id": UNIT}
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    with house.connect() as wire:
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0)
        wire.sendall(preface + _frame(1, 4, 1, block) + _frame(0, 1, 1, BODY))
        stream = wire.makefile("rb")
        status, body = 0, b""
        while True:
            length, kind, flags, number = struct.unpack("!IBBI", b"\0" + stream.read(9))
            payload = stream.read(length)
            if kind == 1 and payload.lstrip(b"\x20")[0] == 0x88:  # the static table's ":status: 200"
                status = 200
            if kind == 0:
                body += payload
            if number == 1 and kind in (0, 1) and flags & 1:
                return status, body


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!IBBI", len(payload), kind, flags, stream)[1:] + payload
