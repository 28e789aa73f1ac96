"""A Parquet event log of flights: the tables that capture and outcome ingestion write, a part for each look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seatrial.demo.year.world import Floats, Ints, World
from seatrial.events.parts import fit, model_directory, write_part
from seatrial.events.schema import MOMENT, OUTCOME_SCHEMA, event_schema
from seatrial.evidence.tally import MICRO
from seatrial.gateway.assignment import POINTS
from seatrial.ids import CANARY, CHAMPION, SHADOW

OUTCOME = "delayed"
_FILE = "1.1"


@dataclass(frozen=True)
class Answers:
    """Who answers: two versions with what they say of every flight of the year."""

    champion: int
    candidate: int
    champion_scores: Floats
    candidate_scores: Floats


@dataclass(frozen=True)
class Split:
    """One phase of a rollout. ``points``: of each aircraft; ``weight`` and ``mirrored`` out of 10,000."""

    rollout: str
    phase: int
    weight: int
    mirrored: int
    points: Ints


class Log:
    """Events and outcomes of one model, in directories of their own below ``root``."""

    def __init__(self, root: Path, model: str, world: World) -> None:
        self.events, self.outcomes = root / "events", root / "outcomes"
        self._model, self._world = model, world

    def write(self, after: int, until: int, split: Split, answers: Answers) -> int:
        """The flights of ``(after, until]`` as the split served them, and what became known then.

        Times in microseconds since 1970. Returns how many answers the shadow gave.
        """
        part = self._world.between(after, until)
        tables = [self._served(part, split, answers)]
        copies = self._copied(part, split)
        if copies.any():
            tables.append(self._rows(part, copies, split, SHADOW, answers.candidate, answers.candidate_scores))
        table = fit(pa.concat_tables(tables), event_schema())
        if len(table):
            self._keep(self.events, after, until, table)
        self._write_outcomes(after, until)
        return int(copies.sum())

    def _served(self, part: slice, split: Split, answers: Answers) -> pa.Table:
        on = self._point(part, split) < split.weight
        champion = self._rows(part, ~on, split, CHAMPION, answers.champion, answers.champion_scores)
        canary = self._rows(part, on, split, CANARY, answers.candidate, answers.candidate_scores)
        return pa.concat_tables([champion, canary])

    def _copied(self, part: slice, split: Split) -> NDArray[np.bool_]:
        """Whose request goes to the shadow as well: the champion's aircraft next to those of the canary."""
        point = self._point(part, split)
        return np.asarray((point >= split.weight) & (point < min(split.weight + split.mirrored, POINTS)))

    def _point(self, part: slice, split: Split) -> Ints:
        """A flight without tail number lies beyond all points: on the champion, and in no arm."""
        units = self._world.units[part]
        return np.where(units >= 0, split.points[units], POINTS)

    def _rows(
        self, part: slice, which: NDArray[np.bool_], split: Split, arm: str, version: int, scores: Floats
    ) -> pa.Table:
        world, n = self._world, int(which.sum())
        units, times = world.units[part][which], pa.array(world.times[part][which]).cast(MOMENT)
        named = units >= 0
        ids = pa.array(world.rows.flight_id.iloc[part][which].to_list(), pa.string())
        columns = {
            "request_id": ids,
            "row": pa.array(np.zeros(n, dtype=np.int32)),
            "outcome_key": ids,
            "model": _same(self._model, n),
            "rollout": _same(split.rollout, n),
            "phase": pa.array(np.full(n, split.phase, dtype=np.int32)),
            "arm": pa.array(np.where(named, arm, "none").tolist(), pa.string()),
            "served_version": _same(str(version), n),
            "unit": pa.array(world.hashes[units], pa.string(), mask=~named),
            "bucket": pa.array(world.buckets[units].astype(np.int16), mask=~named),
            "time": times,
            "event_time": times,
            "captured_at": times,
            "status": pa.array(np.full(n, 200, dtype=np.int16)),
            "error": pa.array(np.zeros(n, dtype=bool)),
            "score": pa.array(scores[part][which]),
            "observable": pa.array(np.ones(n, dtype=bool)),
        }
        return pa.table(columns)

    def _write_outcomes(self, after: int, until: int) -> None:
        world = self._world
        which = np.flatnonzero((world.known > after) & (world.known <= until))
        if not len(which):
            return
        known = pa.array(world.known[which]).cast(MOMENT)
        columns = {
            "key": pa.array(world.rows.flight_id.iloc[which].to_list(), pa.string()),
            "name": _same(OUTCOME, len(which)),
            "value": pa.array(world.late[which]),
            "time": known,
            "revision": pa.array(np.zeros(len(which), dtype=np.int64)),
            "received_at": known,
            "model": _same(self._model, len(which)),
        }
        self._keep(self.outcomes, after, until, fit(pa.table(columns), OUTCOME_SCHEMA))

    def _keep(self, root: Path, after: int, until: int, table: pa.Table) -> None:
        """As a part that is named by its seconds, where those of a gateway are named by their bytes."""
        write_part(model_directory(root, self._model), "flights", _FILE, after // MICRO, until // MICRO, table)


def _same(value: str, n: int) -> pa.Array:
    return pa.array([value] * n, pa.string())
