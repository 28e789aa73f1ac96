"""Which look of a window is the next one that can change anything.

A look that finds no harm and no alarm, ends no planned look and cannot advance leaves everything as it is. The screen
tells those apart by arrays over the whole window; whatever it lets through is looked at by the real gates. It lets
through too much rather than too little: its bounds are nowhere wider than theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy.special import rel_entr

from seatrial.evidence.snapshot import Evidence
from seatrial.evidence.tally import MICRO
from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm
from seatrial.rollout.alarms import LIMIT_ALPHA
from seatrial.rollout.exact import DEFAULT_MARGIN, judge_rare
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.rollout.pacing import shortest
from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.feed import Bools, Floats, Ints
from seatrial.rollout.simulate.track import Path, Track
from seatrial.rollout.simulate.world import World
from seatrial.rollout.stages import Stage
from seatrial.rollout.start_rule import MIN_EXPECTED_EVENTS
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import Arms, MetricVerdict
from seatrial.stats.counts import harm_grid, relief_grid
from seatrial.stats.sequential import TUNED_AT, confidence_sequence_width, final_z, joined_width, planned_information
from seatrial.stats.sequential import spend as split_alpha
from seatrial.stats.srm import ODDS_GRID
from seatrial.values import Margin, Share

_SLACK = 1e-9
"""Relative: the screen adds the same numbers in another order than the gates."""


@dataclass(frozen=True, slots=True)
class Case:
    """Looks ``after + 1`` to ``upto`` of the window that is drawn, in the present state."""

    plan: Plan
    stage: Stage
    last: bool
    state: RolloutState
    world: World
    after: int
    upto: int

    @property
    def looks(self) -> Ints:
        return np.arange(self.after + 1, self.upto + 1)

    @property
    def arms(self) -> Arms:
        return "shadow" if self.stage.kind == "shadow" else "live"

    @property
    def treatment(self) -> Arm:
        return SHADOW if self.arms == "shadow" else CANARY

    @property
    def guardrails(self) -> tuple[Metric, ...]:
        """Those that count at this stage."""
        return tuple(m for m in self.plan.guardrails if self.stage.watches(m))

    @property
    def factor(self) -> float:
        return 1.0 if self.last else self.stage.tolerance

    @property
    def seconds(self) -> Floats:
        """Of every look, since the release began."""
        seconds: Floats = self.looks.astype(np.float64) * self.world.grid.step
        return seconds

    @property
    def lasted(self) -> Bools:
        """The stage has lasted as long as the plan says, at its fastest pace."""
        in_stage = self.seconds - _since(self.state, self.state.phase.started)
        lasted: Bools = in_stage >= shortest(self.plan, self.stage) - _SLACK
        return lasted

    @property
    def overdue(self) -> Bools:
        overdue: Bools = self.seconds > self.plan.deadline.seconds
        return overdue

    def here(self, series: Ints) -> Ints:
        """Of a series over the slots of the window, what these looks see."""
        begin = self.world.settled
        return series[self.after - begin : self.upto - begin]

    @property
    def drawn(self) -> int:
        """Slots from the begin of the window to the last look."""
        return self.upto - self.world.settled


def next_look(case: Case) -> int | None:
    """The first look of the case that may change anything."""
    sums = [_Sums.of(case, m) for m in case.guardrails if not m.rare and (case.arms == "live" or m.pairs)]
    rare = [_Rare.of(case, m) for m in case.guardrails if m.rare]
    tests: list[_Sums | _Rare] = [*sums, *rare]
    surely = _alarmed(case)
    for guardrail in sums:
        surely |= guardrail.closing()
    ready = case.lasted & _sampled(case)
    if case.plan.on_deadline == "abort":
        surely |= case.overdue
    ready &= ~case.overdue
    harm = np.zeros(len(ready), dtype=bool)
    for test in tests:
        ready &= test.may_pass
        harm |= test.may_harm
    for index in np.flatnonzero(surely | harm | ready).tolist():
        if surely[index] or _acts(index, tests, ready=bool(ready[index])):
            return case.after + 1 + index
    return None


def _acts(index: int, tests: list[_Sums | _Rare], *, ready: bool) -> bool:
    """Whether a look that the arrays could not rule out finds harm, or lets everything pass."""
    return any(t.may_harm[index] and t.harms(index) for t in tests) or (ready and all(t.passes(index) for t in tests))


def _alarmed(case: Case) -> Bools:
    """Looks at which the sample ratio or an absolute limit may speak."""
    phases = [p for p in case.state.phases if p.weight > 0]
    canary, champion = (case.world.units.by_phase(None, arm, case.drawn) for arm in (CANARY, CHAMPION))
    log_e = _log_e(case, phases, canary, champion, ODDS_GRID, 1.0)
    found: Bools = log_e >= -math.log(case.plan.alpha.srm) - _SLACK
    for metric in case.plan.metrics:
        if isinstance(metric.limit, Share) and metric.name in case.world.live:
            track = case.world.live[metric.name]
            count, total = (_seen(case, track, values) for values in track.open)
            found |= _excludes(total / MICRO, count, metric.limit.fraction, 2 * LIMIT_ALPHA, above=True)
    return found


def _sampled(case: Case) -> Bools:
    """The stage's least units, pairs and outcomes are there."""
    stage, world = case.stage, case.world
    found: Bools = case.here(world.units.series("arms", case.treatment, case.drawn)) >= stage.min_units
    if stage.kind == "shadow":
        found &= case.here(world.copies) >= stage.min_pairs
    if stage.min_outcomes:
        for metric in case.guardrails:
            if not metric.rare and (case.arms == "live" or metric.pairs):
                track = _track(case, metric)
                found &= _seen(case, track, track.whole.count) >= stage.min_outcomes
    return found


