"""Rollouts and their decisions as documents: where one stands, its stages, the verdicts of a look, what is missing.

Pure functions of what is stored. Spans are counted in event time: a replay reads like a live rollout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from seatrial.control.documents.views import Document, plain
from seatrial.control.states import decision_from_json
from seatrial.rollout.maturity import maturity
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import Decision, MetricVerdict
from seatrial.store.canonical import iso_z
from seatrial.store.decisions import StoredDecision
from seatrial.store.rollouts import StoredRollout

_MORE = re.compile(r"needs (?:about )?([\d,]+) more (.+)")


def rollout_document(
    stored: StoredRollout,
    plan: Plan,
    state: RolloutState,
    decisions: Sequence[StoredDecision],
    actual: float | None = None,
    *,
    latest: Decision | None = None,
) -> Document:
    """One rollout in full: where it stands, every stage, the verdicts of the latest look, and what was decided.

    ``actual``: the canary's weight as the gateway has it (out of 10,000), if that is known. ``latest``: the decision of
    the latest look when it is newer than the last stored one (a decision that changes nothing is not stored).
    """
    stages = compile_stages(plan)
    last = latest or _last_look(decisions)
    now = state.looked_at or state.started
    return {
        **rollout_summary(stored, plan, state, last),
        "schema": "seatrial.rollout.v1",
        "salt": state.salt,
        "actualWeight": None if actual is None else actual / 100,
        "mirrored": state.phase.mirrored / 100,
        "strikes": {
            "here": state.strikes_at(state.stage),
            "perStep": plan.strikes.per_step,
            "total": len(state.strikes),
            "limit": plan.strikes.total,
        },
        "deadline": iso_z(state.started + plan.deadline.delta),
        "onDeadline": plan.on_deadline,
        "withdrawn": [plain(one) for one in state.withdrawn],
        "stages": [*_stage_documents(stages, state, now), _everyone(stages, state)],
        **judgement(plan, state, last),
        "history": [_brief(decision) for decision in decisions],
        "revision": stored.revision,
    }


def rollout_summary(stored: StoredRollout, plan: Plan, state: RolloutState, last: Decision | None) -> Document:
    """What one line of a list says."""
    stages = compile_stages(plan)
    step = len(stages) if state.status == "promoted" else min(state.stage, len(stages) - 1)
    return {
        "id": stored.id,
        "model": stored.model,
        "candidate": stored.candidate,
        "champion": stored.champion,
        "plan": plan.name,
        "status": state.status,
        "active": stored.active,
        "message": _message(state, last),
        "step": {"current": step + 1, "of": len(stages) + 1, "name": _step_name(stages, step)},
        "setWeight": state.phase.weight / 100,
        "started": iso_z(state.started),
        "look": state.look,
        "lookedAt": None if state.looked_at is None else iso_z(state.looked_at),
    }


def judgement(plan: Plan, state: RolloutState, last: Decision | None) -> Document:
    """What one decision was made on: its verdicts and signals, alarms, and what it still needs."""
    if last is None:
        return {"latest": None, "verdicts": [], "signals": [], "alarms": [], "needs": []}
    metrics = {metric.name: metric for metric in plan.metrics}
    return {
        "latest": {
            "look": last.look,
            "at": iso_z(last.at),
            "action": last.action,
            "rule": last.rule,
            "reason": last.reason,
            "considered": list(last.considered),
            "units": last.units,
            "outcomes": last.outcomes,
            "pairs": last.pairs,
            "pace": None if last.pace is None else plain(last.pace),
        },
        "verdicts": [_verdict(v, metrics.get(v.metric), state, last) for v in last.verdicts],
        "signals": [_verdict(v, metrics.get(v.metric), state, last) for v in last.signals],
        "alarms": [plain(alarm) for alarm in last.alarms],
        "needs": list(last.needs),
    }


def decision_document(decision: Decision, seq: int | None = None, evidence: str | None = None) -> Document:
    """A decision, complete: rules considered in order, verdicts, what is missing."""
    return {"schema": "seatrial.decision.v1", "seq": seq, "evidence": evidence, **plain(decision)}


def stored_decision_document(stored: StoredDecision) -> Document:
    return decision_document(decision_from_json(stored.document), stored.seq, stored.evidence_digest)


def expected_at(verdict: MetricVerdict, state: RolloutState, at: datetime) -> datetime | None:
    """When what a verdict still needs will be there at the present split, if it needs an amount of something.

    The rate is what came so far per share of traffic and time, times the share of the present split.
    """
    found = _MORE.match(verdict.needs)
    if found is None:
        return None
    have = verdict.units_candidate if "unit" in found[2] else verdict.count_candidate
    given = [(p.mirrored if verdict.arms == "shadow" else p.weight, p, end) for p, end in _spans(state, at)]
    exposure = sum(share * (end - phase.started).total_seconds() for share, phase, end in given)
    share_now = given[-1][0] if given else 0
    if not have or not share_now or exposure <= 0:
        return None
    seconds = int(found[1].replace(",", "")) / (have * share_now / exposure)
    return at + timedelta(seconds=seconds) if seconds < 10 * 365 * 86400 else None


def _last_look(decisions: Sequence[StoredDecision]) -> Decision | None:
    """The latest decision that judged something; a move by hand has no verdicts of its own."""
    if not decisions:
        return None
    judged = [d for d in decisions if d.rule not in ("manual", "start")]
    return decision_from_json((judged or decisions)[-1].document)


def _message(state: RolloutState, last: Decision | None) -> str:
    if state.status != "running" and state.reason:
        return state.reason
    return last.reason if last else ""


def _step_name(stages: Sequence[Stage], step: int) -> str:
    return "everyone" if step >= len(stages) else stages[step].name


def _stage_documents(stages: Sequence[Stage], state: RolloutState, now: datetime) -> list[Document]:
    lasted = _lasted(state, now)
    return [
        {
            "name": stage.name,
            "kind": stage.kind,
            "weight": stage.weight / 100,
            "mirrored": stage.mirrored / 100,
            "status": _stage_status(stage.index, state, stage.index in lasted),
            "minDuration": stage.min_duration,
            "lasted": lasted[stage.index].total_seconds() if stage.index in lasted else None,
            "manual": stage.manual,
            "approval": _approval(stage, state),
            "strikes": state.strikes_at(stage.index),
        }
        for stage in stages
    ]


def _everyone(stages: Sequence[Stage], state: RolloutState) -> Document:
    promoted = state.status == "promoted"
    return {
        "name": "everyone",
        "kind": "everyone",
        "weight": 100.0,
        "mirrored": 0.0,
        "status": "done" if promoted else "pending",
        "minDuration": 0.0,
        "lasted": None,
        "manual": False,
        "approval": None,
        "strikes": 0,
    }


def _approval(stage: Stage, state: RolloutState) -> Document | None:
    """What the stage asks of people, and who said yes so far."""
    if stage.approval is None:
        return None
    given = [one.by for one in state.approvals] if stage.index == state.stage else []
    return {**plain(stage.approval), "given": given}


def _stage_status(index: int, state: RolloutState, visited: bool) -> str:
    """``skipped``: a promotion by hand passed over it."""
    if state.status == "promoted":
        return "done" if visited else "skipped"
    if index == state.stage:
        return {"aborted": "stopped", "paused": "paused"}.get(state.status, "current")
    return "done" if index < state.stage else "pending"


def _lasted(state: RolloutState, now: datetime) -> dict[int, timedelta]:
    """Time in each stage so far, returns after a strike included."""
    lasted: dict[int, timedelta] = {}
    for phase, until in _spans(state, now):
        lasted[phase.stage] = lasted.get(phase.stage, timedelta()) + (until - phase.started)
    return lasted


def _spans(state: RolloutState, now: datetime) -> list[tuple[Phase, datetime]]:
    """Every phase with its end; the last phase of a rollout that is over is the end itself and is left out."""
    phases = state.phases[:-1] if state.over else state.phases
    ends = [phase.started for phase in state.phases[1:]]
    return list(zip(phases, ends if state.over else [*ends, max(now, state.phase.started)], strict=True))


def _verdict(verdict: MetricVerdict, metric: Metric | None, state: RolloutState, decision: Decision) -> Document:
    expected = None if state.over else expected_at(verdict, state, decision.at)
    declared = metric.margin.scale if metric is not None and metric.margin is not None else verdict.scale
    return {
        **plain(verdict),
        "boundScale": declared,
        "justification": None if metric is None else metric.justification,
        "population": None if metric is None or metric.among is None else metric.among.name,
        "surrogateOf": None if metric is None or metric.surrogate_of is None else plain(metric.surrogate_of),
        "maturity": None if metric is None else _maturity(metric, state, decision.at),
        "look": decision.look,
        "expected": None if expected is None else iso_z(expected),
    }


def _maturity(metric: Metric, state: RolloutState, now: datetime) -> Document | None:
    """How ripe each day of the canary is, as parts of its time; None for a metric that is known at once."""
    found = maturity(metric, state, now)
    if found is None:
        return None
    return {"state": found.state, "cohorts": [{"day": c.day, "matured": c.matured} for c in found.cohorts]}


def _brief(stored: StoredDecision) -> Document:
    told = json.loads(stored.document)
    names = ("look", "action", "rule", "reason", "actor", "weight")
    return {
        "seq": stored.seq,
        "at": iso_z(stored.at),
        "stage": told["stage_name"],
        **{name: told[name] for name in names},
        "weight": told["weight"] / 100,
    }
