"""Ranked lists of rollouts: how alike champion and shadow rank, and which lists and clicks NDCG is computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seatrial.engines.clicks import CLICKS, SERVED
from seatrial.engines.duck import DuckEngine
from seatrial.engines.expressions import EARLY, segment_column
from seatrial.engines.shape import Shape
from seatrial.engines.statements import GRACE
from seatrial.engines.sums import Segments, blocks, integers, segments_of
from seatrial.evidence.lists import PARTS, RankedList, list_agreement, sums_by_bucket
from seatrial.evidence.tally import UNIT_BUCKETS

Sums = NDArray[np.int64]

_PRUNE_AT = 50_000
_LIST, _NUMBERS = pa.list_(pa.string()), pa.list_(pa.float64())

_NEAR = f"abs(c.t - s.t) <= {GRACE} AND greatest(c.t, s.t) > w.after AND greatest(c.t, s.t) <= w.until"

_PAIRS = """
SELECT c.rollout, c.bucket, c.items AS ours, s.items AS theirs, c.scores AS our_scores, s.scores AS their_scores
{segments}
FROM {served} c JOIN windows w ON c.rollout = w.rollout
JOIN {served} s ON c.rollout = s.rollout AND c.request_id = s.request_id AND c."row" = s."row" AND {near}
WHERE c.arm = 'champion' AND s.arm = 'shadow' AND c.answered AND s.answered
  AND c.t > $after - {grace} AND s.t > $after - {grace}
"""


class RankedLists:
    """Holds lists for as long as a look can need them (``reach``, microseconds).

    Nothing is read for plans that judge no lists.
    """

    def __init__(self, engine: DuckEngine, shape: Shape, reach: int) -> None:
        self._engine, self._reach = engine, reach
        self.columns = ("items", "item_scores") if shape.lists else ()
        self._compares = shape.agreements
        self._clicked = sorted({m.outcome for m in shape.metrics if m.kind == "ndcg" and m.outcome})
        self._segments = [segment_column(name) for name in shape.segments]
        segments = [(name, pa.string()) for name in self._segments]
        self._schema = pa.schema([
            ("rollout", pa.int64()), ("eid", pa.int64()), ("request_id", pa.string()), ("row", pa.int64()),
            ("arm", pa.string()), ("t", pa.int64()), ("bucket", pa.int64()), ("answered", pa.bool_()),
            ("items", _LIST), ("scores", _NUMBERS), *segments,
        ])  # fmt: skip
        names = "".join(f', c."{name}"' for name in self._segments)
        self._pairs = _PAIRS.format(segments=names, served=SERVED, near=_NEAR, grace=GRACE)
        self._kept, self._prune_at = 0, _PRUNE_AT
        if self.columns:
            engine.create(SERVED, self._schema)
            engine.create(CLICKS, _CLICKS)

    @property
    def tables(self) -> dict[str, str]:
        """Tables with their column of rollouts."""
        return {SERVED: "rollout", CLICKS: "c_rollout"} if self.columns else {}

    def add(self, rows: pa.Table, exposures: pa.Table) -> list[int]:
        """Rows of the log that answered with a list; ``exposures`` are the same rows as the statements have them.

        Gives back the rollouts that had any.
        """
        if not self.columns:
            return []
        names = ["rollout", "eid", "request_id", "row", "arm", "t", "bucket", "answered"]
        columns = [*(exposures[name] for name in names), rows["items"], rows["item_scores"]]
        columns += [exposures[name] for name in self._segments]
        table = pa.table(columns, names=self._schema.names).filter(pc.is_valid(rows["items"]))
        if len(table):
            self._engine.insert(SERVED, table.cast(self._schema))
            self._kept += len(table)
        numbers: list[int] = pc.unique(table["rollout"]).to_pylist()
        return numbers

    def learn(self, outcomes: pa.Table) -> None:
        """Outcomes that name the item they are about."""
        if not self._clicked:
            return
        named = pc.and_(pc.is_in(outcomes["name"], pa.array(self._clicked)), pc.is_valid(outcomes["item"]))
        rows = outcomes.filter(named)
        if len(rows):
            moments = [pc.cast(rows[name], pa.int64()) for name in ("time", "received_at")]
            columns = [rows[name] for name in ("number", "key", "name", "item", "value", "revision")]
            self._engine.insert(CLICKS, pa.table([*columns, *moments], names=_CLICKS.names).cast(_CLICKS))

    def pairs(self, query: Callable[[str], pa.Table]) -> Iterator[tuple[int, pa.Table]]:
        """The pairs that were completed in the window of each rollout."""
        if self._kept and self._compares:
            found = query(self._pairs)
            for number, rows in blocks(integers(found, "rollout")):
                yield number, found.take(rows)

    def prune(self) -> None:
        """Drop what no later look can need; not each time, so that it stays cheap."""
        if self._kept < self._prune_at:
            return
        for table, over in (
            (SERVED, f"{SERVED}.rollout = w.rollout AND t <= w.until - {self._reach}"),
            (CLICKS, f"c_rollout = w.rollout AND c_received <= w.until - {self._reach + EARLY}"),
        ):
            self._engine.execute(f"DELETE FROM {table} USING windows w WHERE {over}", {})
        self._kept = self._engine.query(f"SELECT count(*) AS n FROM {SERVED}", {})["n"][0].as_py()
        self._prune_at = max(2 * self._kept, _PRUNE_AT)


class ListSums:
    """The sums of all pairs of one rollout so far, by segment: ``evidence.lists.PARTS`` by unit bucket."""

    def __init__(self, dimensions: Sequence[str]) -> None:
        self._dimensions = dimensions
        self._sums: dict[str, Sums] = {}
        self.seen = False
        """Whether any answer was a ranked list."""

    def add(self, found: pa.Table, segments: Segments) -> None:
        """More pairs (``RankedLists.pairs``)."""
        rows = zip(*(found[name].to_pylist() for name in _SIDES), strict=True)
        parts = [list_agreement(RankedList(a, x), RankedList(b, y)) for a, b, x, y in rows]
        told = np.array(parts, dtype=np.int64).reshape(-1, len(PARTS))
        bucket = integers(found, "bucket")
        for names, codes in segments_of(found, self._dimensions, segments):
            for group, where in blocks(codes):
                known = self._sums.get(names[group], np.zeros((UNIT_BUCKETS, len(PARTS)), dtype=np.int64))
                self._sums[names[group]] = known + sums_by_bucket(told[where], bucket[where])

    def sums(self) -> dict[str, Sums]:
        """What has been added so far."""
        return dict(self._sums)


_SIDES: Sequence[str] = ("ours", "theirs", "our_scores", "their_scores")
_CLICKS = pa.schema([
    ("c_rollout", pa.int64()), ("c_key", pa.string()), ("c_name", pa.string()), ("c_item", pa.string()),
    ("c_value", pa.float64()), ("c_revision", pa.int64()), ("c_time", pa.int64()), ("c_received", pa.int64()),
])  # fmt: skip
