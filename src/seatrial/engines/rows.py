"""Rows of the parts of many rollouts as the statements expect them: a few array operations for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.expressions import segment_column
from seatrial.engines.outputs import Answers
from seatrial.engines.shape import Shape
from seatrial.events.parts import fit
from seatrial.events.schema import OUTCOME_SCHEMA, UNKNOWN, event_schema
from seatrial.evidence.scores import score_bins
from seatrial.rollout.reweighting import POINTS

OUTCOME_COLUMNS = ("key", "name", "value", "time", "revision", "received_at", "item")
_OUTCOMES = pa.schema([OUTCOME_SCHEMA.field(name) for name in OUTCOME_COLUMNS])
_EVENT_COLUMNS = (
    "request_id", "row", "outcome_key", "rollout", "phase", "arm", "unit", "bucket", "time", "error", "latency_us",
)  # fmt: skip
_ANSWER_COLUMNS = ("error_kind", "score", "label")


@dataclass(frozen=True, slots=True)
class Part:
    """A part's rows, and whose they are: ``number`` stands for the rollout in tables, ``rollout`` in the log."""

    number: int
    rollout: str
    table: pa.Table


class EventRows:
    """How parts of the event log are read for plans of one shape. ``features``: columns that are read besides."""

    def __init__(self, shape: Shape, features: Sequence[str]) -> None:
        self._segments = [segment_column(name) for name in shape.segments]
        self._samples = shape.samples
        answers, sampling = _ANSWER_COLUMNS if shape.answers else (), ["sampled"] if shape.samples else ()
        self.columns = [*_EVENT_COLUMNS, *answers, *sampling, *features, *self._segments]
        schema = event_schema(shape.segments)
        self._schema = pa.schema([schema.field(name) for name in self.columns])

    def ours(self, parts: Sequence[Part]) -> pa.Table:
        """Rows of the rollouts' arms, with the ``number`` of each row's rollout."""
        rows = pa.concat_tables([self._fit(part.table) for part in parts]).combine_chunks()
        of = np.repeat(np.arange(len(parts)), [len(part.table) for part in parts])
        rollouts = pa.array([part.rollout for part in parts]).take(pa.array(of))
        arms = pc.or_(
            pc.and_(pc.is_in(rows["arm"], pa.array(["champion", "canary"])), pc.is_valid(rows["bucket"])),
            pc.equal(rows["arm"], "shadow"),
        )
        wanted = pc.and_(pc.and_(pc.equal(rows["rollout"], rollouts), arms), pc.is_valid(rows["phase"]))
        numbers = np.array([part.number for part in parts], dtype=np.int64)[of]
        rows = rows.append_column("number", pa.array(numbers))
        return rows.filter(pc.fill_null(wanted, False))

    def _fit(self, part: pa.Table) -> pa.Table:
        """The columns, where a part lacks some: it was written before the plan's segments were declared."""
        if part.schema.equals(self._schema):
            return part
        known = set(part.column_names)
        unknown = pa.array([UNKNOWN] * len(part), pa.string())
        columns = []
        for field in self._schema:
            lacking = unknown if field.name in self._segments else pa.nulls(len(part), field.type)
            columns.append(part[field.name].cast(field.type) if field.name in known else lacking)
        return pa.table(columns, schema=self._schema)

    def exposures(
        self, rows: pa.Table, answered: pa.Array | None, first: int, answers: Mapping[int, Answers]
    ) -> pa.Table:
        """The rows as exposures, numbered from ``first``.

        ``answered``: those that the assigned version itself answered, where answers are read; ``answers``: of rollouts
        that may answer with labels.
        """
        columns = {
            "rollout": rows["number"],
            "eid": pa.array(np.arange(first, first + len(rows))),
            "request_id": rows["request_id"],
            "row": rows["row"],
            "outcome_key": rows["outcome_key"],
            "arm": rows["arm"],
            "phase": rows["phase"],
            "unit": rows["unit"],
            "bucket": rows["bucket"],
            "t": pc.cast(rows["time"], pa.int64()),
            "error": rows["error"],
            "answered": pa.nulls(len(rows), pa.bool_()) if answered is None else answered,
            "latency": rows["latency_us"],
            "score": pa.nulls(len(rows), pa.float64()),
            "bin": pa.nulls(len(rows), pa.int64()),
        }
        if answered is not None:
            columns |= _scores(rows, answered, answers)
        if self._samples:
            columns["sampled"] = pc.fill_null(pc.cast(rows["sampled"], pa.int64()), POINTS)  # untold: all were copied
        for name in self._segments:
            columns[name] = pc.fill_null(rows[name], UNKNOWN)
        return pa.table(columns)


def _scores(rows: pa.Table, answered: pa.Array, answers: Mapping[int, Answers]) -> dict[str, pa.Array]:
    """Scores of answers, and the place of each answer on the shadow grid; null where there is none."""
    finite = pc.fill_null(pc.and_(answered, pc.is_finite(rows["score"])), False)
    score = pc.if_else(finite, rows["score"], None)
    bins = score_bins(score.to_numpy())
    for number, known in answers.items():
        where = np.flatnonzero(rows["number"].to_numpy() == number)
        bins[where] = known.bins(score.take(where).to_numpy(), rows["label"].take(where))
    return {"score": score, "bin": pa.array(bins, mask=bins < 0)}


def told(parts: Sequence[Part], names: Sequence[str]) -> pa.Table:
    """Records of the outcomes of these names, with the ``number`` of each row's rollout."""
    rows = pa.concat_tables([fit(part.table, _OUTCOMES) for part in parts]).combine_chunks()
    of = np.repeat([part.number for part in parts], [len(part.table) for part in parts])
    rows = rows.append_column("number", pa.array(of, pa.int64()))
    return rows.filter(pc.is_in(rows["name"], pa.array(names)))


def outcomes(rows: pa.Table) -> pa.Table:
    """The records as the statements expect them."""
    columns = {
        "o_rollout": rows["number"],
        "o_key": rows["key"],
        "o_name": rows["name"],
        "o_value": rows["value"],
        "o_time": pc.cast(rows["time"], pa.int64()),
        "o_revision": rows["revision"],
        "o_received": pc.cast(rows["received_at"], pa.int64()),
    }
    return pa.table(columns)
