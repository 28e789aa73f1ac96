"""One rollout in a sentence: what happened to the candidate, why, and whom it touched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, MetricVerdict
from seatrial.rollout.wording import number
from seatrial.values import Margin

_UNITS: Final = (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0))


def story(plan: Plan, state: RolloutState, decisions: Sequence[Decision], units: int | None) -> str:
    """``v4 was stopped in shadow after 2 days: log_loss +31.0% [+12.1%, +52.0%], tolerated 1.5%; no user was touched.``

    ``units``: units that the candidate answered, if that is known. Raises ValueError without decisions.
    """
    if not decisions:
        raise ValueError(f"rollout {state.rollout} has no decision to tell of")
    last = decisions[-1]
    if state.status == "promoted":
        return f"{_promoted(plan, state, last)}; {_reach(state, units)}."
    if state.status == "aborted":
        where = compile_stages(plan)[state.stage].name
        after = span_text(state.phase.started - state.started)
        return f"v{state.candidate} was stopped in {where} after {after}{_cause(plan, last)}; {_reach(state, units)}."
    return _under_way(plan, state, last)


def _promoted(plan: Plan, state: RolloutState, last: Decision) -> str:
    after = span_text(state.phase.started - state.started)
    if last.rule == "manual":
        return f"v{state.candidate} was given to everyone by {last.actor} after {after}, past the gates: {last.reason}"
    shown = ", ".join(difference(v, metric_of(plan, v)) for v in last.verdicts)
    return f"v{state.candidate} reached everyone after {after}: no guardrail lost more than its margin ({shown})"


def _cause(plan: Plan, last: Decision) -> str:
    failing = [v for v in last.verdicts if v.verdict == "fail"]
    if last.rule == "guardrail_harm" and failing:
        return ": " + "; ".join(difference(v, metric_of(plan, v)) for v in failing)
    return f" by {last.actor}: {last.reason}" if last.rule == "manual" else f": {last.reason}"


def _reach(state: RolloutState, units: int | None) -> str:
    """Whom the candidate answered before it was decided on."""
    before = [phase for phase in state.phases[:-1] if phase.weight]
    most = max((phase.weight for phase in before), default=0)
    if not most:
        return "no user was touched" if state.status == "aborted" else "nobody had seen it before"
    share = f"at most {most / 100:g}% of units at a time"
    who = share if units is None else f"{units:,} unit{'' if units == 1 else 's'}, {share}"
    strikes = len(state.strikes)
    return f"it had answered {who}" + (f", and had {strikes} strike{'s' * (strikes > 1)}" if strikes else "")


def _under_way(plan: Plan, state: RolloutState, last: Decision) -> str:
    where = compile_stages(plan)[state.stage].name
    if state.status == "paused":
        return f"v{state.candidate} is paused at {where}: {state.reason}."
    needs = f" ({'; '.join(last.needs)})" if last.needs else ""
    return f"v{state.candidate} is at {where} since {time_text(state.phase.started)}: {last.reason}{needs}."


def difference(verdict: MetricVerdict, metric: Metric | None) -> str:
    """``log_loss +31.0% [+12.1%, +52.0%], tolerated 1.5%``, or that there is no estimate."""
    if verdict.estimate is None:
        return f"{verdict.metric} without an estimate"
    interval = interval_text(verdict)
    tolerated = f", tolerated {_margin_text(verdict, metric.margin)}" if metric is not None and metric.margin else ""
    return f"{verdict.metric} {number(verdict, verdict.estimate)}{' ' + interval if interval else ''}{tolerated}"


def interval_text(verdict: MetricVerdict) -> str:
    """``[+12.1%, +52.0%]``; empty while there is none."""
    if verdict.lower is None or verdict.upper is None:
        return ""
    return f"[{number(verdict, verdict.lower)}, {number(verdict, verdict.upper)}]"


def _margin_text(verdict: MetricVerdict, margin: Margin) -> str:
    """``1.5%``, ``1pp`` or ``0.02 absolute``: in the unit in which the difference is shown."""
    points = margin.scale == "absolute" and verdict.method.startswith("exact")
    return f"{100 * margin.value:g}pp" if points else str(margin)


def metric_of(plan: Plan, verdict: MetricVerdict) -> Metric | None:
    """What the plan says of a verdict's metric."""
    return next((m for m in plan.metrics if m.name == verdict.metric), None)


def span_text(length: timedelta) -> str:
    """A length of time in its largest fitting unit: ``2 days``, ``1.5 hours``, ``40 seconds``."""
    seconds = max(length.total_seconds(), 0.0)
    name, unit = next(((n, u) for n, u in _UNITS if seconds >= u), _UNITS[-1])
    amount = f"{round(seconds / unit, 1):g}"
    return f"{amount} {name}{'' if amount == '1' else 's'}"


def time_text(time: datetime) -> str:
    """``2026-03-02 14:05 UTC``."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