@dataclass(frozen=True, slots=True)
class _Sums:
    """A guardrail on sums: what its joined boundary says at every look."""

    case: Case
    metric: Metric
    margin: Margin
    track: Track
    may_harm: Bools
    may_pass: Bools

    @classmethod
    def of(cls, case: Case, metric: Metric) -> _Sums:
        margin = metric.margin or Margin(0.05, "relative")
        nothing = np.zeros(len(case.looks), dtype=bool)
        test = cls(case, metric, margin, _track(case, metric), nothing, nothing)
        harm = test._beyond(test._line, test._alpha_fail, "fail", test.track.epoch, worse=True)
        if case.arms == "shadow":
            harm &= case.lasted  # as rollout.decide: losses in shadow are judged on the whole minimum duration
        bound, alpha = test._signed(margin.times(case.factor)), case.plan.alpha.promotion
        passing = test._beyond(bound, alpha, "pass", test.track.whole, worse=False) | test._identical()
        if test._split:
            passing &= test._beyond(bound, alpha, "epoch", test.track.epoch, worse=False) | test._identical()
        return replace(test, may_harm=harm, may_pass=passing)

    @property
    def _split(self) -> bool:
        """Whether there was a strike: then the epoch is judged beside the whole."""
        return self.case.state.epoch > self.case.state.phases[0].number

    @property
    def _alpha_fail(self) -> float:
        return self.case.plan.budget()[self.metric.name, self.case.arms]

    @property
    def _planned(self) -> float:
        return planned_information(self._signed(self.margin))

    @property
    def _line(self) -> float:
        harm = self.metric.fail_on == "harm" and self.case.arms == "live"
        return 0.0 if harm else self._signed(self.margin)

    def _signed(self, margin: Margin) -> float:
        value = -margin.value if self.metric.better == "increase" else margin.value
        return value if margin.scale == "absolute" else math.log1p(value)

    def _closed(self, direction: str) -> bool:
        return f"{self.metric.name}/{self.case.arms}/{direction}" in self.case.state.closed

    def closing(self) -> Bools:
        """Looks that reach the planned information: the planned looks end there, and the state remembers it."""
        found = np.zeros(len(self.case.looks), dtype=bool)
        paths = [("pass", self.track.whole), ("fail", self.track.epoch)]
        paths += [("epoch", self.track.epoch)] if self._split else []
        for direction, path in paths:
            if not self._closed(direction):
                variance = _seen(self.case, self.track, path.variance)
                found |= variance * self._planned * (1 - _SLACK) <= 1
        return found

    def _beyond(self, line: float, alpha: float, direction: str, path: Path, *, worse: bool) -> Bools:
        """Looks at which the interval may exclude a line, on the side that is worse or on the one that is better."""
        estimate, variance, count, rate = (
            _seen(self.case, self.track, v) for v in (path.estimate, path.variance, path.count, path.rate)
        )
        away = (estimate - line) * self._sign(worse)
        floor = np.full(len(away), _least_width(alpha))
        if not self._closed(direction):
            with np.errstate(all="ignore"):
                floor = np.minimum(floor, final_z(alpha) * np.sqrt(np.maximum(1.0, variance * self._planned)))
        found: Bools = away > floor * np.sqrt(variance) * (1 - _SLACK)
        if self.metric.kind in SHARE_KINDS:
            events = count * rate
            found &= np.minimum(events, count - events) >= MIN_EXPECTED_EVENTS * (1 - _SLACK)
        return found

    def _sign(self, worse: bool) -> float:
        return 1.0 if (self.metric.better == "increase") != worse else -1.0

    def _identical(self) -> Bools:
        """Shadow and champion with the same loss on every request (rollout.gates): no variance, and a pass."""
        estimate, variance = (
            _seen(self.case, self.track, v) for v in (self.track.whole.estimate, self.track.whole.variance)
        )
        same: Bools = (np.abs(estimate) < _SLACK) & np.isnan(variance) & (self.case.arms == "shadow")
        return same

    def harms(self, index: int) -> bool:
        return self._crosses(index, self._line, self._alpha_fail, "fail", self.track.epoch, worse=True)

    def passes(self, index: int) -> bool:
        if self._identical()[index]:
            return True
        bound, alpha = self._signed(self.margin.times(self.case.factor)), self.case.plan.alpha.promotion
        paths = [("pass", self.track.whole)] + ([("epoch", self.track.epoch)] if self._split else [])
        return all(self._crosses(index, bound, alpha, direction, path, worse=False) for direction, path in paths)

    def _crosses(self, index: int, line: float, alpha: float, direction: str, path: Path, *, worse: bool) -> bool:
        slot = self.case.after + index - self.track.delay
        estimate, variance = float(path.estimate[slot]), float(path.variance[slot])
        closed = self._closed(direction)
        width = joined_width(1 / variance, self._planned, alpha=alpha, planned_looks_over=closed)
        return (estimate - line) * self._sign(worse) > width * math.sqrt(variance) * (1 - _SLACK)


