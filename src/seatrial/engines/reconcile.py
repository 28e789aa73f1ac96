"""What became of a rollout's units long after it, from the Parquet parts: by first exposure, the same in any order.

A unit is enrolled by its first exposure while a canary ran (least event time, then request id), and stays in the arm
of that exposure. An outcome is a unit's if its key is the unit itself, as clients send it, or the outcome key of one of
the unit's exposures, and if it became true between the first exposure and the horizon; when it was received plays no
part. Of several records of a key the highest revision wins, then the latest time, then the largest value. So the result
is a function of the set of records: late, repeated and shuffled ones change nothing but what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.engines.duck import DuckEngine
from seatrial.engines.expressions import OUTCOMES, capped, compile_sql, holds, micro, parameter
from seatrial.events.parts import fit, model_directory
from seatrial.events.schema import MOMENT, to_micros
from seatrial.events.shelf import Shelf
from seatrial.evidence.follow_up import CohortCount, FollowUp, Reach
from seatrial.evidence.tally import MICRO, TOTAL, Tally
from seatrial.ids import CANARY, CHAMPION, HOLDOUT, Arm
from seatrial.rollout.metric import Metric

UnitName = Callable[[str], str]
"""From a unit as clients send it to its name in the log."""

_DAY = 86_400 * MICRO
_TRIES = 5
_LATELY = 7
"""Days over which the units that meet the candidate are averaged: a whole week."""

_EVENTS = pa.schema(
    [
        ("request_id", pa.string()),
        ("outcome_key", pa.string()),
        ("rollout", pa.string()),
        ("phase", pa.int32()),
        ("arm", pa.string()),
        ("served_version", pa.string()),
        ("unit", pa.string()),
        ("bucket", pa.int16()),
        ("time", MOMENT),
    ]
)
_FIRST = {"unit": "string", "bucket": "int64", "arm": "string", "phase": "int64", "t": "int64"}
_TABLES: Mapping[str, Mapping[str, str]] = {
    "exposures": {**_FIRST, "request_id": "string"},
    "cohort": _FIRST,
    "met": {"unit": "string", "arm": "string", "first": "int64", "last": "int64"},
    "lately": {"unit": "string", "day": "int64"},
    "keys": {"unit": "string", "key": "string"},
    "outcomes": OUTCOMES,
}
_ARROW = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Whose units are followed: of one rollout, ``phases`` being those with a canary.

    ``started`` is the canary's first exposure, ``ended`` the end of the rollout, ``bucket_s`` the length of a stratum.
    ``holdout``: the canary is held against units that stay on the champion afterwards, instead of all of its units.
    """

    rollout: str
    model: str
    candidate: int
    phases: Collection[int]
    started: datetime
    ended: datetime
    bucket_s: float
    holdout: bool = False


def follow(
    events_dir: Path, outcomes_dir: Path, asked: Followed, metrics: Sequence[Metric], at: datetime, name_of: UnitName
) -> tuple[dict[str, FollowUp], Reach]:
    """What is known of each metric at ``at``, and how far the candidate reaches. Needs no lock.

    A part that vanishes while it is read was merged into another one, so everything is read again.
    """
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            return _follow(events_dir, outcomes_dir, asked, metrics, at, name_of)
    return _follow(events_dir, outcomes_dir, asked, metrics, at, name_of)


def _follow(
    events_dir: Path, outcomes_dir: Path, asked: Followed, metrics: Sequence[Metric], at: datetime, name_of: UnitName
) -> tuple[dict[str, FollowUp], Reach]:
    engine = DuckEngine()
    try:
        log = _Log(engine, asked, to_micros(at))
        names = {name for metric in metrics for name in metric.outcomes}
        known = log.load_outcomes(model_directory(outcomes_dir, asked.model), names)
        log.load_events(model_directory(events_dir, asked.model), known)
        log.enrol(known, name_of)
        return {metric.name: log.follow_up(metric) for metric in metrics}, log.reach()
    finally:
        engine.close()


