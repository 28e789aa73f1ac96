"""Model servers that misbehave, as shadow, canary and champion: what users see, and what the evidence says of it.

One running system per column of the matrix; each fault is planted for a few requests and gone again, and the requests
right after it are its healthy control.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from livesystem import Live
from rogue import MODES, Rogue
from seatrial.gateway.assignment import assign
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = """
name: faults
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics: [{{name: errors, kind: error_rate, margin: 10pp}}]
steps: [{step}, {{pause: {{duration: 2d}}}}]
"""
SHADOW, CANARY = (parse_plan(PLAN.format(step=step)) for step in ("{shadow: {share: 100%}}", "{setWeight: 50%}"))
UNITS = [f"unit-{n}" for n in range(40)]
ON_CANARY, ON_CHAMPION = ([u for u in UNITS if (assign(Live.salt, u) < 5_000) == own] for own in (True, False))

WELL = ("good", "slow below the limit", "closes unsaid", "drops kept connections", "chunked", "gzip", "two answers")
FAULTS = {
    **dict.fromkeys(("hang", "slow above the limit", "stops in the body"), 504),
    **dict.fromkeys(("breaks off", "resets", "resets after headers", "half closes", "garbage", "long headers"), 502),
    **dict.fromkeys(("NaN", "null", "a row too many", "no rows", "empty", "204", "not JSON", "HTML with 200"), 502),
    **dict.fromkeys(("broken gzip", "redirect"), 502),
    "500": 500,
    "503": 503,
    "429": 429,
}
"""What is answered where nobody else can: the server's own refusal, or the host's word about what came."""

UNREAD = {"events": "stream", "binary": "unsupported"}
"""Good answers that the log does not read: no error, and no score."""

ELSEWHERE = {"10 MB"}
"""Takes its time, and so is with the clients, who have more of it."""

PLANTED = [mode for mode in MODES if mode not in ELSEWHERE]

CUT = ("events that break off", "events that stop")
TOO_LATE = {**dict.fromkeys(CUT, "broken_off"), "400": "http_400"}
"""Answers that reach the user as they are: one that had begun, and one that is about the request."""

Role = Literal["shadow", "canary", "champion", "previous"]


@dataclass(frozen=True)
class Seen:
    """What a user got: the answer's head and as much of its body as came. ``whole``: it ended as it should."""

    id: str
    status: int
    version: str
    level: str
    body: bytes
    whole: bool


@dataclass(frozen=True)
class Cell:
    """A request during the fault, the healthy one right after it, and the rows that the evidence has of both.

    ``live``: the row of the answer that the user got, where ``row`` is that of the copy.
    """

    seen: Seen
    after: Seen
    row: dict[str, Any]
    row_after: dict[str, Any]
    live: dict[str, Any]


