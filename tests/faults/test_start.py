"""Starting on what a bad day left behind: damaged files, latches, ports that are taken, hosts that hang, no store.

Each fault beside a start on the same system without it: what users get is compared before and after.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from livesystem import Live
from outage import Crowd
from seatrial.control import traffic
from seatrial.control.capture import collector as collecting
from seatrial.control.probes import Probes
from seatrial.control.resume import resume
from seatrial.errors import IntegrityError, Unavailable
from seatrial.gateway.kill import KillLatch, write_latch
from seatrial.registry.version import Serving
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

CANARY = parse_plan("""
name: canary
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 25%}, {pause: {duration: 5d}}]
""")
FILES = ("run/table.json", "run/confirmed.json", "cds/cds.json", "lds/lds.json", "rds/rds.json")
DAMAGE: dict[str, Callable[[Path, bytes], Any]] = {
    "nothing": lambda path, old: None,
    "cut short": lambda path, old: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path, old: path.write_bytes(b"\x00\xff{]" * 100),
    "empty": lambda path, old: path.write_bytes(b""),
    "gone": lambda path, old: path.unlink(),
    "old": lambda path, old: path.write_bytes(old),
}


def versions(live: Live, hour: int = 0, n: int = 40) -> set[str]:
    """Who answers; every answer must be a good one."""
    sent = live.send(live.people(hour, n))
    assert [s.answer for s in sent if not s.answer.ok] == []
    return {s.answer.version for s in sent}


def released(live: Live) -> str:
    """v1 serves, v2 is the canary of a quarter of the users."""
    live.adopt(live.server("champion"))
    return live.begin(live.register(live.server("candidate")), CANARY)


# ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def damage(live: Live, kind: str, names: tuple[str, ...], old: dict[str, bytes]) -> None:
    for name in names:
        DAMAGE[kind](live.project.gateway / name, old[name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_route_files_answer_404_to_nobody(make: Any, kind: str) -> None:
    live = make()
    live.adopt(live.server("champion"))
    old = {name: (live.project.gateway / name).read_bytes() for name in FILES}
    live.begin(live.register(live.server("candidate")), CANARY)
    assert versions(live) == {"1", "2"}

    def started_again(start: Callable[[], Any]) -> None:
        start()
        assert versions(live) == {"1", "2"}
        assert live.weight() == 2500

    for names in [*((name,) for name in FILES), FILES[2:], FILES]:
        live.controller.envoy.stop()
        damage(live, kind, names, old)
        started_again(live.start)
        if names in (FILES[:1], FILES[1:2], FILES[2:]):  # without the store one of the two tables must be left
            live.controller.envoy.stop()
            damage(live, kind, names, old)
            started_again(lambda: resume(live.project))
    damage(live, kind, FILES, old)
    before = live.pids()
    started_again(live.start)
    assert live.pids() == before, "an Envoy that runs does not mind its files; they are written again"
    assert live.controller.envoy.table().generation > 0


def test_one_damaged_table_answers_404_to_nobody(make: Any) -> None:
    live = make()
    released(live)
    live.controller.envoy.stop()
    table = live.project.gateway / "run" / "table.json"
    table.write_text(table.read_text()[:100])
    assert "Traffic flows by the last routes" in resume(live.project)
    assert versions(live) == {"1", "2"}


# ── latches ────────────────────────────────────────────────────────────────────────────────────────────────────────


def latch(mode: Any = "off") -> KillLatch:
    return KillLatch("fraud", mode, "bob", "smoke", datetime(2026, 3, 1, tzinfo=UTC))


def damaged_latch(live: Live) -> None:
    write_latch(live.project.kill_latches, latch())
    (live.project.kill_latches / "fraud.json").write_text("{")


@pytest.mark.parametrize(
    "how", ["killed", *(pytest.param(how, marks=pytest.mark.slow) for how in ("damaged", "store gone"))]
)
def test_nobody_is_served_by_a_model_that_was_killed_meanwhile(make: Any, how: str) -> None:
    live = make()
    rollout = released(live)
    live.controller.envoy.stop()
    with Crowd(live, "control", timeout_s=2) as crowd:
        live.start()
        crowd.wait_for(10)
    live.controller.envoy.stop()
    if how == "damaged":
        damaged_latch(live)
    else:
        write_latch(live.project.kill_latches, latch())
    with Crowd(live, "killed", timeout_s=2) as crowd:
        if how == "store gone":
            assert "Traffic flows by the last routes" in resume(live.project)
        else:
            live.start()
        live.wait_for(lambda: any(asked.status == 503 for asked in crowd.asked))
    assert {asked.status for asked in crowd.asked} <= {0, 503}, "not one request slips through"
    assert {asked.level for asked in crowd.asked if asked.status} == {"off"}
    live.start()
    assert live.status(rollout) == "aborted"
    assert live.operations.revive("fraud", reason="over", actor="ann").split == {"v1": 1.0}
    assert versions(live, 1) == {"1"}


def test_latches_that_cannot_be_read_change_nothing(make: Any) -> None:
    live = make()
    released(live)
    latches = live.project.kill_latches
    latches.rmdir()
    latches.write_text("")
    with pytest.raises(IntegrityError, match=r"ST0734 the kill latches in .* cannot be read: Not a directory"):
        live.start()
    assert versions(live) == {"1", "2"}, "what runs goes on"
    live.controller.envoy.stop()
    with pytest.raises(IntegrityError, match="ST0734"):
        live.start()
    assert live.controller.envoy.pid is None, "who is killed is not known, so nobody is served"
    latches.unlink()
    latches.mkdir()
    live.start()
    assert versions(live, 1) == {"1", "2"}


# ── processes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_dies_while_the_store_is_away_is_started_again(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make(clock="wall")
    rollout = released(live)
    live.run()
    before = live.pids()

    def away(self: Store, *, write: bool) -> Any:
        raise Unavailable("ST0611", "the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_transaction", away)
        live.wait_for(lambda: "the store does not answer" in live.controller.missing())
        for name in before:
            os.kill(before[name], signal.SIGKILL)
        live.wait_for(lambda: all(pid and pid != before[name] for name, pid in live.pids().items()))
        live.wait_for(lambda: live.controller.envoy.healthy() and not live.controller.hosts.starting())
        assert versions(live) == {"1", "2"}, "the split is as it was"
    live.wait_for(lambda: live.controller.missing() == "")
    live.wait_for(lambda: sum(live.captured(rollout).values()) == 40)
    live.wait_for(lambda: sum(c.counted or 0 for c in live.controller.collector.captured(rollout).values()) == 40)


@pytest.mark.slow
def test_what_is_healthy_is_adopted_and_the_rest_is_replaced(make: Any) -> None:
    live = make()
    released(live)
    before = live.pids()
    live.start()
    assert live.pids() == before
    os.kill(before["fraud-2"], signal.SIGSTOP)
    live.start()
    after = live.pids()
    assert after["fraud-2"] != before["fraud-2"]
    assert {**after, "fraud-2": 0} == {**before, "fraud-2": 0}
    assert versions(live) == {"1", "2"}


@pytest.fixture
def stopped() -> Iterator[Callable[[int], None]]:
    """Stops a process, and lets it go on in the end, if it is still there."""
    pids: list[int] = []

    def stop(pid: int) -> None:
        pids.append(pid)
        os.kill(pid, signal.SIGSTOP)

    yield stop
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["envoy", "fraud-2"])
def test_one_that_hangs_is_replaced_and_one_that_paused_is_not(
    make: Any, stopped: Callable[[int], None], victim: str
) -> None:
    live = make(clock="wall", attempt="500ms")
    released(live)
    live.controller.probes = Probes(live.controller._probed, every_s=0.2, patience=2)
    live.run()
    before = live.pids()
    asked = {"envoy": "gateway", "fraud-2": ("fraud", 2)}[victim]
    live.wait_for(lambda: known(live, asked))
    with Crowd(live, "paused", timeout_s=20) as crowd:
        stopped(before[victim])
        live.wait_for(lambda: live.controller.probes.doubts(asked, before[victim]))
        os.kill(before[victim], signal.SIGCONT)
        live.wait_for(lambda: not live.controller.probes.doubts(asked, before[victim]))
    assert live.pids() == before
    # What a paused Envoy had begun may be over time when it goes on; nobody else notices, and nobody a paused host.
    assert victim == "envoy" or crowd.failed() == []

    with Crowd(live, "hangs", timeout_s=3) as crowd:
        stopped(before[victim])
        live.wait_for(lambda: live.pids()[victim] not in (None, before[victim]))
        live.wait_for(lambda: live.controller.missing() == "")
        mark = len(crowd.answered())
        crowd.wait_for(20)
        assert len(crowd.answered()) > mark
    assert victim == "envoy" or crowd.failed() == [], "the champion answers for a canary that hangs"
    assert {**live.pids(), victim: 0} == {**before, victim: 0}


def known(live: Live, name: Any) -> bool:
    return name in live.controller.probes._streaks


def listening(host: str, port: int) -> socket.socket | None:
    """Another program on this port, as soon as the last connection of the one before is gone."""
    try:
        return socket.create_server((host, port))
    except OSError:
        return None


def test_a_host_whose_port_was_taken_gets_another_one(make: Any) -> None:
    live = make()
    released(live)
    before, route = live.pids(), live.controller.envoy.table().model("fraud")
    os.kill(before["fraud-1"], signal.SIGKILL)
    live.wait_for(lambda: live.controller.missing() == "the host of fraud v1 is not running")
    with live.wait_for(lambda: listening(route.champion.endpoint.host, route.champion.endpoint.port)):
        live.controller.tick()
        live.wait_for(lambda: not live.controller.tick() and live.controller.missing() == "")
        assert live.controller.envoy.table().model("fraud").champion.endpoint.port != route.champion.endpoint.port
        assert versions(live) == {"1", "2"}


# ── artifacts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def artifact(live: Live, name: str) -> int:
    """A small real model as a version; its number."""
    people = pd.DataFrame({"unit": live.people(0, 40)})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    file = live.project.root / f"{name}.skops"
    skops.io.dump(model.fit(people, [n % 2 for n in range(40)]), file)
    digest = live.controller.artifacts.put_file(file)
    serving = Serving(kind="artifact", artifact=digest, format="skops", features=("unit",))
    return live.register_as(serving, name)


def promoted(live: Live, number: int) -> None:
    rollout = live.begin(number, CANARY)
    live.operations.by_hand(rollout, "promote", full=True, reason="agreed", actor="ann")


@pytest.mark.slow
def test_a_champion_that_cannot_be_served_is_answered_for_or_says_503(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "LEFT_OUT_RETRY_S", 0.0)
    live = make()
    live.adopt(live.server("first"))
    promoted(live, artifact(live, "second"))
    promoted(live, artifact(live, "third"))
    live.start()
    assert versions(live, n=20) == {"3"}, "adopted"

    def broken(*numbers: int) -> dict[Path, bytes]:
        """Their artifacts are changed, and their hosts gone."""
        kept = {}
        with live.store.read() as tx:
            for number in numbers:
                path = live.controller.artifacts.path(tx.models.get_version("fraud", number).serving.artifact)
                kept[path] = path.read_bytes()
                path.chmod(0o600)
                path.write_bytes(b"not what was stored")
                os.kill(live.pids()[f"fraud-{number}"], signal.SIGKILL)
        live.start()
        return kept

    def mended(kept: dict[Path, bytes]) -> None:
        for path, data in kept.items():
            path.write_bytes(data)
        live.wait_for(lambda: not live.controller.tick() and live.controller.missing() == "")

    kept = broken(3)
    (sent,) = live.send(["someone"])
    assert (sent.answer.version, sent.answer.level, sent.answer.ok) == ("2", "previous", True)
    assert "fraud v3 cannot be served, v2 answers: ST0656" in live.controller.missing()
    assert live.operations.split("fraud") == {"v2": 1.0}
    mended(kept)
    assert versions(live, 1, 20) == {"3"}

    kept = broken(2, 3)
    (sent,) = live.send(["someone"])
    assert (sent.answer.status, sent.answer.level) == (503, "unavailable")
    assert "fraud v3 cannot be served, nobody answers: ST0656" in live.controller.missing()
    assert sent.answer.body["error"] == "no version of model fraud can be served now"
    assert live.operations.split("fraud") == {"unavailable": 1.0}
    mended(kept)
    assert versions(live, 2, 20) == {"3"}


# ── time under the lock ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rollback_does_not_wait_for_a_log_that_does_not_catch_up(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make()
    released(live)
    waiting = threading.Event()
    collector = live.controller.collector
    monkeypatch.setattr(collecting, "SETTLE_S", 2.0)

    def never(*given: Any) -> dict[Any, int]:
        waiting.set()
        return {("r", 1, "champion"): 1}

    monkeypatch.setattr(collector, "_missing", never)
    failed: list[BaseException] = []

    def advance() -> None:
        try:
            live.operations.advance(live.t0 + live.hour_long)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=advance)
    thread.start()
    assert waiting.wait(10)
    told = live.operations.rollback("fraud", reason="complaints", actor="ann")
    assert told.split == {"v1": 1.0}
    assert thread.is_alive(), "it still waits for the log, and the rollback did not"
    thread.join()
    assert "ST0826" in str(failed)