class _Log:
    """The parts of one model as tables, and what is asked of them."""

    def __init__(self, engine: DuckEngine, asked: Followed, until: int) -> None:
        self._engine, self._asked, self._until = engine, asked, until
        self._window = {"started": to_micros(asked.started), "after": to_micros(asked.ended), "until": until}
        for name, columns in _TABLES.items():
            engine.create(name, _schema(columns))

    def load_outcomes(self, directory: Path, names: set[str]) -> pa.Array:
        """Keep the outcomes of these names; gives back their keys."""
        wanted, keys = pa.array(sorted(names), pa.string()), [pa.array([], pa.string())]
        for part in _read(directory, "received_at", 0, None):
            part = part.filter(pc.is_in(part["name"], wanted))
            columns = [part[name] for name in ("key", "name", "value", "time", "revision", "received_at")]
            self._insert("outcomes", dict(zip(OUTCOMES, columns, strict=True)))
            keys.append(pc.unique(part["key"].combine_chunks()))
        return pc.unique(pa.chunked_array(keys))

    def load_events(self, directory: Path, known: pa.Array) -> None:
        """Keep first exposures, whom each unit met and when, and which outcome keys are whose."""
        for part in _read(directory, "time", self._window["started"], self._until):
            part = fit(part, _EVENTS)
            part = part.append_column("t", pc.cast(part["time"], pa.int64()))
            in_time = pc.and_(
                pc.greater_equal(part["t"], self._window["started"]), pc.less_equal(part["t"], self._until)
            )
            in_arm = pc.and_(pc.is_in(part["arm"], pa.array([CHAMPION, CANARY, HOLDOUT])), pc.is_valid(part["unit"]))
            part = part.filter(pc.fill_null(pc.and_(in_time, in_arm), False))
            if len(part):
                self._keep(part, known)

    def _keep(self, part: pa.Table, known: pa.Array) -> None:
        ours = pc.fill_null(pc.equal(part["rollout"], self._asked.rollout), False)
        canary = pc.fill_null(pc.is_in(part["phase"], pa.array(sorted(self._asked.phases), pa.int32())), False)
        against = pc.equal(part["arm"], HOLDOUT if self._asked.holdout else CHAMPION)
        compared = pc.or_(pc.equal(part["arm"], CANARY), against)
        enrolled = part.filter(pc.and_(pc.and_(ours, canary), compared))
        arms = pc.if_else(pc.equal(enrolled["arm"], CANARY), CANARY, CHAMPION)
        self._insert("exposures", {name: enrolled[name] for name in _TABLES["exposures"]} | {"arm": arms})
        # While the rollout runs, what a unit meets is what it is assigned to; afterwards, who answers it.
        served = pc.fill_null(pc.equal(part["served_version"], str(self._asked.candidate)), False)
        new = pc.if_else(ours, pc.equal(part["arm"], CANARY), served)
        met = pa.table({"unit": part["unit"], "arm": pc.if_else(new, CANARY, CHAMPION), "t": part["t"]})
        spans = met.group_by(["unit", "arm"]).aggregate([("t", "min"), ("t", "max")])
        self._insert(
            "met", dict(zip(_TABLES["met"], (spans[n] for n in ("unit", "arm", "t_min", "t_max")), strict=True))
        )
        late = pc.and_(new, pc.greater(part["t"], self._until - _LATELY * _DAY))
        days = part.filter(late)
        seen = pa.table({"unit": days["unit"], "day": pc.divide(pc.subtract(self._until, days["t"]), _DAY)})
        self._insert("lately", _columns(seen.group_by(["unit", "day"]).aggregate([]), ("unit", "day")))
        keyed = part.filter(pc.is_in(part["outcome_key"], known))
        keys = pa.table({"unit": keyed["unit"], "key": keyed["outcome_key"]})
        self._insert("keys", _columns(keys.group_by(["unit", "key"]).aggregate([]), ("unit", "key")))

    def enrol(self, known: pa.Array, name_of: UnitName) -> None:
        """Fix everybody's arm, and take units that outcomes are keyed by for what they are."""
        cohort = self._engine.query(_enrolled(), self._window)
        self._engine.insert("cohort", cohort)
        named = pa.table({"unit": pa.array([name_of(key) for key in known.to_pylist()], pa.string()), "key": known})
        self._engine.insert("keys", named.filter(pc.is_in(named["unit"], cohort["unit"].combine_chunks())))

    def follow_up(self, metric: Metric) -> FollowUp:
        """One metric at its own horizon."""
        assert metric.horizon is not None
        horizon = round(metric.horizon.seconds * MICRO)
        ask = _statements(metric, horizon, round(self._asked.bucket_s * MICRO))
        tally, missing = _tally(metric, self._ask(ask.sums))
        crossed = {row["arm"]: row for row in self._ask(ask.crossings)}
        return FollowUp(
            tally=tally,
            cohorts=tuple(CohortCount(**row) for row in self._ask(ask.cohorts)),
            missing=missing,
            crossed={arm: row["within"] for arm, row in crossed.items()},
            after={arm: row["later"] for arm, row in crossed.items()},
        )

    def reach(self) -> Reach:
        """Of the candidate, over everybody who ever came: also those who were never enrolled."""
        exposed, daily = (self._ask(sql)[0] for sql in _reached())
        return Reach(exposed["units"], daily["units"] / daily["days"] if daily["days"] else 0.0)

    def _ask(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._engine.query(sql, self._window).to_pylist()
        return rows

    def _insert(self, table: str, columns: Mapping[str, Any]) -> None:
        rows = pa.table(columns)
        if len(rows):
            self._engine.insert(table, rows.cast(_schema(_TABLES[table])))


# ── expressions ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Statements:
    """SQL about one metric."""

    sums: str
    cohorts: str
    crossings: str


@lru_cache(maxsize=256)
def _statements(metric: Metric, horizon: int, bucket: int) -> _Statements:
    """Compiled once: that takes longer than running them."""
    asked = _sums(metric, horizon, bucket), _cohorts(horizon), _crossings(horizon)
    return _Statements(*(compile_sql(expression) for expression in asked))


@cache
def _enrolled() -> str:
    return compile_sql(_first_exposures())


@cache
def _reached() -> tuple[str, str]:
    """Units that have met the candidate; and unit-days of late, with the days that had any."""
    met, lately = _table("met"), _table("lately")
    exposed = met.filter(met.arm == CANARY).aggregate(units=lambda t: t.unit.nunique())
    daily = lately.distinct().aggregate(units=lambda t: t.count(), days=lambda t: t.day.nunique())
    return compile_sql(exposed), compile_sql(daily)


def _first_exposures() -> ir.Table:
    """One row a unit: its first exposure while a canary ran."""
    e = _table("exposures")
    rank = ibis.row_number().over(ibis.window(group_by=e.unit, order_by=[e.t, e.request_id, e.arm]))
    ranked = e.mutate(rank=rank)
    return ranked.filter(ranked["rank"] == 0).select(*_FIRST)


def _mature(horizon: int) -> ir.Table:
    c = _table("cohort")
    return c.filter(c.t + horizon <= parameter("until"))


def _cohorts(horizon: int) -> ir.Table:
    c = _table("cohort")
    c = c.mutate(day=((c.t - parameter("started")) // _DAY + 1).cast("int64"))
    counted = c.group_by(["day", "arm"]).agg(
        units=c.count(), matured=c.count(where=c.t + horizon <= parameter("until"))
    )
    return counted.order_by(["day", "arm"])


def _crossings(horizon: int) -> ir.Table:
    """By arm: mature units that met the other version within the horizon, and after the rollout."""
    c, m = _mature(horizon), _table("met")
    m = m.group_by(["unit", "arm"]).agg(first=m.first.min(), last=m["last"].max())
    m = m.rename(m_unit="unit", m_arm="arm")
    met = c.join(m, [c.unit == m.m_unit, c.arm != m.m_arm])
    return met.group_by("arm").agg(
        within=met.count(where=met["first"] <= met.t + horizon),
        later=met.count(where=met["last"] >= parameter("after")),
    )


def _values(mature: ir.Table, horizon: int, name: str, metric: Metric) -> ir.Table:
    """What each mature unit has of one outcome, over all its keys: whether it ever happened, or the sum."""
    keys = _table("keys").distinct()
    records = _table("outcomes")
    records = records.filter(records.o_name == name)
    met = mature.select("unit", "t").join(keys, "unit")
    met = met.join(records, [met.key == records.o_key, records.o_time >= met.t, records.o_time <= met.t + horizon])
    order = [met.o_revision.desc(), met.o_time.desc(), met.o_value.desc()]
    rank = ibis.row_number().over(ibis.window(group_by=[met.unit, met.key], order_by=order))
    ranked = met.mutate(rank=rank)
    best = ranked.filter(ranked["rank"] == 0)
    value = capped(metric, best.o_value) if name == metric.outcomes[0] else best.o_value
    best = best.mutate(worth=micro(value))
    return best.group_by("unit").agg(worth=best.worth.max() if metric.kind == "proportion" else best.worth.sum())


def _sums(metric: Metric, horizon: int, bucket: int) -> ir.Table:
    """Mature units by stratum, arm and bucket: how many, how many with a value, and the sums of their values."""
    mature = _mature(horizon)
    rows = mature
    for n, name in enumerate(metric.outcomes):
        found = _values(mature, horizon, name, metric).rename({f"unit_{n}": "unit", f"worth_{n}": "worth"})
        rows = rows.left_join(found, rows.unit == found[f"unit_{n}"])
    has = rows.worth_0.notnull()
    if metric.kind == "ratio":
        has = has & rows.worth_1.notnull()
    over = rows.worth_1 if metric.kind == "ratio" else ibis.literal(MICRO)
    rows = rows.mutate(
        stratum=rows.t - rows.t % bucket,
        has=holds(has),
        value=ibis.ifelse(has, rows.worth_0, 0),
        over=ibis.ifelse(has, over, 0),
    )
    return rows.group_by(["phase", "stratum", "arm", "bucket"]).agg(
        units=rows.count(), found=rows.count(where=rows.has), value=rows.value.sum(), over=rows.over.sum()
    )


def _tally(metric: Metric, found: Sequence[Mapping[str, Any]]) -> tuple[Tally, dict[Arm, int]]:
    """Sums as the gates take them; a unit without a value is left out, or counted as the metric says."""
    counts_missing = metric.missing != "exclude" and metric.kind != "ratio"
    worst = MICRO if metric.missing == "fail" and metric.better == "decrease" else 0
    rows, lacking = [], dict.fromkeys((CHAMPION, CANARY), 0)
    for row in found:
        missing = row["units"] - row["found"]
        lacking[row["arm"]] += missing
        counted = missing if counts_missing else 0
        cell = (row["phase"], row["stratum"] // MICRO, TOTAL, row["arm"], row["bucket"])
        sums = (row["value"] + counted * worst, row["over"] + counted * MICRO)
        rows.append((*cell, row["found"] + counted, int(sums[0]), int(sums[1])))
    return Tally.from_rows(rows), lacking


def _table(name: str) -> ir.Table:
    return ibis.table(dict(_TABLES[name]), name=name)


# ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(directory: Path, moment: str, since: int, until: int | None) -> Iterator[pa.Table]:
    """The parts that can hold rows of a time, one after the other. Raises FileNotFoundError (see ``follow``)."""
    shelf = Shelf(directory, moment)
    shelf.refresh()
    for part in shelf.parts:
        if part.rows and part.latest >= since and (until is None or part.earliest <= until):
            with pq.ParquetFile(part.part.path) as file:
                present = set(file.schema_arrow.names)
                names = _EVENTS.names if moment == "time" else None
                yield file.read(columns=None if names is None else [name for name in names if name in present])


def _columns(table: pa.Table, names: Sequence[str]) -> dict[str, Any]:
    return {name: table[name] for name in names}


def _schema(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])
