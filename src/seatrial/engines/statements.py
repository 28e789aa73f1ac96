"""The statements of plans of one shape: compiled from Ibis once, run at every look, for all rollouts at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import ibis
import ibis.expr.types as ir

from seatrial.engines.clicks import with_ndcg
from seatrial.engines.expressions import (
    EXPOSURES,
    OUTCOMES,
    WINDOWS,
    Clock,
    around_windows,
    compile_sql,
    cross_sums,
    holds,
    in_window,
    mature_sums,
    prompt_sums,
    segment_column,
    with_outcomes,
)
from seatrial.engines.shape import Shape, reads_outcomes
from seatrial.evidence.tally import MICRO
from seatrial.rollout.metric import Metric

GRACE = 60 * MICRO
"""Both answers to a mirrored request are logged within a minute of each other, or they are not a pair."""

LATE_WATCH = 3600 * MICRO
"""Late outcomes are counted for as long again as the horizon, at least for an hour."""

LIVE = ("champion", "canary")


HIT = {"error_rate": "failed", "latency": "slow"}
"""The column that counts the rare event of a metric."""


def column(n: int, part: str) -> str:
    """Name of a metric's column: its place in the plan, and what is summed."""
    return f"m{n}_{part}"


@lru_cache(maxsize=256)
def statements_of(shape: Shape, dialect: str = "duckdb") -> Statements:
    """Everything looks at plans of this shape run. Compiling it costs more than running it."""
    return Statements(shape, dialect)


