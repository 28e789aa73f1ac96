"""The verdicts of a plan on somebody's own table: the same sums and the same gates as live, in one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from seatrial.control.documents.views import plain
from seatrial.engines.batch import MOST_PHASES, Found, evidence_of, metrics_of
from seatrial.engines.columns import Asked, Columns, find_columns
from seatrial.engines.inputs import Input
from seatrial.engines.splits import arms_of, splits_of
from seatrial.engines.wide import Group, Split, Units, Wide, without_mixed
from seatrial.errors import UsageError
from seatrial.events.schema import from_micros, to_micros
from seatrial.evidence.tally import MICRO
from seatrial.ids import CANARY, CHAMPION, Arm, ModelName, RolloutId, VersionNumber
from seatrial.rollout.alarms import past_limit
from seatrial.rollout.look import Looked, take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import MetricVerdict, Signals
from seatrial.store.canonical import iso_z

Document = dict[str, Any]
Mixed = Literal["refuse", "keep", "drop"]
Result = Literal["pass", "fail", "undecided"]

RESULT: Mapping[str, Result] = {"advance": "pass", "promote": "pass", "step_back": "fail", "abort": "fail"}
"""What an action of the plan says about the candidate; every other one leaves it open."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a table.

    ``stage``: judged as at this stage of the plan, numbered from 1; the last one unless given. ``at``: when the table
    was taken, the time of its last exposure unless given. ``mixed``: what becomes of units that were in both arms
    within one phase. ``splits``: see ``engines.splits``.
    """

    plan: Plan
    asked: Asked = field(default_factory=Asked)
    arms: Mapping[Arm, str] = field(default_factory=dict)
    splits: Sequence[str] = ()
    units: Units = field(default_factory=Units)
    stage: int | None = None
    at: datetime | None = None
    mixed: Mixed = "refuse"


@dataclass(frozen=True)
class Analysis:
    """One look at a table, with what it was taken on."""

    name: str
    plan: Plan
    stage: Stage
    columns: Columns
    groups: Sequence[Group]
    arms: Mapping[str, Arm]
    splits: Sequence[Split]
    found: Found
    looked: Looked

    @property
    def result(self) -> Result:
        return RESULT.get(self.looked.decision.action, "undecided")


def analyze(source: Input, question: Question) -> Analysis:
    """Judge a table by a plan. Raises UsageError where the table or the question does not tell enough.

    Only the first look at the planned information is the final planned one, in a rollout too. So a log that goes beyond
    it is judged as by somebody who watched it grow, and asking again and again adds no false alarms.
    """
    # A table has no shadow, in which alone agreement is judged.
    plan = replace(question.plan, metrics=tuple(m for m in question.plan.metrics if m.kind != "agreement"))
    stage = _stage(plan, question.stage)
    columns = find_columns(plan, source.columns, question.asked, source.name)
    wide = Wide(source, columns, question.units)
    groups = wide.groups()
    arms = arms_of(groups, columns.arm, question.arms)
    declared = "phase" in question.asked.parts
    splits = splits_of(plan, question.splits, groups, column=columns.phase, declared=declared)
    if len(splits) > MOST_PHASES:
        raise UsageError("ST0275", f"{len(splits)} phases are too many (at most {MOST_PHASES}): is it the phase?")
    phases, last = _phases(plan, stage, groups, arms, splits, source.name)
    at = question.at or from_micros(last)
    exposures = wide.exposures(arms, splits, to_micros(at))
    if question.mixed == "drop":
        exposures = without_mixed(exposures)
    found = evidence_of(wide.run, exposures, plan, [phase.number for phase in phases], at)
    if found.mixed and question.mixed == "refuse":
        raise UsageError(
            "ST0276",
            f"{found.mixed:,} of {found.units:,} units are in both arms within one phase: these are not two groups.",
            remedy="Name the right unit (--unit), or say what becomes of them: --mixed drop, or --mixed keep.",
        )
    state = _state(plan, stage, phases)
    missed = past_limit(plan, state, found.evidence)
    signals = Signals(alerts=(missed.text,) if missed else ())
    looked = take_look(plan, state, found.evidence, signals)
    if looked.state.closed:
        before = at - plan.look_every.delta
        earlier = replace(found.evidence, at=before, metrics=metrics_of(wide.run, exposures, plan, before))
        state = replace(state, closed=take_look(plan, state, earlier, Signals()).state.closed)
        looked = take_look(plan, state, found.evidence, signals)
    return Analysis(source.name, plan, stage, columns, groups, arms, splits, found, looked)


def _stage(plan: Plan, number: int | None) -> Stage:
    stages = compile_stages(plan)
    canaries = [stage for stage in stages if stage.kind == "canary"]
    if not canaries:
        raise UsageError("ST0272", f"plan '{plan.name}' has no canary: nothing to compare two groups by.")
    if number is None:
        return canaries[-1]
    if stage := next((stage for stage in canaries if stage.index + 1 == number), None):
        return stage
    listed = ", ".join(f"{stage.index + 1} ({stage.name})" for stage in canaries)
    raise UsageError("ST0272", f"plan '{plan.name}' has no canary stage {number}.", remedy=f"There are {listed}.")


def _phases(
    plan: Plan, stage: Stage, groups: Sequence[Group], arms: Mapping[str, Arm], splits: Sequence[Split], name: str
) -> tuple[tuple[Phase, ...], int]:
    """The phases as a rollout would have entered them, and the time of the last row of either arm.

    One without a declared start began with the time bucket of its first row.
    """
    ours = [group for group in groups if group.arm in arms and group.first is not None]
    if {arms[group.arm] for group in ours if group.arm} < {CHAMPION, CANARY}:
        raise UsageError("ST0274", f"'{name}' has no rows of both arms with a time.")
    bucket = round(plan.time_bucket.seconds * MICRO)
    phases = []
    for split in splits:
        firsts = [group.first or 0 for group in ours if split.label is None or group.phase == split.label]
        start = split.start if split.start is not None else min(firsts, default=0) // bucket * bucket
        phases.append(Phase(split.number, stage.index, split.weight, 0, from_micros(start)))
    return tuple(phases), max(group.last or 0 for group in ours)


def _state(plan: Plan, stage: Stage, phases: tuple[Phase, ...]) -> RolloutState:
    """A rollout that stands at the stage, its pauses by hand released."""
    return RolloutState(
        rollout=RolloutId("analysis"),
        model=ModelName(plan.name),
        champion=VersionNumber(1),
        candidate=VersionNumber(2),
        salt="",
        started=phases[0].started,
        stage=stage.index,
        phases=phases,
        epoch=phases[0].number,
        confirmed=True,
    )


def analysis_document(a: Analysis) -> Document:
    """Everything as one document (``seatrial.analysis.v1``)."""
    decision, units = a.looked.decision, a.found.evidence.units
    return {
        "schema": "seatrial.analysis.v1",
        "log": a.name,
        "plan": a.plan.name,
        "at": iso_z(decision.at),
        "stage": {"number": a.stage.index + 1, "name": a.stage.name},
        "result": a.result,
        "action": decision.action,
        "rule": decision.rule,
        "reason": decision.reason,
        "needs": list(decision.needs),
        "verdicts": [_verdict(a, v) for v in decision.verdicts],
        "signals": [_verdict(a, v) for v in decision.signals],
        "alarms": plain(decision.alarms),
        "units": {
            "all": a.found.units,
            "champion": units.arms.get(CHAMPION, 0),
            "canary": units.arms.get(CANARY, 0),
            "crossed": units.crossed,
            "mixed": a.found.mixed,
        },
        "phases": [_phase(a, phase, split) for phase, split in zip(a.looked.state.phases, a.splits, strict=False)],
        "data": _data(a),
    }


def _verdict(a: Analysis, v: MetricVerdict) -> Document:
    """A verdict with what is not in it: exposures without outcome, and those too young to have one, by arm."""
    metric = next(m for m in a.plan.metrics if m.name == v.metric)
    evidence = a.found.evidence.metrics[v.metric]
    scale = metric.margin.scale if metric.margin is not None else v.scale
    return {
        **plain(v),
        "boundScale": scale,
        "population": None if metric.among is None else metric.among.name,
        "missing": _by_arm(evidence.missing),
        "immature": _by_arm(evidence.immature),
    }


def _by_arm(counts: Mapping[tuple[int, Arm], int]) -> Document:
    return {arm: sum(n for (_, where), n in counts.items() if where == arm) for arm in (CHAMPION, CANARY)}


def _phase(a: Analysis, phase: Phase, split: Split) -> Document:
    new = {arm: a.found.evidence.units.new.get((phase.number, arm), 0) for arm in (CHAMPION, CANARY)}
    every = sum(new.values())
    return {
        "number": phase.number,
        "label": split.label,
        "weight": phase.weight / 100,
        "started": iso_z(phase.started),
        "newUnits": new,
        "share": 100 * new[CANARY] / every if every else None,
    }


def _data(a: Analysis) -> Document:
    rows = sum(group.rows for group in a.groups)
    ours = [group for group in a.groups if group.arm in a.arms]
    exposures = sum(a.found.evidence.exposures.values())
    times = [(group.first, group.last) for group in ours if group.first is not None and group.last is not None]
    return {
        "rows": rows,
        "exposures": exposures,
        "first": iso_z(from_micros(min(first for first, _ in times))),
        "last": iso_z(from_micros(max(last for _, last in times))),
        "leftOut": {
            "otherArms": rows - sum(group.rows for group in ours),
            "withoutUnit": sum(group.without_unit for group in ours),
            "withoutTime": sum(group.without_time for group in ours),
        },
        "columns": {name: value for name, value in plain(a.columns).items() if value},
    }
