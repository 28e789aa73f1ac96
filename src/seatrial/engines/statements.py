"""The statements of one plan: compiled from Ibis once, run with new bounds at every look."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import ibis
import ibis.expr.types as ir

from seatrial.engines.expressions import (
    EXPOSURES,
    OUTCOMES,
    Clock,
    around_window,
    compile_sql,
    cross_sums,
    holds,
    in_window,
    mature_sums,
    prompt_sums,
    segment_column,
    with_outcomes,
)
from seatrial.evidence.tally import MICRO
from seatrial.rollout.metric import OUTCOME_KINDS, Metric
from seatrial.rollout.plan import Plan

GRACE = 60 * MICRO
"""Both answers to a mirrored request are logged within a minute of each other, or they are not a pair."""

LATE_WATCH = 3600 * MICRO
"""Late outcomes are counted for as long again as the horizon, at least for an hour."""

LIVE = ("champion", "canary")


def column(n: int, part: str) -> str:
    """Name of a metric's column: its place in the group, and what is summed."""
    return f"m{n}_{part}"


@lru_cache(maxsize=256)
def statements_of(plan: Plan, dialect: str = "duckdb") -> Statements:
    """Everything looks at this plan run. Rollouts of one plan share it: compiling costs more than running."""
    return Statements(plan, dialect)


class Statements:
    """SQL over the tables ``exposures`` and ``outcomes``, each statement compiled when it is first asked for."""

    def __init__(self, plan: Plan, dialect: str = "duckdb") -> None:
        self.plan, self.dialect = plan, dialect
        self.clock = Clock(round(plan.look_every.seconds * MICRO), round(plan.time_bucket.seconds * MICRO))
        self.segments = [segment.name for segment in plan.segments]
        self.segment_columns = [segment_column(name) for name in self.segments]
        schema = dict(EXPOSURES) | dict.fromkeys(self.segment_columns, "string")
        self.exposures = ibis.table(schema, name="exposures")
        self.outcomes = ibis.table(dict(OUTCOMES), name="outcomes")
        self.live = self.exposures.filter(self.exposures.arm.isin(LIVE))
        self.prompt = tuple(m for m in plan.metrics if not reads_outcomes(m) and m.kind != "agreement")
        horizons = dict.fromkeys(_micros(m) for m in plan.metrics if reads_outcomes(m))
        self.groups = tuple(MaturityGroup(self, horizon) for horizon in horizons)

    @property
    def reach(self) -> int:
        """How long before a look an exposure can still matter, in microseconds."""
        longest = max(((g.horizon or 0) + g.watch for g in self.groups), default=0)
        return longest + 2 * (self.clock.step + GRACE)

    def sql(self, expression: ir.Table) -> str:
        return compile_sql(expression, self.dialect)

    @cached_property
    def arrivals(self) -> str:
        """New rows of every arm, by unit and crossed cell, with the metrics known at once.

        ``first`` is the earliest request, as 20 digits of its time and then its id: the least text is the least pair.
        """
        return self.sql(self._arrivals())

    @cached_property
    def mirror(self) -> str:
        """What became of mirrored requests: new pairs by bin and bin, and what lacks an answer after the grace.

        ``kind``: *pair* (joined in the window; a score without a bin is null), *shadow* (a copy that is in no pair) or
        *champion* (a request without a copy, by unit: only some units are mirrored).
        """
        return self.sql(self._mirror())

    def _arrivals(self) -> ir.Table:
        e = self.exposures.filter(in_window(self.exposures.t))
        sums = {"exposures": holds(e.eid.notnull()), "requests": holds(e.row == 0)}
        for n, metric in enumerate(self.prompt):
            sums |= {column(n, name): value for name, value in prompt_sums(metric, e).items()}
        return cross_sums(
            e, self.clock, ["phase", "arm", "bucket", "unit", *self.segment_columns], sums,
            first=lambda e: (e.t.cast("string").lpad(20, "0") + e.request_id).min(),
        )  # fmt: skip

    def _shadow_rows(self, *, before: int, after: int = 0) -> ir.Table:
        s = self.exposures.filter(self.exposures.arm == "shadow")
        s = s.filter(around_window(s.t, before=before, after=after))
        return s.select(
            s_request_id=s.request_id, s_row=s.row, s_t=s.t, s_score=s.score, s_bin=s.bin, s_answered=s.answered
        )

    def _champion_rows(self, *, before: int, after: int = 0) -> ir.Table:
        c = self.exposures.filter(self.exposures.arm == "champion")
        return c.filter(around_window(c.t, before=before, after=after))

    def pairs(self, *, before: int, until: int) -> ir.Table:
        """Champion rows beside the shadow's answer to the same row of the same request, both answered.

        ``before``: how long before the window a pair may have been joined; ``until``: how long before the window's end
        the champion's row must have been there.
        """
        c = self._champion_rows(before=before + GRACE, after=-until).filter(lambda c: c.answered)
        s = self._shadow_rows(before=before + GRACE, after=min(GRACE - until, 0)).filter(lambda s: s.s_answered)
        met = c.join(s, (c.request_id == s.s_request_id) & (c.row == s.s_row))
        return met.filter(_near(met.t, met.s_t)).mutate(joined=ibis.greatest(met.t, met.s_t))

    def _mirror(self) -> ir.Table:
        past = 2 * GRACE + self.clock.step
        c, s = self._champion_rows(before=past), self._shadow_rows(before=past)
        by = ["bucket"] if self.plan.agreements else []
        c = c.select("request_id", "row", "t", "phase", "unit", "answered", "bin", *by, *self.segment_columns)
        met = c.outer_join(s, (c.request_id == s.s_request_id) & (c.row == s.s_row) & _near(c.t, s.s_t))
        both = (met.answered & met.s_answered).fill_null(False)
        due = self.clock.tick(met.s_t.coalesce(met.t) + GRACE)
        overdue = (met.row.coalesce(met.s_row) == 0) & in_window(due)
        kind = ibis.cases(
            (both & in_window(ibis.greatest(met.t, met.s_t)), "pair"),
            (met.s_t.isnull() & overdue, "champion"),
            (met.s_t.notnull() & ~both & overdue, "shadow"),
        )
        met = met.select("phase", "unit", "bin", "s_bin", *by, *self.segment_columns, kind=kind, due=due)
        met = met.filter(met.kind.notnull())
        pair, alone = met.kind == "pair", met.kind == "champion"
        met = met.mutate(
            bin_c=ibis.ifelse(pair, met.bin, ibis.null("int64")),
            bin_s=ibis.ifelse(pair, met.s_bin, ibis.null("int64")),
            unit=ibis.ifelse(alone, met.unit, ibis.null("string")),
            due=ibis.ifelse(alone, met.due, ibis.null("int64")),
            **{name: ibis.ifelse(pair, met[name], ibis.null("int64")) for name in by},
        )
        by = ["kind", "phase", "unit", "due", "bin_c", "bin_s", *by, *self.segment_columns]
        return met.group_by(by).agg(n=met.count())


