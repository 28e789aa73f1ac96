"""The chain below a model's versions, level by level, with everything broken that can be broken: nobody sees an error
while any level is alive, and the evidence blames the assigned version alone.

No control loop runs while the matrix is played: the gateway and the hosts are all there is.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from livesystem import Live
from outage import Crowd, Rig
from rogue import Rogue
from seatrial.control.gateway import gateway_of
from seatrial.control.levels import fallbacks
from seatrial.control.way_home import emergency
from seatrial.registry.fallback import Fallback
from seatrial.registry.safety import Safety
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow]

CARD = """
name: fraud
features: {unit: string}
rules: [{name: known, when: not missing(unit), points: 0.125, reason: KNOWN}]
default: {answer: 0.25, reason: DEFAULT}
"""
PLAN = parse_plan("""
name: promote
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 50%}, {pause: {duration: 2d}}]
""")
FAULTS = ("refuses", "hang", "500", "NaN", "slow start")
VERSIONS = {"primary": "2", "previous": "1"}
SCORES = {"primary": 0.75, "previous": 0.5, "rules": 0.375}
CELLS = [*itertools.product(FAULTS, (False, True), (False, True))]


def chain(project: Any, root: Path, last: str) -> Safety:
    (root / "card.yaml").write_text(CARD)
    digest = fallbacks.put_rules(project, root / "card.yaml")
    return Safety(fallback=Fallback(rules=digest, reviewed_by="bob", last=last))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Seen:
    """An answer as a user got it."""

    id: str
    status: int
    version: str
    level: str
    reason: str | None
    body: Any


def ask(live: Live, unit: str = "u") -> Seen:
    gateway = live.project.config.gateway
    connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=30)
    try:
        body = json.dumps({"dataframe_records": [{"unit": unit}]})
        headers = {"content-type": "application/json", "x-unit-id": unit}
        connection.request("POST", f"/models/{live.model}/invocations", body, headers)
        got = connection.getresponse()
        told = {name: got.getheader(f"x-seatrial-{name}") for name in ("id", "version", "level", "reason")}
        return Seen(
            told["id"] or "", got.status, told["version"] or "", told["level"] or "", told["reason"], json.load(got)
        )
    finally:
        connection.close()


class Matrix:
    """Version 2 is the champion, 1 the one before; below them rules, and people at the end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.live = Live(root / "live", clock="wall", request="12s", attempt="2s")
        self.first, self.second = Rogue("first", SCORES["previous"]), Rogue("second", SCORES["primary"])

    def start(self) -> None:
        for server in (self.first, self.second):
            server.start()
            self.live.servers.append(server)  # type: ignore[arg-type]
        self.live.start()
        self.live.adopt(self.first)  # type: ignore[arg-type]
        rollout = self.live.begin(self.live.register(self.second), PLAN)  # type: ignore[arg-type]
        self.live.operations.by_hand(rollout, "promote", full=True, reason="demo", actor="ann")
        self.live.operations.secure(self.live.model, chain(self.live.project, self.root, "review"), actor="ann")

    def host(self, name: str) -> Any:
        return next(key for key in self.live.controller.hosts.pids() if str(key[1]).startswith(name))

    def plant(self, fault: str, server: Rogue, name: str) -> Callable[[], object]:
        """Break one version; what is returned makes it well again."""
        if fault == "refuses":
            server.die()
            return server.start
        if fault == "slow start":  # its host has just been started anew, and does not answer yet
            self.live.controller.hosts.end([self.host(name)])
            return self.revive
        server.mode = fault
        return lambda: setattr(server, "mode", "good")

    def revive(self) -> None:
        self.live.controller.hosts._deaths.clear()  # the pauses between restarts are not what is tested here
        self.live.wait_for(lambda: self.live.controller.hosts.revive() or not self.live.controller.hosts.dead())
        self.live.wait_for(lambda: not self.live.controller.hosts.starting() or self.live.controller.hosts.revive())
        self.live.controller.reroute()

    def play(self, fault: str, previous_too: bool, rules_too: bool) -> tuple[Seen, Seen]:
        """During the fault, and after it."""
        heal = [self.plant(fault, self.second, "2")]
        if previous_too:
            heal.append(self.plant("refuses", self.first, "1"))
        if rules_too:
            self.live.controller.hosts.end([self.host("rules")])
            heal.append(self.revive)
        try:
            during = ask(self.live)
        finally:
            for well in heal:
                well()
        after = self.live.wait_for(lambda: (seen := ask(self.live)).level == "primary" and seen)
        return during, after

    def rows(self, *ids: str) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]] | None:
            self.live.controller.tick()
            rows = {row["request_id"]: row for row in self.live.events().to_pylist()}
            return [rows[id] for id in ids] if {*ids} <= rows.keys() else None

        captured: list[dict[str, Any]] = self.live.wait_for(found)
        return captured


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    played = Matrix(tmp_path_factory.mktemp("levels"))
    try:
        played.start()
        yield played
    finally:
        played.live.close()


