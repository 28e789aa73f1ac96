"""The decision, as one ordered table of rules: the first rule that speaks decides.

``decide`` is a pure function of plan, state, judgement, outside signals and event time; ``evolve`` gives the state
after the decision. Protective rules come before holds, holds before advances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.rollout.state import Phase, RolloutState, Status, Strike
from seatrial.rollout.verdicts import Action, Decision, Judgement, MetricVerdict, Signals

LOSSY_LOOKS = 3
"""Looks in a row at which capture may fail to reconcile before the canary is taken out."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a rule may look at."""

    plan: Plan
    stages: tuple[Stage, ...]
    state: RolloutState
    judgement: Judgement
    signals: Signals
    now: datetime

    @property
    def stage(self) -> Stage:
        return self.stages[self.state.stage]

    @property
    def last(self) -> bool:
        return self.state.stage + 1 >= len(self.stages)

    @property
    def deadline(self) -> datetime:
        return self.state.started + self.plan.deadline.delta

    @property
    def in_stage(self) -> timedelta:
        return self.now - self.state.phase.started

    @property
    def seconds_left(self) -> float:
        """Until the stage has lasted as long as the plan says; zero or less when it has."""
        return self.stage.min_duration - self.in_stage.total_seconds()

    def harmful(self) -> list[MetricVerdict]:
        """Guardrails that fail now.

        What a shadow loses costs no user anything, and a model does better on one day than on the next: losses in
        shadow are judged on the stage's whole minimum duration. Errors and slow answers are not waited for.
        """
        early = self.seconds_left > 0
        return [v for v in self.judgement.failing() if not (early and v.arms == "shadow" and v.losses)]

    def wanting(self) -> list[MetricVerdict]:
        """Guardrails that do not pass."""
        return [v for v in self.judgement.verdicts if v.verdict != "pass"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says: the action and its reason, and what is still missing."""

    action: Action
    reason: str
    needs: tuple[str, ...] = ()


Rule = Callable[[Case], Finding | None]


def killed(case: Case) -> Finding | None:
    """The kill switch wins over everything."""
    return Finding("abort", f"kill switch: {case.signals.killed}") if case.signals.killed else None


def hard_signal(case: Case) -> Finding | None:
    """An external alert or an absolute limit: 0% in one action, no step back, no minimum sample."""
    if case.signals.alerts:
        return Finding("abort", "; ".join(case.signals.alerts))
    limit = case.judgement.alarm("limit")
    return Finding("abort", limit.text) if limit else None


def sample_ratio(case: Case) -> Finding | None:
    """A broken split makes every comparison invalid: 0%, no strike."""
    alarm = case.judgement.alarm("sample_ratio")
    return Finding("abort", f"sample ratio mismatch: {alarm.text}") if alarm else None


def guardrail_harm(case: Case) -> Finding | None:
    """Evidence of harm is a strike: one step back, or home when the strikes are used up or nothing lies behind."""
    failing = case.harmful()
    if not failing:
        return None
    text = "; ".join(harm_text(v) for v in failing)
    here = case.state.strikes_at(case.state.stage) + 1
    limits = case.plan.strikes
    if case.state.stage == 0:
        return Finding("abort", f"{text}; no earlier step to go back to")
    if here >= limits.per_step or len(case.state.strikes) + 1 >= limits.total:
        return Finding("abort", f"{text}; strike {here} of {limits.per_step} at {case.stage.name}")
    return Finding("step_back", f"{text}; strike {here} of {limits.per_step} at {case.stage.name}")


def capture_loss(case: Case) -> Finding | None:
    """Evidence with holes proves nothing: hold, and take the canary out if it lasts."""
    alarm = case.judgement.alarm("capture_loss")
    if alarm is None:
        return None
    if case.state.lossy_looks + 1 >= LOSSY_LOOKS:
        return Finding("abort", f"capture loss for {LOSSY_LOOKS} looks: {alarm.text}")
    return Finding("hold", f"capture loss: {alarm.text}")


def shared_outage(case: Case) -> Finding | None:
    """Both arms are beyond the limit: not the candidate's doing."""
    alarm = case.judgement.alarm("shared_outage")
    return Finding("hold", f"shared outage: {alarm.text}") if alarm else None


def paused(case: Case) -> Finding | None:
    """Somebody asked for a pause."""
    return Finding("hold", case.state.reason or "paused by hand") if case.state.status == "paused" else None


def deadline(case: Case) -> Finding | None:
    """After the deadline nothing advances any more."""
    if case.now <= case.deadline:
        return None
    needs = tuple(_need(v) for v in case.wanting())
    what = f"deadline {case.plan.deadline} passed at {case.stage.name}"
    return Finding("abort" if case.plan.on_deadline == "abort" else "hold", what, needs)


def frozen(case: Case) -> Finding | None:
    """A freeze window, a surface lock or an overdue drill."""
    return Finding("hold", case.signals.freeze) if case.signals.freeze else None


def min_duration(case: Case) -> Finding | None:
    """The stage has not lasted as long as the plan says."""
    if case.seconds_left <= 0:
        return None
    ends = case.now + timedelta(seconds=case.seconds_left)
    return Finding("hold", f"{case.stage.name} lasts until {ends:%Y-%m-%d %H:%M}")


def min_sample(case: Case) -> Finding | None:
    """The stage has not seen enough units, mature outcomes or pairs."""
    stage, seen = case.stage, case.judgement
    asked = [("units", seen.units, stage.min_units)]
    if stage.kind == "shadow":
        asked.append(("pairs", seen.pairs, stage.min_pairs))
    if stage.min_outcomes:
        asked.append(("mature outcomes", seen.outcomes, stage.min_outcomes))
    short = tuple(
        f"needs {want - have:,} more {what} ({have:,} of {want:,})" for what, have, want in asked if have < want
    )
    return Finding("extend", f"{stage.name}: sample not reached", short) if short else None


def not_proven(case: Case) -> Finding | None:
    """A guardrail does not pass: what is not shown to be safe does not move on."""
    wanting = case.wanting()
    if not wanting:
        return None
    first = wanting[0]
    return Finding("extend", f"{first.metric} is {first.verdict}", tuple(_need(v) for v in wanting))


def approval(case: Case) -> Finding | None:
    """Everything passes; a person still has to say so."""
    if case.signals.approval:
        return Finding("hold", case.signals.approval)
    if case.stage.manual and not case.state.confirmed:
        return Finding("hold", f"{case.stage.name} passes; waiting for `seatrial rollout promote {case.state.rollout}`")
    return None


def advance(case: Case) -> Finding | None:
    """All guardrails pass: the next step, or everyone."""
    if case.last:
        return Finding("promote", "every guardrail excludes a loss beyond its margin")
    factor = case.stage.tolerance
    excluded = "beyond its margin" if factor == 1 else f"of {factor:g} margins"
    return Finding("advance", f"every guardrail excludes a loss {excluded}")


RULES: tuple[Rule, ...] = (
    killed,
    hard_signal,
    sample_ratio,
    guardrail_harm,
    capture_loss,
    shared_outage,
    paused,
    deadline,
    frozen,
    min_duration,
    min_sample,
    not_proven,
    approval,
    advance,
)
"""Precedence, top first."""


def decide(plan: Plan, state: RolloutState, judgement: Judgement, signals: Signals, now: datetime) -> Decision:
    """The decision of one look. A rollout that is over has none: callers do not ask (ValueError)."""
    if state.over:
        raise ValueError(f"rollout {state.rollout} is {state.status}")
    case = Case(plan, compile_stages(plan), state, judgement, signals, now)
    considered: list[str] = []
    for rule in RULES:
        finding = rule(case)
        if finding is not None:
            return _decision(case, rule.__name__, finding, tuple(considered))
        considered.append(rule.__name__)
    raise AssertionError("the last rule always speaks")


def _decision(case: Case, rule: str, finding: Finding, considered: tuple[str, ...]) -> Decision:
    stage, weight, mirrored = _target(case, finding.action)
    moved = finding.action in ("advance", "step_back", "abort", "promote")
    struck = rule == "guardrail_harm"
    return Decision(
        rollout=case.state.rollout,
        look=case.state.look + 1,
        at=case.now,
        action=finding.action,
        rule=rule,
        reason=finding.reason,
        stage=stage,
        stage_name=_stage_name(case, finding.action, stage),
        weight=weight,
        mirrored=mirrored,
        phase=case.state.phase.number + 1 if moved else case.state.phase.number,
        strikes=len(case.state.strikes) + struck,
        verdicts=case.judgement.verdicts,
        signals=case.judgement.signals,
        alarms=case.judgement.alarms,
        needs=finding.needs,
        units=case.judgement.units,
        outcomes=case.judgement.outcomes,
        pairs=case.judgement.pairs,
        considered=considered,
    )


def _target(case: Case, action: Action) -> tuple[int, int, int]:
    """Stage, weight and mirrored share after the action."""
    if action == "promote":
        return len(case.stages), 10_000, 0
    if action == "abort":
        return case.state.stage, 0, 0
    index = case.state.stage + {"advance": 1, "step_back": -1}.get(action, 0)
    stage = case.stages[index]
    return index, stage.weight, stage.mirrored


def _stage_name(case: Case, action: Action, stage: int) -> str:
    if action == "promote":
        return "everyone"
    return "nobody" if action == "abort" else case.stages[stage].name


def evolve(state: RolloutState, judgement: Judgement, decision: Decision) -> RolloutState:
    """The state after a decision."""
    lossy = state.lossy_looks + 1 if judgement.alarm("capture_loss") else 0
    closed = tuple(sorted({*state.closed, *judgement.closed}))
    state = replace(state, look=decision.look, looked_at=decision.at, closed=closed, lossy_looks=lossy)
    if decision.rule == "guardrail_harm":
        names = tuple(v.metric for v in judgement.failing())
        state = replace(state, strikes=(*state.strikes, Strike(state.stage, decision.at, names)))
    if decision.action in ("abort", "promote"):
        status: Status = "aborted" if decision.action == "abort" else "promoted"
        return _enter(replace(state, status=status, reason=decision.reason), decision)
    if decision.action == "advance":
        return _enter(state, decision)
    if decision.action == "step_back":
        # A new epoch: harm is judged afresh on new strata, with its own information clock.
        kept = tuple(key for key in state.closed if key.endswith("/pass"))
        return _enter(replace(state, epoch=decision.phase, closed=kept), decision)
    return state


def _enter(state: RolloutState, decision: Decision) -> RolloutState:
    phase = Phase(decision.phase, decision.stage, decision.weight, decision.mirrored, decision.at)
    return replace(state, stage=decision.stage, phases=(*state.phases, phase), confirmed=False)


def harm_text(v: MetricVerdict) -> str:
    """``log_loss is worse: +31.0% [+12.1%, +52.0%], n 812 canary / 7,301 champion``."""
    interval = "" if v.lower is None or v.upper is None else f" [{number(v, v.lower)}, {number(v, v.upper)}]"
    estimate = "" if v.estimate is None else f": {number(v, v.estimate)}{interval}"
    candidate = "shadow" if v.arms == "shadow" else "canary"
    what = "exposures" if v.losses else "units"
    return f"{v.metric} is worse{estimate}, n {v.count_candidate:,} {candidate} / {v.count_champion:,} champion {what}"


def number(v: MetricVerdict, value: float) -> str:
    """A difference with its sign and unit."""
    if v.scale == "relative":
        return f"{value:+.2%}"
    return f"{100 * value:+.2f}pp" if v.method.startswith("exact") else f"{value:+.4g}"


def _need(v: MetricVerdict) -> str:
    return f"{v.metric}: {v.needs or v.verdict}"