class MaturityGroup:
    """Outcome metrics with one horizon (microseconds; None: due at the next tick) and their statements."""

    def __init__(self, statements: Statements, horizon: int | None) -> None:
        self.base, self.horizon = statements, horizon
        self.metrics = tuple(m for m in statements.plan.metrics if reads_outcomes(m) and _micros(m) == horizon)
        self.paired = tuple(m for m in self.metrics if m.pairs)
        self.outcomes = tuple(sorted({name for metric in self.metrics for name in metric.outcomes}))

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
        due = self.base.clock.tick(rows.t + (self.horizon or 0))
        return rows.mutate(due=due, deadline=due if self.horizon is None else rows.t + self.horizon)

    def _matured(self, rows: ir.Table, metrics: Sequence[Metric]) -> ir.Table:
        names = sorted({name for metric in metrics for name in metric.outcomes})
        rows = with_outcomes(rows.filter(in_window(rows.due)), self.base.outcomes, names)
        values = {name: rows[f"value_{n}"] for n, name in enumerate(names)}
        sums = {"exposures": holds(rows.eid.notnull())}
        for n, metric in enumerate(metrics):
            sums |= {column(n, name): value for name, value in mature_sums(metric, rows, values).items()}
        return cross_sums(rows, self.base.clock, ["phase", "arm", "bucket", *self.base.segment_columns], sums)

    def _live(self) -> ir.Table:
        return self._due(self._aged(within=self.base.clock.step)).select(*self._columns())

    def _aged(self, *, within: int) -> ir.Table:
        """Exposures of champion and canary that reached the horizon in the window, or up to ``within`` before it.

        Nothing is due before that, so a look skips what is too young as it skips what is long over.
        """
        live, horizon = self.base.live, self.horizon or 0
        return live.filter(around_window(live.t, before=horizon + within, after=-horizon))

    def _pairs(self) -> ir.Table:
        horizon = self.horizon or 0
        pairs = self._due(self.base.pairs(before=max(horizon, GRACE) + self.base.clock.step, until=horizon))
        pairs = pairs.mutate(due=ibis.greatest(pairs.due, self.base.clock.tick(pairs.joined)))
        return pairs.select(*self._columns(), "s_score")

    def _columns(self) -> list[str]:
        names = ["eid", "phase", "arm", "bucket", "t", "outcome_key", "score", "due", "deadline"]
        return names + self.base.segment_columns

    def _late(self) -> ir.Table:
        new = self.base.outcomes.filter(
            in_window(self.base.outcomes.o_received), self.base.outcomes.o_name.isin(list(self.outcomes))
        )
        rows = self._aged(within=self.base.clock.step + self.watch).select("outcome_key", "t")
        met = self._due(rows.join(new, rows.outcome_key == new.o_key))
        met = met.filter(met.o_received > met.due, met.o_received <= met.due + self.watch)
        return met.group_by("o_name").agg(n=met.count())


def reads_outcomes(metric: Metric) -> bool:
    return metric.kind in OUTCOME_KINDS or metric.kind == "sum_per_time"


def rare_metrics(plan: Plan) -> list[Metric]:
    """Metrics judged on units' first events, in the plan's order."""
    return [metric for metric in plan.metrics if metric.rare]


def _micros(metric: Metric) -> int | None:
    return None if metric.horizon is None else round(metric.horizon.seconds * MICRO)


def _near(a: ir.IntegerColumn, b: ir.IntegerColumn) -> ir.BooleanValue:
    return (a - b <= GRACE) & (b - a <= GRACE)
