"""Answers of champion and shadow, pair by pair: of a rollout's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from seatrial.evidence.lists import RankedList
from seatrial.evidence.tally import MICRO

_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("request_id", pa.string()),
    ("row", pa.int32()),
    ("rollout", pa.string()),
    ("phase", pa.int32()),
    ("sampled", pa.int64()),
    ("arm", pa.string()),
    ("served_version", pa.string()),
    ("served_level", pa.string()),
    ("unit", pa.string()),
    ("bucket", pa.int16()),
    ("time", MOMENT),
    ("error", pa.bool_()),
    ("error_kind", pa.string()),
    ("latency_us", pa.int64()),
    ("score", pa.float64()),
    ("label", pa.string()),
    ("items", pa.list_(pa.string())),
    ("item_scores", pa.list_(pa.float64())),
)
_LISTS = ["items", "item_scores"]
_KEYS = ["request_id", "row"]
_NOT_COMPARED = ["rollout", "arm", "served_version", "served_level", "phase", "unit", "time", "error_kind"]


@dataclass(frozen=True, eq=False)
class Copied:
    """Answers to requests that were copied to a shadow, and the exposures of the champion in those phases.

    ``strata``: the exposures by the share of units that are copied where they come from (points of 10,000), with the
    values of the gateway's segment, where segments have shares of their own.
    """

    answers: Answers
    exposures: int
    strata: Mapping[tuple[str, int], int] = field(default_factory=dict)


def rollout_answers(
    events: Path, model: str, rollout: str, segments: Sequence[str], until: int, *, by: str | None = None
) -> Copied:
    """Of one rollout, up to a time in microseconds. ``segments``: names of dimensions; ``by``: the one of them whose
    values were copied at shares of their own.

    As in ``engines.statements``: the answers to one row of one request are a pair if they were logged within a minute
    of each other, and a request of a unit that was mirrored in its phase should have a copy. What is younger than that
    minute and stands alone may still find its counterpart, and is left out.
    """
    log, lists = read_answers(model_directory(events, model), segments, lambda part: _of_rollout(part, rollout, until))
    shadow = log.filter(pc.equal(log["arm"], "shadow"))
    champion = log.filter(pc.and_(pc.equal(log["arm"], "champion"), pc.is_valid(log["bucket"])))
    champion = champion.filter(pc.is_in(champion["phase"], pc.unique(shadow["phase"])))
    same = ["unit", "phase"] if by is None else ["unit", "phase", "sampled"]
    mirrored = champion.join(shadow.select(same), same, join_type="left semi")
    answers = answer_pairs(mirrored, shadow, segments, lists)
    if by is None:
        answers = replace(answers, sampled=None)
    told = answers.take(answers.joined | (answers.time <= until - GRACE))
    return Copied(told, len(champion), {} if by is None else _strata(champion, by))


def _strata(champion: pa.Table, by: str) -> Counter[tuple[str, int]]:
    """Exposures by value of a segment and share."""
    values = pc.fill_null(champion[f"{SEGMENT_PREFIX}{by}"], UNKNOWN).to_pylist()
    shares = champion["sampled"].to_pylist()
    return Counter((value, share) for value, share in zip(values, shares, strict=True) if share is not None)


def _of_rollout(part: pa.Table, rollout: str, until: int) -> pa.Array:
    ours = pc.and_(pc.equal(part["rollout"], rollout), pc.is_in(part["arm"], pa.array(["champion", "shadow"])))
    return pc.and_(ours, pc.less_equal(pc.cast(part["time"], pa.int64()), until))


def read_answers(
    directory: Path, segments: Sequence[str], wanted: Callable[[pa.Table], pa.Array]
) -> tuple[pa.Table, pa.Table]:
    """Rows of a log that are ``wanted``, and the lists in them, which no join takes along: rows keep the place of
    theirs.
    """
    schema = pa.schema([*_COLUMNS, *((f"{SEGMENT_PREFIX}{name}", pa.string()) for name in segments)])
    tables = [schema.empty_table()]
    for part in list_parts(directory):
        with pq.ParquetFile(part.path) as file:
            present = set(file.schema_arrow.names)
            table = fit(file.read(columns=[name for name in schema.names if name in present]), schema)
        tables.append(table.filter(pc.fill_null(wanted(table), False)))
    log = pa.concat_tables(tables)
    return log.drop_columns(_LISTS).append_column("n", pa.array(np.arange(len(log)))), log.select(_LISTS)


def answer_pairs(champion: pa.Table, shadow: pa.Table, segments: Sequence[str], lists: pa.Table) -> Answers:
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
        champion=_side(met, "c", lists),
        shadow=_side(met, "s", lists),
        segments=values,
        sampled=pc.fill_null(pc.coalesce(met["sampled_c"], met["sampled_s"]), 10_000).to_numpy(),
    )


def _with_answer(side: pa.Table) -> pa.Table:
    """Columns of one side, with whether it answered; scores that are no finite numbers are none."""
    answered = primary(side)
    score = pc.if_else(pc.fill_null(pc.and_(answered, pc.is_finite(side["score"])), False), side["score"], None)
    side = side.set_column(side.column_names.index("score"), "score", score)
    side = side.append_column("answered", answered).append_column("t", pc.cast(side["time"], pa.int64()))
    return side.drop_columns(_NOT_COMPARED)


def _ranked(lists: pa.Table, place: pa.Array) -> list[RankedList | None] | None:
    """The ranked list of each answer, where it is one; None where no answer of either side is."""
    if lists["items"].null_count == len(lists):
        return None
    lists = lists.take(place)
    rows = zip(lists["items"].to_pylist(), lists["item_scores"].to_pylist(), strict=True)
    return [None if items is None else RankedList(items, scores) for items, scores in rows]


def _side(met: pa.Table, which: str, lists: pa.Table) -> Side:
    ranked = _ranked(lists, met[f"n_{which}"].combine_chunks())
    latency = pc.cast(met[f"latency_us_{which}"], pa.float64()).to_numpy()
    answered = pc.fill_null(met[f"answered_{which}"], False).to_numpy()
    return Side(
        answered=answered if ranked is None else answered & np.array([one is not None for one in ranked]),
        error=pc.fill_null(met[f"error_{which}"], False).to_numpy(),
        score=met[f"score_{which}"].to_numpy(),
        label=np.array(met[f"label_{which}"].to_pylist(), dtype=object),
        latency=latency / MICRO,
        ranked=ranked,
    )