@pytest.mark.parametrize(("fault", "previous_too", "rules_too"), CELLS)
def test_a_level_that_is_alive_answers(matrix: Matrix, fault: str, previous_too: bool, rules_too: bool) -> None:
    level = ("review" if rules_too else "rules") if previous_too else "previous"
    seen, after = matrix.play(fault, previous_too, rules_too)
    assert (seen.status, seen.level) == (202 if level == "review" else 200, level)
    assert seen.reason == ("timeout" if fault == "hang" else seen.reason)
    assert seen.reason in ("timeout", "error")
    if level == "review":
        assert seen.body == {"decision": "pending", "review": seen.id, "level": "review", "model": "fraud"}
    else:
        assert seen.body == {"predictions": [SCORES[level]]}
    assert (after.status, after.level, after.reason, after.body) == (200, "primary", None, {"predictions": [0.75]})
    row, control = matrix.rows(seen.id, after.id)
    assert (row["arm"], row["error"], row["error_kind"], row["served_level"]) == ("champion", True, "fallback", level)
    assert (row["level_reason"], row["reasons"]) == (seen.reason, "KNOWN" if level == "rules" else None)
    assert (control["error"], control["served_level"], control["score"]) == (False, "primary", 0.75)


def test_everything_dead_is_an_error_and_is_said(matrix: Matrix) -> None:
    """The control of the whole matrix: it would see an error."""
    matrix.first.die()
    matrix.second.die()
    hosts = matrix.live.controller.hosts
    hosts.end([matrix.host("rules"), matrix.host("review")])
    seen = ask(matrix.live)
    matrix.first.start()
    matrix.second.start()
    matrix.revive()
    assert seen.status == 503
    matrix.live.wait_for(lambda: ask(matrix.live).level == "primary")


def test_fifty_kills_under_load_fail_nobody(matrix: Matrix) -> None:
    """And nobody who asks after a kill has returned is answered by what was killed."""
    live = matrix.live
    with Crowd(live, "kills", pause_s=0.0) as crowd:
        crowd.wait_for(20)
        for n in range(50):
            live.operations.kill(live.model, mode=("rules", "previous")[n % 2], reason="x", actor="ann")
            since = time.monotonic()
            crowd.wait_for(8)
            killed = [asked for asked in [*crowd.asked] if asked.began >= since]
            assert {asked.level for asked in killed} == {("rules", "previous")[n % 2]}
            live.operations.revive(live.model, reason="x", actor="bob")
            crowd.wait_for(8)
    assert crowd.failed() == []
    assert {asked.level for asked in crowd.asked} == {"primary", "rules", "previous"}, (
        "the control: all of them answered"
    )


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "live", clock="wall", request="12s", attempt="2s")
    yield rig
    rig.close()


def test_the_chain_needs_neither_controller_nor_store(rig: Rig, tmp_path: Path) -> None:
    rig.up()
    server = rig.server("champion")
    rig.adopt(server)
    wanted = chain(rig.project, tmp_path, "banner")
    rig.client.call("PUT", f"/v1/models/{rig.model}/safety", wanted.document())
    rig.wait_for(lambda: len(gateway_of(rig.project).table().model(rig.model).fallbacks) == 2)
    with Crowd(rig, "outage") as crowd:
        crowd.wait_for(20)
        rig.strike("control")
        Path(rig.project.store_url).rename(tmp_path / "store.away")
        crowd.wait_for(20)
        server.die()
        rig.wait_for(lambda: ask(rig).level == "rules")
        rules = next(name for name in rig.processes() if "rules" in name)
        rig.strike(rules)
        rig.wait_for(lambda: ask(rig).level == "banner")
        crowd.wait_for(20)
    assert crowd.failed() == [], "0 errors of users, whatever was broken"
    assert {asked.level for asked in crowd.asked} >= {"primary", "rules", "banner"}

    switched = emergency.kill(rig.project, rig.model, "rules", reason="wrong", actor="ann")
    assert switched.split == {gateway_of(rig.project).table().model(rig.model).champion.version: 1.0}
    assert ask(rig).level == "banner", "the level it leads to is dead, and the next one answers"
    os.kill(rig.processes()["envoy"], signal.SIGKILL)
    (tmp_path / "store.away").rename(rig.project.store_url)
    server.start()
    rig.up()
    seen = rig.wait_for(lambda: (found := ask(rig)).level == "rules" and found)
    assert (seen.status, seen.reason) == (200, "killed"), "it survived the end of everything"
    rig.client.call("POST", f"/v1/models/{rig.model}/revive", {"reason": "fixed"})
    assert ask(rig).level == "primary", "the control"
