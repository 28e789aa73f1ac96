"""Requests by rollout, phase and arm: the unit in which what was captured is compared with what was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

Key = tuple[str, int, str]
"""Rollout, phase, arm."""

COLUMNS = ["row", "rollout", "phase", "arm"]


def requests_in(table: pa.Table, only: Collection[str] | None = None) -> Counter[Key]:
    """Requests of rollouts in a table of rows; ``only``: of these rollouts."""
    stamped = pc.and_(pc.is_valid(table["rollout"]), pc.is_valid(table["phase"]))
    wanted = pc.and_(pc.equal(table["row"], 0), stamped)
    if only is not None:
        wanted = pc.and_(wanted, pc.is_in(table["rollout"], pa.array(sorted(only), pa.string())))
    groups = table.select(COLUMNS).filter(wanted).group_by(["rollout", "phase", "arm"]).aggregate([("row", "count")])
    return Counter({(row["rollout"], row["phase"], row["arm"]): row["row_count"] for row in groups.to_pylist()})


def to_rows(counts: Mapping[Key, int]) -> list[list[object]]:
    """As a document holds them."""
    return [[*key, n] for key, n in sorted(counts.items())]


def from_rows(rows: list[tuple[str, int, str, int]]) -> dict[Key, int]:
    return {(rollout, phase, arm): n for rollout, phase, arm, n in rows}