@dataclass(frozen=True, slots=True)
class _Rare:
    """A guardrail on first events: its e-process at every look, and its verdict where that may act."""

    case: Case
    metric: Metric
    may_harm: Bools
    may_pass: Bools

    @classmethod
    def of(cls, case: Case, metric: Metric) -> _Rare:
        margin = metric.margin or DEFAULT_MARGIN
        relative = margin.scale == "relative"
        null = 1.0 + margin.value if metric.fail_on == "inferior" and relative else 1.0
        alpha = case.plan.budget()[metric.name, case.arms]
        harm: Bools = _log_e_of(case, metric, harm_grid(null), null) >= -math.log(alpha) - _SLACK
        bound = margin.times(case.factor)
        if relative:
            theta0 = 1.0 + bound.value
            log_e = _log_e_of(case, metric, relief_grid(theta0), theta0)
            passing: Bools = log_e >= -math.log(case.plan.alpha.promotion) - _SLACK
        else:
            passing = _may_exclude(case, metric, bound.value)
        return cls(case, metric, harm, passing)

    def harms(self, index: int) -> bool:
        return self._judge(index).verdict == "fail"

    def passes(self, index: int) -> bool:
        return self._judge(index).verdict == "pass"

    def _judge(self, index: int) -> MetricVerdict:
        case = self.case
        kept = case.after + 1 + index - case.world.settled
        seen = Evidence(at=case.state.started, units=case.world.units.counts(kept))
        alpha = case.plan.budget()[self.metric.name, case.arms]
        return judge_rare(case.plan, self.metric, case.arms, case.factor, alpha, case.state, seen)