class Statements:
    """SQL over the tables ``exposures``, ``outcomes`` and ``windows``, compiled when it is first asked for.

    Rows of the first two are those of all rollouts, and count for those that have a window.
    """

    def __init__(self, shape: Shape, dialect: str = "duckdb") -> None:
        self.shape, self.dialect = shape, dialect
        self.clock = Clock(round(shape.look_every.seconds * MICRO), round(shape.time_bucket.seconds * MICRO))
        self.segment_columns = [segment_column(name) for name in shape.segments]
        self.sampling = ["sampled"] if shape.samples else []
        self.exposure_schema = {"rollout": "int64"} | dict(EXPOSURES) | dict.fromkeys(self.sampling, "int64")
        self.exposure_schema |= dict.fromkeys(self.segment_columns, "string")
        self.outcome_schema = {"o_rollout": "int64"} | dict(OUTCOMES)
        self.windows = ibis.table(dict(WINDOWS), name="windows")
        self.exposures = ibis.table(self.exposure_schema, name="exposures")
        self.outcomes = ibis.table(self.outcome_schema, name="outcomes")
        self.prompt = tuple(n for n, m in enumerate(shape.metrics) if not reads_outcomes(m) and m.kind != "agreement")
        self.visited = tuple(n for n in self.prompt if shape.metrics[n].kind == "requests_per_unit")
        self.rare = tuple(n for n in self.prompt if shape.metrics[n].rare)
        horizons = dict.fromkeys(_micros(m) for m in shape.metrics if reads_outcomes(m))
        self.groups = tuple(MaturityGroup(self, horizon) for horizon in horizons)

    @property
    def reach(self) -> int:
        """How long before a look an exposure can still matter, in microseconds."""
        longest = max(((g.horizon or 0) + g.watch for g in self.groups), default=0)
        return longest + 2 * (self.clock.step + GRACE)

    def hit(self, n: int) -> str:
        """The column that counts the rare event of a metric."""
        return column(n, HIT[self.shape.metrics[n].kind])

    def sql(self, expression: ir.Table) -> str:
        return compile_sql(expression, self.dialect)

    @cached_property
    def arrivals(self) -> str:
        """New rows of every arm by crossed cell, with the metrics known at once; ``first``: the earliest time."""
        e = self._new()
        sums = {"exposures": holds(e.eid.notnull()), "requests": holds(e.row == 0)}
        for n in self.prompt:
            sums |= {column(n, name): value for name, value in prompt_sums(self.shape.metrics[n], e).items()}
        by = ["rollout", "phase", "arm", "bucket", *self.segment_columns]
        return self.sql(cross_sums(e, self.clock, by, sums, first=lambda e: e.t.min()))

    @cached_property
    def units(self) -> str:
        """New rows by unit, phase and arm: the first request, and how many requests met each rare event.

        ``first`` is 20 digits of the request's time (``time``) and then its id: the least text is the least pair.
        """
        e = self._new()
        e = e.filter(e.unit.notnull())
        e = e.mutate(
            said=e.t.cast("string").lpad(20, "0") + e.request_id,
            **{self.hit(n): self._met(n, e) for n in self.rare},
        )
        met = {self.hit(n): e.count(where=e[self.hit(n)]) for n in self.rare}
        return self.sql(e.group_by(["rollout", "phase", "arm", "unit"]).agg(time=e.t.min(), first=e.said.min(), **met))

    @cached_property
    def copied(self) -> str:
        """New units of the shadow by phase and by the share of units that are copied: the time of the first copy."""
        e = self._new()
        e = e.filter(e.arm == "shadow", e.unit.notnull(), e.sampled.notnull())
        return self.sql(e.group_by(["rollout", "phase", "unit", "sampled"]).agg(first=e.t.min()))

    @cached_property
    def visits(self) -> str:
        """New units of champion and canary by crossed cell."""
        e = self._new()
        e = e.filter(e.arm.isin(LIVE)).mutate(stratum=self.clock.stratum(e.t))
        return self.sql(
            e.select("rollout", "phase", "stratum", "arm", "bucket", "unit", *self.segment_columns).distinct()
        )

    @cached_property
    def mirror(self) -> str:
        """What became of mirrored requests: new pairs by bin and bin, and what lacks an answer after the grace.

        ``kind``: *pair* (joined in the window; a score without a bin is null), *shadow* (a copy that is in no pair) or
        *champion* (a request without a copy, by unit: only some units are mirrored).
        """
        return self.sql(self._mirror())

    def _met(self, n: int, e: ir.Table) -> Any:
        metric = self.shape.metrics[n]
        return prompt_sums(metric, e)[HIT[metric.kind]]

    def _new(self) -> ir.Table:
        e = self.around(before=0)
        return e.filter(in_window(e, e.t))

    def around(self, *arms: str, before: int, after: int = 0) -> ir.Table:
        """Exposures of these arms (none: of all) not far from the windows, with the window of their rollout.

        What is far away is left out first: of a long history an engine reads what is near.
        """
        e = self.exposures
        e = e.filter(e.arm.isin(arms)) if arms else e
        return e.filter(around_windows(e.t, before=before, after=after)).join(self.windows, "rollout")

    def _shadow_rows(self, *, before: int, after: int = 0) -> ir.Table:
        s = self.around("shadow", before=before, after=after)
        return s.select(
            s_rollout=s.rollout, s_request_id=s.request_id, s_row=s.row, s_t=s.t,
            s_score=s.score, s_bin=s.bin, s_answered=s.answered,
            s_after=s.after, s_until=s.until, s_started=s.started,
        )  # fmt: skip

    def pairs(self, *, before: int, until: int) -> ir.Table:
        """Champion rows beside the shadow's answer to the same row of the same request, both answered.

        ``before``: how long before the window a pair may have been joined; ``until``: how long before the window's end
        the champion's row must have been there.
        """
        c = self.around("champion", before=before + GRACE, after=-until).filter(lambda c: c.answered)
        s = self._shadow_rows(before=before + GRACE, after=min(GRACE - until, 0)).filter(lambda s: s.s_answered)
        met = c.join(s, _same_row(c, s)).filter(lambda met: _near(met.t, met.s_t))
        return met.mutate(joined=ibis.greatest(met.t, met.s_t))

    def _mirror(self) -> ir.Table:
        past = 2 * GRACE + self.clock.step
        c, s = self.around("champion", before=past), self._shadow_rows(before=past)
        by, more = ["bucket"] if self.shape.agreements else [], [*self.sampling, *self.segment_columns]
        c = c.select(
            "rollout", "request_id", "row", "t", "phase", "unit", "answered", "bin", *by, *more,
            "after", "until", "started",
        )  # fmt: skip
        met = c.outer_join(s, [*_same_row(c, s), _near(c.t, s.s_t)])
        met = met.mutate(**{name: met[name].coalesce(met[f"s_{name}"]) for name in WINDOWS})
        both = (met.answered & met.s_answered).fill_null(False)
        due = self.clock.tick(met.s_t.coalesce(met.t) + GRACE, met.started)
        overdue = (met.row.coalesce(met.s_row) == 0) & in_window(met, due)
        kind = ibis.cases(
            (both & in_window(met, ibis.greatest(met.t, met.s_t)), "pair"),
            (met.s_t.isnull() & overdue, "champion"),
            (met.s_t.notnull() & ~both & overdue, "shadow"),
        )
        met = met.select("rollout", "phase", "unit", "bin", "s_bin", *by, *more, kind=kind, due=due)
        met = met.filter(met.kind.notnull())
        pair, alone = met.kind == "pair", met.kind == "champion"
        met = met.mutate(
            bin_c=ibis.ifelse(pair, met.bin, ibis.null("int64")),
            bin_s=ibis.ifelse(pair, met.s_bin, ibis.null("int64")),
            unit=ibis.ifelse(alone, met.unit, ibis.null("string")),
            due=ibis.ifelse(alone, met.due, ibis.null("int64")),
            **{name: ibis.ifelse(pair, met[name], ibis.null("int64")) for name in by},
        )
        by = ["rollout", "kind", "phase", "unit", "due", "bin_c", "bin_s", *by, *more]
        return met.group_by(by).agg(n=met.count())


