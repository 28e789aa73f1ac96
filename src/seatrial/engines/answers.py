"""Answers of champion and shadow, pair by pair: of a rollout's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.engines.outputs import primary
from seatrial.engines.statements import GRACE
from seatrial.events.parts import fit, list_parts, model_directory
from seatrial.events.schema import MOMENT, SEGMENT_PREFIX, UNKNOWN
from seatrial.evidence.answers import Answers, Side
from seatrial.evidence.tally import MICRO

_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("request_id", pa.string()),
    ("row", pa.int32()),
    ("rollout", pa.string()),
    ("phase", pa.int32()),
    ("arm", pa.string()),
    ("unit", pa.string()),
    ("bucket", pa.int16()),
    ("time", MOMENT),
    ("error", pa.bool_()),
    ("error_kind", pa.string()),
    ("latency_us", pa.int64()),
    ("score", pa.float64()),
    ("label", pa.string()),
)
_KEYS = ["request_id", "row"]


@dataclass(frozen=True, eq=False)
class Copied:
    """Answers to requests that were copied to a shadow, and the exposures of the champion in those phases."""

    answers: Answers
    exposures: int


def rollout_answers(events: Path, model: str, rollout: str, segments: Sequence[str], until: int) -> Copied:
    """Of one rollout, up to a time in microseconds. ``segments``: names of dimensions.

    As in ``engines.statements``: the answers to one row of one request are a pair if they were logged within a minute
    of each other, and a request of a unit that was mirrored in its phase should have a copy. What is younger than that
    minute and stands alone may still find its counterpart, and is left out.
    """
    log = _read(model_directory(events, model), rollout, [f"{SEGMENT_PREFIX}{name}" for name in segments], until)
    shadow = log.filter(pc.equal(log["arm"], "shadow"))
    champion = log.filter(pc.and_(pc.equal(log["arm"], "champion"), pc.is_valid(log["bucket"])))
    champion = champion.filter(pc.is_in(champion["phase"], pc.unique(shadow["phase"])))
    mirrored = champion.join(shadow.select(["unit", "phase"]), ["unit", "phase"], join_type="left semi")
    answers = _joined(mirrored, shadow, segments)
    return Copied(answers.take(answers.joined | (answers.time <= until - GRACE)), len(champion))


def _read(directory: Path, rollout: str, segments: list[str], until: int) -> pa.Table:
    schema = pa.schema([*_COLUMNS, *((name, pa.string()) for name in segments)])
    tables = [schema.empty_table()]
    for part in list_parts(directory):
        with pq.ParquetFile(part.path) as file:
            present = set(file.schema_arrow.names)
            table = fit(file.read(columns=[name for name in schema.names if name in present]), schema)
        ours = pc.and_(pc.equal(table["rollout"], rollout), pc.is_in(table["arm"], pa.array(["champion", "shadow"])))
        seen = pc.less_equal(pc.cast(table["time"], pa.int64()), until)
        tables.append(table.filter(pc.fill_null(pc.and_(ours, seen), False)))
    return pa.concat_tables(tables)


def _joined(champion: pa.Table, shadow: pa.Table, segments: Sequence[str]) -> Answers:
    """Both sides beside each other; what has no counterpart near it stands alone."""
    ours, theirs = (_with_answer(side) for side in (champion, shadow))
    met = ours.join(theirs, _KEYS, join_type="full outer", left_suffix="_c", right_suffix="_s").combine_chunks()
    met = met.sort_by([("request_id", "ascending"), ("row", "ascending")])
    times = [pc.fill_null(met[f"t_{side}"], -1).to_numpy() for side in "cs"]
    there = [time >= 0 for time in times]
    joined = there[0] & there[1] & (np.abs(times[0] - times[1]) <= GRACE)
    values = {}
    for name in segments:
        column = f"{SEGMENT_PREFIX}{name}"
        found = pc.fill_null(pc.coalesce(met[f"{column}_c"], met[f"{column}_s"]), UNKNOWN)
        values[name] = np.array(found.to_pylist(), dtype=object)
    bucket = pc.fill_null(pc.coalesce(met["bucket_c"], met["bucket_s"]), 0)
    return Answers(
        time=np.where(there[0], times[0], times[1]),
        bucket=bucket.to_numpy().astype(np.int64),
        joined=joined,
        champion=_side(met, "c"),
        shadow=_side(met, "s"),
        segments=values,
    )


def _with_answer(side: pa.Table) -> pa.Table:
    """Columns of one side, with whether it answered; scores that are no finite numbers are none."""
    answered = primary(side)
    score = pc.if_else(pc.fill_null(pc.and_(answered, pc.is_finite(side["score"])), False), side["score"], None)
    side = side.set_column(side.column_names.index("score"), "score", score)
    side = side.append_column("answered", answered).append_column("t", pc.cast(side["time"], pa.int64()))
    return side.drop_columns(["rollout", "arm", "phase", "unit", "time", "error_kind"])


def _side(met: pa.Table, which: str) -> Side:
    latency = pc.cast(met[f"latency_us_{which}"], pa.float64()).to_numpy()
    return Side(
        answered=pc.fill_null(met[f"answered_{which}"], False).to_numpy(),
        error=pc.fill_null(met[f"error_{which}"], False).to_numpy(),
        score=met[f"score_{which}"].to_numpy(),
        label=np.array(met[f"label_{which}"].to_pylist(), dtype=object),
        latency=latency / MICRO,
    )
