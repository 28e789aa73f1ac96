"""Champion and shadow rows of the same request that said which features they used, joined as they come in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.duck import DuckEngine
from seatrial.engines.statements import GRACE
from seatrial.evidence.inputs import InputCounter, InputTally, Pair
from seatrial.rollout.inputs import rule_of
from seatrial.rollout.plan import Plan

COLUMNS = ("features_hash", "features")
"""What is read of an event beside what every evidence needs, where two models may get the same request."""

_SCHEMA = pa.schema(
    [
        ("eid", pa.int64()),
        ("request_id", pa.string()),
        ("row", pa.int64()),
        ("arm", pa.string()),
        ("t", pa.int64()),
        ("hash", pa.string()),
        ("features", pa.string()),
    ]
)
_PRUNE_AT = 50_000

_NEAR = f"abs(c.t - s.t) <= {GRACE} AND greatest(c.t, s.t) > $after AND greatest(c.t, s.t) <= $until"

_PAIRS = f"""
SELECT c.hash = s.hash AS alike, c.features AS champion, s.features AS shadow
FROM told c JOIN told s ON c.request_id = s.request_id AND c."row" = s."row" AND {_NEAR}
WHERE c.arm = 'champion' AND s.arm = 'shadow' AND c.t > $after - {GRACE} AND s.t > $after - {GRACE}
"""

_ALONE = f"""
SELECT c.arm AS arm, count(*) AS n
FROM told c JOIN exposures s ON c.request_id = s.request_id AND c."row" = s."row" AND {_NEAR}
WHERE c.arm IN ('champion', 'shadow') AND s.arm = if(c.arm = 'champion', 'shadow', 'champion') AND s.answered
  AND c.t > $after - {GRACE} AND s.t > $after - {GRACE} AND s.eid NOT IN (SELECT eid FROM told)
GROUP BY c.arm
"""
"""Rows of which one model told what it used, and the other one answered and did not; ``s`` is the other one."""


class FeaturePairs:
    """Features as used of one rollout. Holds the rows of the last minute or two, and the tally of all pairs so far.

    Rows that answered nothing tell nothing and are no exception to anything.
    """

    def __init__(self, engine: DuckEngine, plan: Plan) -> None:
        self._engine = engine
        self.columns = COLUMNS if plan.mirrors else ()
        self._counter = InputCounter(rule_of(plan.inputs))
        self._engine.create("told", _SCHEMA)
        self._kept, self._prune_at = 0, _PRUNE_AT

    def add(self, part: pa.Table, eid: pa.Array, answered: pa.Array) -> None:
        """Rows of the log, as far as they are a champion's or a shadow's and say what was used."""
        if not self.columns or not set(self.columns) <= set(part.column_names):
            return
        compared = pc.is_in(part["arm"], pa.array(["champion", "shadow"]))
        wanted = pc.and_(pc.and_(compared, answered), pc.is_valid(part["features_hash"]))
        columns = [eid, part["request_id"], part["row"], part["arm"], pc.cast(part["time"], pa.int64())]
        table = pa.table([*columns, *(part[name] for name in COLUMNS)], names=_SCHEMA.names).filter(wanted)
        if len(table):
            self._engine.insert("told", table.cast(_SCHEMA))
            self._kept += len(table)

    def absorb(self, query: Callable[[str], pa.Table], until: int) -> None:
        """Compare the pairs that were completed in the window of the query, which ends with ``until``."""
        if not self._kept:
            return
        found = query(_PAIRS)
        for alike, champion, shadow in zip(*(found[name].to_pylist() for name in found.column_names), strict=True):
            record = json.loads(champion)
            self._counter.add(Pair(record, record if alike else json.loads(shadow), alike))
        for arm, n in zip(*(column.to_pylist() for column in query(_ALONE).columns), strict=True):
            self._counter.count(**{f"{arm}_told": n})
        self._prune(until)

    def tally(self) -> InputTally:
        """All pairs so far."""
        return self._counter.freeze()

    def _prune(self, until: int) -> None:
        """Drop what nothing that is still to come can be near to; not each time, so that it stays cheap."""
        if self._kept >= self._prune_at:
            self._engine.execute("DELETE FROM told WHERE t <= $before", {"before": until - GRACE})
            self._kept = self._engine.query("SELECT count(*) AS n FROM told", {})["n"][0].as_py()
            self._prune_at = max(2 * self._kept, _PRUNE_AT)