class Matrix:
    """Version 1 is always healthy where version 2 is at fault, except in the column of the champion.

    A column is played when it is first looked at, later roles after earlier ones.
    """

    def __init__(self, root: Path) -> None:
        self.live = Live(root, clock="wall", request="1s", attempt="500ms")
        self.first, self.second = Rogue("first", 0.25), Rogue("second", 0.75)
        for server in (self.first, self.second):
            server.start()
            self.live.servers.append(server)
        self._columns: dict[Role, dict[str, Cell]] = {}
        self.counts: dict[Role, tuple[Counter[Any], Counter[Any]]] = {}

    def start(self) -> None:
        self.live.start()
        self.live.adopt(self.first)
        self._version = self.live.register(self.second)
        self.live.run()

    def cell(self, role: Role, mode: str) -> Cell:
        if role not in self._columns:
            self._columns[role] = self._play(role)
        return self._columns[role][mode]

    def _play(self, role: Role) -> dict[str, Cell]:
        unit = (ON_CANARY if role == "canary" else ON_CHAMPION)[0]
        with self._released(role):
            seen = {mode: self._plant(role, mode, unit) for mode in PLANTED}
            arm = "champion" if role == "previous" else role
            answered = "champion" if role == "shadow" else arm
            awaited = {(one.id, which) for pair in seen.values() for one in pair for which in (arm, answered)}
            rows = self.live.wait_for(lambda: awaited <= (found := self._rows()).keys() and found)
        cells = {}
        for mode, (during, after) in seen.items():
            cells[mode] = Cell(during, after, rows[during.id, arm], rows[after.id, arm], rows[during.id, answered])
        return cells

    def _rows(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(row["request_id"], row["arm"]): row for row in self.live.events().to_pylist()}

    @contextmanager
    def _released(self, role: Role) -> Iterator[None]:
        """Version 2 in the place where it is to fail, or, for the champion, next to the one that fails."""
        live = self.live
        if role == "previous":
            self._promote()
            yield
            return
        rollout = live.begin(self._version, SHADOW if role == "shadow" else CANARY)
        yield
        with suppress(AssertionError):
            live.wait_for(lambda: live.captured(rollout) == live.counted(rollout), 10)
        self.counts[role] = live.counted(rollout), live.captured(rollout)
        live.operations.by_hand(rollout, "abort", reason="next", actor="ann")

    def _promote(self) -> None:
        rollout = self.live.begin(self._version, CANARY)
        self.live.operations.by_hand(rollout, "promote", full=True, reason="next", actor="ann")

    def _plant(self, role: Role, mode: str, unit: str) -> tuple[Seen, Seen]:
        server = self.first if role == "champion" else self.second

        def ask() -> Seen:
            if role != "shadow":
                return self.ask(unit)
            for _ in range(10):
                before, seen = len(server.asked), self.ask(unit)
                with suppress(AssertionError):  # a copy may get lost, and is not sent again
                    self.live.wait_for(lambda before=before: len(server.asked) > before, 5)  # type: ignore[misc]
                    break
            self.live.wait_for(lambda: not self.live.controller.envoy.copies_in_flight())  # until it has met the fault
            return seen

        server.mode = mode
        seen = ask()
        server.mode = "good"
        return seen, ask()

    def ask(self, unit: str) -> Seen:
        gateway = self.live.project.config.gateway
        connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=10)
        body = json.dumps({"dataframe_records": [{"unit": unit}]})
        try:
            headers = {"content-type": "application/json", "x-unit-id": unit}
            connection.request("POST", "/models/fraud/invocations", body, headers)
            response = connection.getresponse()
            try:
                content, whole = response.read(), True
            except http.client.IncompleteRead as error:
                content, whole = error.partial, False
            stamps = [response.getheader(f"x-seatrial-{name}") or "" for name in ("id", "version", "level")]
            return Seen(stamps[0], response.status, *stamps[1:], content, whole)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    played = Matrix(tmp_path_factory.mktemp("matrix") / "live")
    try:
        played.start()
        yield played
    finally:
        played.live.close()


def test_every_way_to_misbehave_has_its_place_in_the_matrix() -> None:
    assert {*WELL, *FAULTS, *UNREAD, *TOO_LATE} == {*PLANTED}


@pytest.mark.parametrize("mode", PLANTED)
def test_a_faulty_shadow_is_seen_by_the_log_alone(matrix: Matrix, mode: str) -> None:
    cell = matrix.cell("shadow", mode)
    assert (cell.seen.status, cell.seen.version, cell.seen.level) == (200, "1", "primary")
    assert json.loads(cell.seen.body) == {"predictions": [0.25]}
    if FAULTS.get(mode) == 504:
        assert cell.live["latency_us"] < cell.row["latency_us"], "nobody waits for a shadow"
    kind = {**{m: f"http_{status}" for m, status in FAULTS.items()}, **UNREAD, **TOO_LATE}.get(mode)
    assert (cell.row["error_kind"], cell.row["error"]) == (kind, kind is not None and mode not in UNREAD)
    assert cell.row["score"] == (0.75 if mode in WELL else None)
    assert (cell.row_after["error"], cell.row_after["score"]) == (False, 0.75), "the control"


