"""Answers of the champion and of a standing shadow, pair by pair: of a model's log, whatever rollouts there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from seatrial.engines.answers import Copied, answer_pairs, read_answers
from seatrial.engines.statements import GRACE
from seatrial.events.parts import model_directory
from seatrial.evidence.tally import MICRO


def standing_answers(
    events: Path, model: str, version: int, champion: int, segments: Sequence[str]
) -> tuple[Copied, float]:
    """Of one shadow that belongs to no rollout, with the seconds from its first copy to its last.

    A pair is joined by request id, of copies that this version got and of requests that ``champion`` answered, or
    should have. Requests of an earlier champion are left out. Who was copied before a copy was seen is not known, so
    only copies can lack a counterpart; those of the last minute may still find theirs. The exposures are the champion's
    in that time.
    """
    log, lists = read_answers(model_directory(events, model), segments, lambda part: _wanted(part, version))
    shadow, ours = log.filter(pc.equal(log["arm"], "shadow")), log.filter(pc.equal(log["arm"], "champion"))
    former = ours.filter(pc.and_(_primary(ours), pc.not_equal(ours["served_version"], str(champion))))
    shadow = shadow.join(former.select(["request_id"]), "request_id", join_type="left anti")
    if not len(shadow):
        return Copied(answer_pairs(ours.slice(0, 0), shadow, segments, lists), 0), 0.0
    first, last = (pc.cast(bound, pa.int64()).as_py() for bound in pc.min_max(shadow["time"]).values())
    present = ours.join(former.select(["request_id"]), "request_id", join_type="left anti")
    times = pc.cast(present["time"], pa.int64())
    exposures = int(pc.sum(pc.and_(pc.greater_equal(times, first), pc.less_equal(times, last))).as_py() or 0)
    met = present.join(shadow.select(["request_id"]), "request_id", join_type="left semi")
    answers = replace(answer_pairs(met, shadow, segments, lists), sampled=None)
    return Copied(answers.take(answers.joined | (answers.time <= last - GRACE)), exposures), (last - first) / MICRO


def _wanted(part: pa.Table, version: int) -> pa.Array:
    copy = pc.and_(pc.equal(part["arm"], "shadow"), pc.is_null(part["rollout"]))
    copy = pc.and_(copy, pc.equal(part["served_version"], str(version)))
    return pc.or_(copy, pc.and_(pc.equal(part["arm"], "champion"), pc.is_valid(part["bucket"])))


def _primary(rows: pa.Table) -> pa.Array:
    return pc.fill_null(pc.equal(rows["served_level"], "primary"), False)
