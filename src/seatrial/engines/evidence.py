"""Evidence of rollouts, grown look by look from the Parquet parts, the same whenever it is computed.

An event counts at its ``time``. An exposure of a metric with horizon *h* matures at the first tick at or after its
time plus *h*, and takes the outcomes received by that tick which became true within the horizon. Ticks lie at
``started`` plus whole multiples of the plan's ``look_every``. So evidence at a time is a function of the parts alone:
whether one asked once or at every tick, before or after a restart, alone or together with other rollouts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from seatrial.engines.duck import DuckEngine
from seatrial.engines.pool import Pool
from seatrial.engines.shape import Shape, shape_of
from seatrial.engines.watched import Watched
from seatrial.errors import SeatrialError
from seatrial.events.schema import to_micros
from seatrial.evidence.snapshot import Captured, Evidence
from seatrial.ids import Arm
from seatrial.rollout.plan import Plan

log = logging.getLogger("seatrial.engines")

THREADS, MEMORY = 2, "50%"
"""What sums of a fleet may take of the machine, which the gateway and the hosts have, too."""


class EvidenceBuilder:
    """Absorbs the log of one rollout up to a time, and hands out what a look sees.

    ``events_dir`` and ``outcomes_dir`` hold one directory of parts per model. ``engine``: where sums are made (DuckDB
    in memory unless given). Not for use by several threads at once.
    """

    def __init__(
        self,
        events_dir: Path,
        outcomes_dir: Path,
        plan: Plan,
        rollout: str,
        model: str,
        started: datetime,
        *,
        engine: DuckEngine | None = None,
    ) -> None:
        self._watched = Watched(events_dir, outcomes_dir, plan, rollout, model, started)
        self._pool = Pool(shape_of(plan), engine)

    @property
    def at(self) -> datetime | None:
        """Up to which time everything is absorbed; None before the first ``advance``."""
        return self._watched.at

    def advance(self, to: datetime) -> None:
        """Absorb the events with time up to ``to``, and the exposures that matured by then.

        What is not later than the last ``advance`` is settled and changes nothing; before ``started`` there is nothing.
        """
        for error in self._pool.advance({self._watched: to_micros(to)}).values():
            raise error

    def snapshot(
        self,
        *,
        live: Collection[int],
        mirrored: Collection[int],
        capture: Mapping[tuple[int, Arm], Captured] | None = None,
    ) -> Evidence:
        """What a look sees now. ``live``, ``mirrored``: phases in which units' rare events count (``UnitCounts``)."""
        return self._watched.snapshot(live, mirrored, capture)

    def close(self) -> None:
        """Free the engine."""
        self._pool.close()


class FleetEvidence:
    """Evidence of many rollouts, each known by its name. Those whose plans have one shape share tables and statements.

    Where a statement fails, each rollout it was about is summed up alone from then on: one whose log cannot be summed
    up does not keep others from their looks. Not for use by several threads at once.
    """

    def __init__(self, events_dir: Path, outcomes_dir: Path) -> None:
        self._directories = events_dir, outcomes_dir
        self._watched: dict[str, Watched] = {}
        self._pools: dict[tuple[Shape, str], Pool] = {}
        self._alone: set[str] = set()

    def __contains__(self, rollout: str) -> bool:
        return rollout in self._watched

    def watch(self, plan: Plan, rollout: str, model: str, started: datetime) -> None:
        """Begin with a rollout; nothing is read yet."""
        self._watched[rollout] = Watched(*self._directories, plan, rollout, model, started)

    def advance(self, to: Mapping[str, datetime], between: Callable[[], None] = lambda: None) -> dict[str, Exception]:
        """Absorb the log of each rollout up to its time; the error of each for which that failed.

        ``between`` is called every few seconds; what it raises is raised.
        """
        together: dict[tuple[Shape, str], dict[Watched, int]] = {}
        for rollout, time in to.items():
            together.setdefault(self._place(rollout), {})[self._watched[rollout]] = to_micros(time)
        failed: dict[str, Exception] = {}
        for place, ends in together.items():
            failed |= self._advance(place, ends, between)
        return failed

    def snapshot(
        self,
        rollout: str,
        *,
        live: Collection[int],
        mirrored: Collection[int],
        capture: Mapping[tuple[int, Arm], Captured] | None = None,
    ) -> Evidence:
        """What a look at one rollout sees now (see ``EvidenceBuilder.snapshot``)."""
        return self._watched[rollout].snapshot(live, mirrored, capture)

    def forget(self, rollout: str) -> None:
        """Free what is held of a rollout."""
        place, watched = self._place(rollout), self._watched.pop(rollout)
        self._alone.discard(rollout)
        if place in self._pools:
            self._pools[place].forget(watched)
        if not any(self._place(other) == place for other in self._watched) and place in self._pools:
            self._pools.pop(place).close()

    def close(self) -> None:
        """Free everything; who goes on begins anew."""
        for rollout in [*self._watched]:
            self.forget(rollout)

    def _place(self, rollout: str) -> tuple[Shape, str]:
        """What a rollout is summed up with: all of its shape, or nothing."""
        return shape_of(self._watched[rollout].plan), rollout if rollout in self._alone else ""

    def _advance(
        self, place: tuple[Shape, str], ends: Mapping[Watched, int], between: Callable[[], None]
    ) -> dict[str, Exception]:
        pool = self._pools.get(place)
        if pool is None:
            pool = self._pools[place] = Pool(place[0], DuckEngine(threads=THREADS, memory_limit=MEMORY))
        try:
            return {watched.rollout: error for watched, error in pool.advance(ends, between).items()}
        except SeatrialError:
            raise  # of whoever waits: statements and parts do not know these
        except Exception as error:
            for watched in ends:
                pool.forget(watched)
            if len(ends) == 1:
                return {watched.rollout: error for watched in ends}
            log.exception("%d rollouts could not be summed up together; each is summed up alone", len(ends))
            failed: dict[str, Exception] = {}
            for watched, end in ends.items():
                self._alone.add(watched.rollout)
                failed |= self._advance(self._place(watched.rollout), {watched: end}, between)
            return failed