class MaturityGroup:
    """Outcome metrics with one horizon (microseconds; None: due at the next tick) and their statements.

    ``metrics``, ``paired``: their places among the metrics of the shape.
    """

    def __init__(self, statements: Statements, horizon: int | None) -> None:
        self.base, self.horizon = statements, horizon
        of = statements.shape.metrics
        self.metrics = tuple(n for n, m in enumerate(of) if reads_outcomes(m) and _micros(m) == horizon)
        self.paired = tuple(n for n in self.metrics if of[n].pairs)
        self.outcomes = tuple(sorted({name for n in self.metrics for name in of[n].outcomes}))

    @cached_property
    def live(self) -> str:
        """Exposures of champion and canary that mature in the window, with the outcomes known when they do."""
        return self.base.sql(self._matured(self._live(), self.metrics))

    @cached_property
    def pairs(self) -> str:
        """Shadow pairs that mature in the window, in the champion's stratum."""
        return self.base.sql(self._matured(self._pairs(), self.paired))

    @cached_property
    def late(self) -> str:
        """Outcomes received in the window after their exposure was judged, by name."""
        return self.base.sql(self._late())

    @property
    def watch(self) -> int:
        """How long after it matured an exposure's late outcomes are counted, in microseconds."""
        return max(self.horizon or 0, LATE_WATCH)

    def _due(self, rows: ir.Table) -> ir.Table:
        due = self.base.clock.tick(rows.t + (self.horizon or 0), rows.started)
        return rows.mutate(due=due, deadline=due if self.horizon is None else rows.t + self.horizon)

    def _matured(self, rows: ir.Table, metrics: Sequence[int]) -> ir.Table:
        metric_of = {n: self.base.shape.metrics[n] for n in metrics}
        names = sorted({name for metric in metric_of.values() if metric.kind != "ndcg" for name in metric.outcomes})
        rows = rows.filter(in_window(rows, rows.due)).drop("after", "until", "started")
        for n, metric in metric_of.items():
            rows = with_ndcg(rows, metric, column(n, "ndcg")) if metric.kind == "ndcg" else rows
        rows = with_outcomes(rows, self.base.outcomes, names)
        values = {name: rows[f"value_{n}"] for n, name in enumerate(names)}
        sums = {"exposures": holds(rows.eid.notnull())}
        for n, metric in metric_of.items():
            of = {str(metric.outcome): rows[column(n, "ndcg")]} if metric.kind == "ndcg" else values
            sums |= {column(n, name): value for name, value in mature_sums(metric, rows, of).items()}
        return cross_sums(
            rows, self.base.clock, ["rollout", "phase", "arm", "bucket", *self.base.segment_columns], sums
        )

    def _live(self) -> ir.Table:
        return self._due(self._aged(within=self.base.clock.step)).select(*self._columns())

    def _aged(self, *, within: int) -> ir.Table:
        """Exposures of champion and canary that reached the horizon in the window, or up to ``within`` before it.

        Nothing is due before that, so a look skips what is too young as it skips what is long over.
        """
        horizon = self.horizon or 0
        return self.base.around(*LIVE, before=horizon + within, after=-horizon)

    def _pairs(self) -> ir.Table:
        horizon, clock = self.horizon or 0, self.base.clock
        pairs = self._due(self.base.pairs(before=max(horizon, GRACE) + clock.step, until=horizon))
        pairs = pairs.mutate(due=ibis.greatest(pairs.due, clock.tick(pairs.joined, pairs.started)))
        return pairs.select(*self._columns(), "s_score")

    def _columns(self) -> list[str]:
        names = ["eid", "phase", "arm", "bucket", "t", "outcome_key", "score", "due", "deadline"]
        return [*names, *self.base.segment_columns, *WINDOWS]

    def _late(self) -> ir.Table:
        new, outcomes = self.base.outcomes, list(self.outcomes)
        new = new.filter(around_windows(new.o_received), new.o_name.isin(outcomes))
        rows = self._due(self._aged(within=self.base.clock.step + self.watch))
        rows = rows.select("rollout", "outcome_key", "t", "due", "after", "until")
        met = rows.join(new, [rows.rollout == new.o_rollout, rows.outcome_key == new.o_key])
        met = met.filter(
            in_window(met, met.o_received), met.o_received > met.due, met.o_received <= met.due + self.watch
        )
        return met.group_by(["rollout", "o_name"]).agg(n=met.count())


def _micros(metric: Metric) -> int | None:
    return None if metric.horizon is None else round(metric.horizon.seconds * MICRO)


def _same_row(c: ir.Table, s: ir.Table) -> list[ir.BooleanValue]:
    return [c.rollout == s.s_rollout, c.request_id == s.s_request_id, c.row == s.s_row]


def _near(a: ir.IntegerColumn, b: ir.IntegerColumn) -> ir.BooleanValue:
    return (a - b <= GRACE) & (b - a <= GRACE)
