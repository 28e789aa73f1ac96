"""The year as one document (``seatrial.demo-year.v1``): the same year, the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.demo.flights import instant
from seatrial.demo.year.config import YearConfig
from seatrial.demo.year.controls import Control
from seatrial.demo.year.loop import History, Turn
from seatrial.demo.year.models import Version
from seatrial.demo.year.release import Released, Stage
from seatrial.demo.year.weeks import Quality, Week, hindsight, weeks, whole
from seatrial.retrain.manager import Event, Reading
from seatrial.retrain.policy import Policy
from seatrial.rollout.verdicts import Decision, MetricVerdict
from seatrial.store.canonical import iso_z

Document = dict[str, Any]
SERVED, NEVER, NEWEST = "served", "neverRetrained", "newest"


@dataclass(frozen=True)
class Year:
    """Everything that was found. ``late``: the history in which the first model was kept longer, if that was asked."""

    config: YearConfig
    policy: Policy
    stage: Stage
    history: History
    late: History | None
    controls: Sequence[Control]


def document(year: Year) -> Document:
    """All of it, for people's scripts and for the report."""
    config, history, world = year.config, year.history, year.stage.world
    lanes = {SERVED: history.served, NEVER: history.first.scores, NEWEST: history.newest}
    begin, end = instant(config.begin), instant(config.end)
    return {
        "schema": "seatrial.demo-year.v1",
        "model": config.model,
        "begin": config.begin.isoformat(),
        "end": config.end.isoformat(),
        "seed": config.seed,
        "plan": year.stage.plan.name,
        "first": _version(history.first),
        "total": {lane: _quality(found) for lane, found in whole(world, lanes, begin, end).items()},
        "weeks": [_week(week) for week in weeks(world, lanes, begin, end)],
        "runs": [_turn(year, history, turn) for turn in history.turns],
        "events": [_event(event) for event in history.events],
        "readings": [_reading(reading) for reading in history.readings],
        "keptLonger": None if year.late is None else _kept_longer(year, year.late),
        "controls": [_control(control) for control in year.controls],
        "cost": _cost(year, history),
    }


def outcomes(runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many runs came to what.

    >>> outcomes([{"outcome": "promoted"}, {"outcome": "aborted"}, {"outcome": "promoted"}])
    {'promoted': 2, 'aborted': 1, 'undecided': 0}
    """
    words = ("promoted", "aborted", "undecided")
    return {word: sum(run["outcome"] == word for run in runs) for word in words}


def _version(version: Version) -> Document:
    return {
        "version": version.number,
        "window": {"start": version.start.isoformat(), "end": version.cut.isoformat(), "rows": version.data.rows,
                   "digest": version.data.digest},
        "rehearsal": dict(version.metrics),
    }  # fmt: skip


def _turn(year: Year, history: History, turn: Turn) -> Document:
    run, world, end = turn.run, year.stage.world, instant(year.config.end)
    since = turn.version.cut
    return {
        "run": run.number,
        "started": iso_z(run.started),
        "trigger": run.trigger.trigger,
        "kind": run.trigger.kind,
        "cause": run.cause,
        "detail": run.trigger.detail,
        "also": [f"{signal.trigger}: {signal.detail}" for signal in run.evidence],
        **_version(turn.version),
        "champion": turn.champion.number,
        "rollout": turn.released.state.rollout,
        "outcome": turn.outcome,
        "ended": iso_z(turn.released.ended),
        "shadow": _loss(turn.released, "shadow"),
        "live": _loss(turn.released, "live"),
        **_end(turn.released),
        "moves": [_move(decision) for decision in turn.released.moves()],
        "hindsight": {
            "champion": _rounded(hindsight(world, turn.version.scores, turn.champion.scores, since, end)),
            "neverRetrained": _rounded(hindsight(world, turn.version.scores, history.first.scores, since, end)),
        },
    }


def _end(released: Released) -> Document:
    """What the last decision said, and what was missing."""
    last = released.decisions[-1]
    return {"rule": last.rule, "reason": last.reason, "needs": list(last.needs)}


def _loss(released: Released, arms: str) -> Document | None:
    """What the last look in these arms said of the loss: how much higher the challenger's is, relative."""
    seen = [v for d in released.decisions for v in d.verdicts if v.arms == arms and v.losses and v.estimate is not None]
    return _bounds(seen[-1]) if seen else None


def _bounds(v: MetricVerdict) -> Document:
    return {"estimate": _rounded(v.estimate), "lower": _rounded(v.lower), "upper": _rounded(v.upper),
            "verdict": v.verdict, "exposures": v.count_candidate}  # fmt: skip


def _move(decision: Decision) -> Document:
    return {"at": iso_z(decision.at), "action": decision.action, "stage": decision.stage_name, "rule": decision.rule,
            "reason": decision.reason}  # fmt: skip


def _week(week: Week) -> Document:
    return {"start": iso_z(week.start), "flights": week.flights, "late": _rounded(week.late),
            **{lane: _quality(found) for lane, found in week.lanes.items()}}  # fmt: skip


def _quality(found: Quality) -> Document:
    return {"auc": _rounded(found.auc), "logLoss": _rounded(found.log_loss)}


def _event(event: Event) -> Document:
    until = iso_z(event.until) if event.until is not None and event.what == "suppressed" else None
    return {"at": iso_z(event.at), "what": event.what, "trigger": event.trigger, "reason": event.reason,
            "suppressedUntil": until, "run": event.run}  # fmt: skip


def _reading(reading: Reading) -> Document:
    return {"at": iso_z(reading.at), "drifted": dict(reading.psi), "loss": reading.loss, "mature": reading.mature}


def _kept_longer(year: Year, late: History) -> Document:
    assert year.config.late is not None, "it was asked for"
    return {"from": year.config.late.begin.isoformat(), "runs": [_turn(year, late, turn) for turn in late.turns],
            "events": [_event(event) for event in late.events]}  # fmt: skip


def _control(control: Control) -> Document:
    back = control.sent_back
    return {
        "storm": control.storm.isoformat(),
        "split": control.split,
        "fault": control.fault or None,
        "version": control.version,
        "outcome": control.released.outcome,
        "sentBack": None if back is None else iso_z(back),
        "byStorm": control.by_storm,
        "reason": next((d.reason for d in control.released.decisions if d.at == back), ""),
    }


def _cost(year: Year, history: History) -> Document:
    costs, shadowed = year.config.costs, sum(turn.released.shadowed for turn in history.turns)
    runs = len(history.turns)
    return {"runs": runs, "training": runs * costs.run, "shadowed": shadowed,
            "shadowing": round(shadowed * costs.shadowed, 2),
            "total": round(runs * costs.run + shadowed * costs.shadowed, 2)}  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