def _may_exclude(case: Case, metric: Metric, bound: float) -> Bools:
    """Looks at which the difference may be shown to be below an absolute bound.

    No sequence excludes what the largest likelihood ratio does not: x ln(x/A) - x + A >= ln(1/alpha) is needed, where A
    is the number of events that the champion's share and the bound come to.
    """
    units, met = ("mirrored", "shadowed") if case.arms == "shadow" else ("phase", "met")
    world, name, slots = case.world, metric.name, case.drawn

    def side(arm: Arm) -> tuple[Floats, Floats]:
        x, n = world.units.met_series(name, met, arm, slots), world.units.series(units, arm, slots)
        return case.here(x).astype(np.float64), case.here(n).astype(np.float64)

    (x_t, n_t), (x_c, n_c) = side(case.treatment), side(CHAMPION)
    with np.errstate(all="ignore"):
        expected = n_t * (bound + x_c / n_c)
        distance = rel_entr(x_t, expected) - x_t + expected
        found: Bools = (x_t < expected) & (distance >= -math.log(case.plan.alpha.promotion / 2) - _SLACK)
    return found


def _excludes(x: Floats, n: Floats, p: Floats | float, alpha: float, *, above: bool) -> Bools:
    """Whether x of n may show that a probability lies above (below) ``p``, at any time-uniform level alpha."""
    with np.errstate(all="ignore"):
        rate = x / n
        distance = n * (rel_entr(rate, p) + rel_entr(1 - rate, 1 - p))
        beyond = rate > p if above else rate < p
        found: Bools = beyond & (distance >= -math.log(alpha) - _SLACK)
    return found


def _log_e_of(case: Case, metric: Metric, grid: Floats, null: float) -> Floats:
    """The e-process of `stats.counts.rate_ratio_log_e` on first events, at every look."""
    if case.arms == "shadow":
        x, y = (case.world.units.met_series(metric.name, "shadowed", arm, case.drawn) for arm in (SHADOW, CHAMPION))
        return _mixture(case.here(x), case.here(x + y)[:, None], np.array([0.5]), grid, null)
    phases = [p for p in case.state.phases if p.number >= case.state.epoch and p.weight > 0]
    canary, champion = (case.world.units.by_phase(metric.name, arm, case.drawn) for arm in (CANARY, CHAMPION))
    return _log_e(case, phases, canary, champion, grid, null)


def _log_e(
    case: Case, phases: list[Phase], canary: dict[int, Ints], champion: dict[int, Ints], grid: Floats, null: float
) -> Floats:
    """Of canary and champion counts by phase."""
    if not phases:
        return np.zeros(len(case.looks))
    nothing = np.zeros(case.drawn, dtype=np.int64)
    x = [canary.get(p.number, nothing) for p in phases]
    m = [n + champion.get(p.number, nothing) for n, p in zip(x, phases, strict=True)]
    share = np.array([p.weight / 10_000 for p in phases])
    events = np.stack([case.here(n) for n in m], axis=1)
    return _mixture(case.here(np.sum(x, axis=0)), events, share, grid, null)


def _mixture(x: Ints, events: Ints, share: Floats, grid: Floats, null: float) -> Floats:
    """``events``: of both arms, shape (looks, strata)."""
    d = np.log1p(np.outer(grid - 1, share)) - np.log1p(share * (null - 1))
    logs = np.outer(x, np.log(grid / null)) - events @ d.T
    top = logs.max(axis=1)
    mixed: Floats = top + np.log(np.exp(logs - top[:, None]).mean(axis=1))
    return mixed


def _track(case: Case, metric: Metric) -> Track:
    return (case.world.pairs if case.arms == "shadow" else case.world.live)[metric.name]


def _seen(case: Case, track: Track, values: Floats) -> Floats:
    """Of values over all slots, what is mature at each look; NaN where nothing is."""
    slot = case.looks - 1 - track.delay
    seen: Floats = np.where(slot >= 0, values[np.maximum(slot, 0)], np.nan)
    return seen


def _least_width(alpha: float) -> float:
    """No wider than the confidence sequence anywhere; it is tightest near a quarter of the plan, not quite at it."""
    return 0.99 * confidence_sequence_width(TUNED_AT, 1.0, split_alpha(alpha).cs)


def _since(state: RolloutState, moment: datetime) -> float:
    return (moment - state.started).total_seconds()