def answered_for(cell: Cell, mode: str, behind: str) -> None:
    """The user has an answer, and the evidence says whose it should have been."""
    version, level, score = ("2", "primary", 0.75) if mode in WELL else ("1", behind, 0.25)
    assert (cell.seen.status, cell.seen.version, cell.seen.level) == (200, version, level)
    assert json.loads(cell.seen.body) == {"predictions": [score]}
    failed = mode in FAULTS
    assert (cell.row["error"], cell.row["error_kind"]) == (failed, "fallback" if failed else None)
    assert (cell.row["served_version"], cell.row["attempts"]) == (version, 1 + failed), "each is asked once at most"
    assert (cell.after.level, cell.row_after["error"]) == ("primary", False), "the control"


@pytest.mark.parametrize("mode", [*WELL, *FAULTS])
def test_the_champion_answers_for_a_faulty_canary(matrix: Matrix, mode: str) -> None:
    answered_for(matrix.cell("canary", mode), mode, "champion")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [*WELL, *FAULTS])
def test_without_anybody_behind_the_user_is_told_in_json(matrix: Matrix, mode: str) -> None:
    cell = matrix.cell("champion", mode)
    assert (cell.seen.status, cell.seen.version) == (FAULTS.get(mode, 200), "1")
    assert set(json.loads(cell.seen.body)) & {"predictions", "error"}
    kind = f"http_{FAULTS[mode]}" if mode in FAULTS else None
    assert (cell.row["error"], cell.row["error_kind"], cell.row["arm"]) == (kind is not None, kind, "champion")
    assert (cell.after.status, cell.row_after["error"]) == (200, False), "the control"


@pytest.mark.parametrize("mode", [*UNREAD, *TOO_LATE])
@pytest.mark.parametrize("role", ["canary", pytest.param("champion", marks=pytest.mark.slow)])
def test_what_cannot_be_taken_back_reaches_the_user(matrix: Matrix, role: Role, mode: str) -> None:
    cell = matrix.cell(role, mode)
    assert (cell.seen.status, cell.seen.level) == (400 if mode == "400" else 200, "primary")
    assert cell.seen.whole == (mode not in CUT), "a stream that breaks off is not made to look complete"
    assert (cell.row["error_kind"], cell.row["error"]) == ({**UNREAD, **TOO_LATE}[mode], mode in TOO_LATE)
    assert (cell.after.status, cell.row_after["error"]) == (200, False), "the control"


@pytest.mark.parametrize("role", ["shadow", "canary"])
def test_the_log_has_what_envoy_counted(matrix: Matrix, role: Role) -> None:
    matrix.cell(role, "good")
    counted, captured = matrix.counts[role]
    assert captured == counted
    least = 2 * len(PLANTED)
    if role == "shadow":  # whoever missed a copy asked again
        assert least <= counted[1, role] <= counted[1, "champion"], "a request has one copy at most"
    else:
        assert counted[1, role] == least, "and each was asked once"


def test_events_reach_the_user_while_they_are_written(matrix: Matrix) -> None:
    gateway = matrix.live.project.config.gateway
    matrix.first.mode = "events"
    request = (
        b"POST /models/fraud/x HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    moments = []
    with socket.create_connection((gateway.host, gateway.port), timeout=10) as wire:
        wire.sendall(request)
        text = b""
        while b"0\r\n\r\n" not in text:
            text += wire.recv(65_536)
            moments += [time.perf_counter()] * (text.count(b"data:") - len(moments))
    matrix.first.mode = "good"
    assert len(moments) == 4
    assert all(later - sooner > 0.05 for sooner, later in itertools.pairwise(moments)), "each when it was sent"


def test_a_server_that_refuses_connections_is_replaced_and_comes_back(matrix: Matrix) -> None:
    rollout = matrix.live.begin(2, CANARY)
    matrix.second.die()
    refused = matrix.ask(ON_CANARY[0])
    matrix.second.start()
    back = matrix.ask(ON_CANARY[0])
    matrix.live.operations.by_hand(rollout, "abort", reason="next", actor="ann")
    assert [(seen.status, seen.version, seen.level) for seen in (refused, back)] == [
        (200, "1", "champion"),
        (200, "2", "primary"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [*WELL, *FAULTS])
def test_the_version_before_answers_for_a_faulty_champion(matrix: Matrix, mode: str) -> None:
    answered_for(matrix.cell("previous", mode), mode, "previous")
