"""Champion and shadow rows of the same request that said which features they used, joined as they come in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.duck import DuckEngine, schema_of
from seatrial.engines.statements import GRACE
from seatrial.evidence.inputs import InputCounter, Pair

COLUMNS = ("features_hash", "features")
"""What is read of an event beside what every evidence needs, where two models may get the same request."""

_SCHEMA = {
    "rollout": "int64",
    "eid": "int64",
    "request_id": "string",
    "row": "int64",
    "arm": "string",
    "t": "int64",
    "hash": "string",
    "features": "string",
}
_PRUNE_AT = 50_000

_NEAR = f"abs(c.t - s.t) <= {GRACE} AND greatest(c.t, s.t) > w.after AND greatest(c.t, s.t) <= w.until"
_SAME = 'c.rollout = s.rollout AND c.request_id = s.request_id AND c."row" = s."row"'

_PAIRS = f"""
SELECT c.rollout, c.hash = s.hash AS alike, c.features AS champion, s.features AS shadow
FROM told c JOIN windows w ON c.rollout = w.rollout JOIN told s ON {_SAME} AND {_NEAR}
WHERE c.arm = 'champion' AND s.arm = 'shadow' AND c.t > $after - {GRACE} AND s.t > $after - {GRACE}
"""

_ALONE = f"""
SELECT c.rollout, c.arm AS arm, count(*) AS n
FROM told c JOIN windows w ON c.rollout = w.rollout JOIN exposures s ON {_SAME} AND {_NEAR}
WHERE c.arm IN ('champion', 'shadow') AND s.arm = if(c.arm = 'champion', 'shadow', 'champion') AND s.answered
  AND c.t > $after - {GRACE} AND s.t > $after - {GRACE} AND s.eid NOT IN (SELECT eid FROM told)
GROUP BY c.rollout, c.arm
"""
"""Rows of which one model told what it used, and the other one answered and did not; ``s`` is the other one."""

_OVER = f"DELETE FROM told USING windows w WHERE told.rollout = w.rollout AND t <= w.until - {GRACE}"
"""Nothing that is still to come can be near to these."""


class FeaturePairs:
    """Features as used of rollouts that mirror. Holds the rows of the last minute or two.

    Rows that answered nothing tell nothing and are no exception to anything.
    """

    def __init__(self, engine: DuckEngine, *, mirrors: bool) -> None:
        self._engine = engine
        self.columns = COLUMNS if mirrors else ()
        self._engine.create("told", schema_of(_SCHEMA))
        self._kept, self._prune_at = 0, _PRUNE_AT

    def add(self, rows: pa.Table, eid: pa.Array, answered: pa.Array) -> None:
        """Rows of the log (``EventRows.ours``), as far as they are a champion's or a shadow's and say what was used."""
        compared = pc.is_in(rows["arm"], pa.array(["champion", "shadow"]))
        wanted = pc.and_(pc.and_(compared, answered), pc.is_valid(rows["features_hash"]))
        columns = [rows["number"], eid, rows["request_id"], rows["row"], rows["arm"], pc.cast(rows["time"], pa.int64())]
        table = pa.table([*columns, *(rows[name] for name in COLUMNS)], names=list(_SCHEMA)).filter(wanted)
        if len(table):
            self._engine.insert("told", table)
            self._kept += len(table)

    def absorb(self, query: Callable[[str], pa.Table], counters: Mapping[int, InputCounter]) -> None:
        """Compare the pairs that were completed in the windows, and count them for their rollouts."""
        if not self._kept:
            return
        for number, alike, champion, shadow in _rows(query(_PAIRS)):
            record = json.loads(champion)
            counters[number].add(Pair(record, record if alike else json.loads(shadow), alike))
        for number, arm, n in _rows(query(_ALONE)):
            counters[number].count(**{f"{arm}_told": n})
        self._prune()

    def _prune(self) -> None:
        """Not each time, so that it stays cheap."""
        if self._kept >= self._prune_at:
            self._engine.execute(_OVER, {})
            self._kept = self._engine.query("SELECT count(*) AS n FROM told", {})["n"][0].as_py()
            self._prune_at = max(2 * self._kept, _PRUNE_AT)


def _rows(found: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in found.columns), strict=True)
