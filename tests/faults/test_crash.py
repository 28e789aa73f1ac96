"""Every part killed or stopped, alone and together, before the eyes of users; beside it a cell where nothing is done.

A fault is planted from outside, in real processes, while real requests run. Wherever something healthy is left no user
sees an error; what was answered is in the log, once; and what is not hurt goes on as the process it was.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from outage import Crowd, Rig
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(300)]

PLAN = parse_plan("""
name: faults
timeBucket: 1h
lookEvery: 10s
deadline: 10d
metrics:
  - {name: loss, kind: loss, loss: absolute, outcome: y, horizon: 5d, margin: 20%}
steps:
  - setWeight: 50%
  - pause: {duration: 5d}
""")
FLUSH_S = 1.0
"""Envoy writes its log every 0.2 s; on a busy machine a little later."""

ALL_HOSTS = ("fraud-1", "fraud-2", "fraud-3")
EVERYTHING = ("control", "envoy", *ALL_HOSTS)


@dataclass(frozen=True)
class Cell:
    """What is done to whom. ``users_see``: errors are allowed until it is over, as nothing healthy is left.

    ``pause_s``: it goes on after so long, and nobody is replaced.
    """

    name: str
    victims: tuple[str, ...] = ()
    number: int = signal.SIGKILL
    users_see: bool = False
    pause_s: float = 0.0

    @property
    def kept(self) -> set[str]:
        """Who must still be the same process afterwards."""
        return set(EVERYTHING) - (set() if self.pause_s else set(self.victims))


CELLS = [
    Cell("nothing"),
    Cell("control plane killed", ("control",)),
    Cell("control plane stopped for a while", ("control",), signal.SIGSTOP, pause_s=3),
    Cell("champion's host killed", ("fraud-2",)),
    Cell("canary's host killed", ("fraud-3",)),
    Cell("standby's host killed", ("fraud-1",)),
    Cell("champion's host paused", ("fraud-2",), signal.SIGSTOP, pause_s=2),
    Cell("champion's host hangs", ("fraud-2",), signal.SIGSTOP),
    Cell("canary's host hangs", ("fraud-3",), signal.SIGSTOP),
    Cell("control plane and canary's host killed", ("control", "fraud-3")),
    Cell("all hosts killed", ALL_HOSTS, users_see=True),
    Cell("gateway paused", ("envoy",), signal.SIGSTOP, users_see=True, pause_s=2),
    Cell("gateway killed", ("envoy",), users_see=True),
    Cell("gateway hangs", ("envoy",), signal.SIGSTOP, users_see=True),
    Cell("control plane and gateway killed", ("control", "envoy"), users_see=True),
    Cell("everything killed", EVERYTHING, users_see=True),
    Cell("nothing, at the end"),
]


@dataclass
class System:
    rig: Rig
    rollout: str


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """v2 serves, v1 stands by, v3 is the canary of half of the users."""
    rig = Rig(tmp_path_factory.mktemp("faults") / "live", clock="wall", attempt="500ms")
    try:
        rig.up()
        rig.adopt(rig.server("first"))
        promoted = rig.begin(rig.register(rig.server("second")), PLAN)
        rig.by_hand(promoted, "promote", full=True, reason="agreed")
        yield System(rig, rig.begin(rig.register(rig.server("third")), PLAN))
    finally:
        rig.close()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_users_and_log(system: System, cell: Cell) -> None:
    rig = system.rig
    before = rig.processes()
    assert set(before) == set(EVERYTHING)
    with Crowd(rig, cell.name, timeout_s=3 if cell.users_see else 10) as crowd:
        crowd.wait_for(40)
        time.sleep(random.Random(cell.name).uniform(0, 0.6))
        planted = time.monotonic()
        rig.strike(*cell.victims, number=cell.number)
        if cell.pause_s:
            time.sleep(cell.pause_s)
            rig.strike(*cell.victims, number=signal.SIGCONT)
        if "control" in cell.victims and not cell.pause_s:
            rig.up(wait=False)
        rig.wait_for(lambda: rig.processes().keys() == before.keys() and changed(rig, before) >= lost(cell), 60)
        rig.wait_for(rig.ready, 60)
        over = time.monotonic()
        crowd.wait_for(100)
    assert crowd.failed(since=over) == []
    if not cell.users_see:
        assert crowd.failed() == []
    assert {name for name, pid in rig.processes().items() if pid == before[name]} == cell.kept

    answered = {asked.id for asked in crowd.answered()}
    at_risk = {a.id for a in crowd.answered() if "envoy" in lost(cell) and planted - FLUSH_S < a.ended < over}
    rig.wait_for(lambda: not answered - at_risk - set(ids(rig)))
    counts = Counter(ids(rig))
    assert max(counts.values()) == 1, "nothing is counted twice"
    assert at_risk or answered <= counts.keys(), "nothing that was answered is lost"
    assert rig.weight() == 5000, "no fault of a process moves users"
    assert cell.name != "nothing" or {asked.version for asked in crowd.answered()} == {"2", "3"}


def lost(cell: Cell) -> set[str]:
    """Who must be replaced."""
    return set() if cell.pause_s else set(cell.victims)


def changed(rig: Rig, before: dict[str, int]) -> set[str]:
    return {name for name, pid in rig.processes().items() if pid != before[name]}


def ids(rig: Rig) -> list[str]:
    """Requests in the log, shadows apart."""
    rows = rig.events().to_pylist()
    return [row["request_id"] for row in rows if row["row"] == 0 and row["arm"] != "shadow"]
