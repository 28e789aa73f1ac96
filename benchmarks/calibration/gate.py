"""seatrial's own verdicts on simulated sums: `rollout.gates.judge` on real evidence, as in a live look.

A look that cannot matter is not taken: its estimate (`series`) shows that no bound is near a line. Whatever does
matter, and the look that closes the planned part of the boundary, is judged by the gates, and only they decide.
``every=True`` takes all looks; the study does so for a part of its releases and compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.series import Series
from benchmarks.calibration.verdict import NEVER, Verdict
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import COUNT, DENOMINATOR, MICRO, NUMERATOR, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.ids import CANARY, CHAMPION, ModelName, RolloutId, VersionNumber
from seatrial.rollout.gates import judge
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Step
from seatrial.rollout.stages import Stage
from seatrial.rollout.start_rule import MAX_SKEWNESS, MIN_EXPECTED_EVENTS
from seatrial.rollout.state import Phase, RolloutState
from seatrial.stats.sequential import joined_width, planned_information
from seatrial.values import Margin, Share

Floats = NDArray[np.float64]
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SLACK = 0.01
"""A bound that misses its line by more than this many standard errors is not near it."""


@dataclass(frozen=True)
class Gate:
    """The gates of a plan with these guardrails, at the last stage: a pass is a promotion.

    ``margins``: relative margin of each metric; ``yes_no``: proportions, or means of a value.
    """

    margins: tuple[float, ...]
    yes_no: bool = True

    @cached_property
    def plan(self) -> Plan:
        kind = "proportion" if self.yes_no else "mean"
        metrics = tuple(
            Metric(name=f"m{i}", kind=kind, outcome=f"m{i}", margin=Margin(m, "relative"))  # type: ignore[arg-type]
            for i, m in enumerate(self.margins)
        )
        return Plan(name="calibration", steps=(Step(set_weight=Share(1000)),), metrics=metrics)

    def verdict(self, metrics: Sequence[Series], *, every: bool = False) -> Verdict:
        """First look with a failing guardrail, and first look at which all pass."""
        looks = metrics[0].looks
        near = [self._near(series, margin) for series, margin in zip(metrics, self.margins, strict=True)]
        may_fail = np.any([fail for fail, _, _ in near], axis=0)
        may_pass = np.all([good for _, good, _ in near], axis=0)
        closes = np.any([closing for _, _, closing in near], axis=0)
        state, failed, passed = start(), NEVER, NEVER
        for look in range(looks):
            asked = (may_fail[look] and failed == NEVER) or (may_pass[look] and passed == NEVER)
            if not (every or asked or closes[look]):
                continue
            judged = judge(self.plan, Stage(0, "canary", 1000, 0), True, state, self._evidence(metrics, look))
            state = replace(state, closed=tuple(sorted({*state.closed, *judged.closed})))
            here = (look + 1) / looks
            if judged.failing():
                failed = min(failed, here)
            if all(v.verdict == "pass" for v in judged.verdicts):
                passed = min(passed, here)
        return Verdict(failed, passed)

    def _near(self, series: Series, margin: float) -> tuple[NDArray[np.bool_], ...]:
        """Per look: may it fail, may it pass, and does it close the planned looks? Generous, never too strict."""
        e = series.stratified
        alpha = self.plan.alpha
        planned = planned_information(math.log1p(-margin))
        with np.errstate(invalid="ignore"):
            started = (
                e.rate_c * e.count_t >= MIN_EXPECTED_EVENTS * (1 - 1e-9)
                if self.yes_no
                else (e.variance > 0) & (np.abs(e.skewness) <= MAX_SKEWNESS + 1e-6)
            )
            reached = np.nan_to_num(1 / e.variance) >= planned * (1 - 1e-9)
            closing = np.zeros(len(reached), bool)
            closing[reached.argmax()] = reached.any()
            error = np.sqrt(e.variance)
            fail_width = widths(e.variance, planned, alpha.rollback / len(self.margins))
            pass_width = widths(e.variance, planned, alpha.promotion)
            may_fail = started & (e.log_ratio + (fail_width - SLACK) * error < 0)
            may_pass = started & (e.log_ratio - (pass_width - SLACK) * error > math.log1p(-margin))
        return may_fail, may_pass, closing

    def _evidence(self, metrics: Sequence[Series], look: int) -> Evidence:
        """What a live look would have read: sums up to ``look``, per stratum, arm and bucket."""
        at = BEGIN + timedelta(hours=look + 1)
        names = [metric.name for metric in self.plan.metrics]
        return Evidence(
            at, {name: MetricEvidence(_tally(series, look)) for name, series in zip(names, metrics, strict=True)}
        )


def widths(variance: Floats, planned: float, alpha: float) -> Floats:
    """`joined_width` at every look, from a table of it; the looks after the one that closes the plan have the rest."""
    share = 1 / (variance * planned)
    grid, before, after = _table(alpha)
    where = np.log(share)
    closed = np.cumsum(np.nan_to_num(share) >= 1) > np.nan_to_num(share >= 1)
    out: Floats = np.where(closed, np.interp(where, grid, after), np.interp(where, grid, before))
    return out


@cache
def _table(alpha: float) -> tuple[Floats, Floats, Floats]:
    """Widths over log shares of the planned information, while the planned looks last and when they are over."""
    grid = np.linspace(math.log(1e-5), math.log(1e3), 4000)
    grid = np.sort(np.append(grid, 0.0))
    before, after = (
        np.array([joined_width(math.exp(x), 1.0, alpha=alpha, planned_looks_over=over) for x in grid])
        for over in (False, True)
    )
    return grid, before, after


def _tally(series: Series, look: int) -> Tally:
    cells = {}
    arms = (CANARY, series.num_t, series.den_t), (CHAMPION, series.num_c, series.den_c)
    for number, (a, b) in enumerate(series.strata):
        if a > look:
            break
        last = min(b - 1, look)
        for arm, num, den in arms:
            cells[Cell(1, number * 86_400, TOTAL, arm)] = _sums(num.within[last], den.within[last])
    return Tally(cells)


def _sums(num: Floats, den: Floats) -> NDArray[np.int64]:
    sums = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
    sums[:, COUNT] = den
    sums[:, NUMERATOR] = np.round(num * MICRO)
    sums[:, DENOMINATOR] = sums[:, COUNT] * MICRO
    return sums


def start(phases: tuple[Phase, ...] = (Phase(1, 0, 1000, 0, BEGIN),)) -> RolloutState:
    """A rollout that has come through these phases without a strike."""
    return RolloutState(
        rollout=RolloutId("simulated"),
        model=ModelName("simulated"),
        champion=VersionNumber(1),
        candidate=VersionNumber(2),
        salt="simulated",
        started=BEGIN,
        phases=phases,
    )
