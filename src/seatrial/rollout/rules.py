"""The rules of a decision, as one ordered table: the first rule that speaks decides.

Protective rules come before holds, holds before advances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from seatrial.rollout import approvals
from seatrial.rollout.erosion import erosions
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Action, Judgement, MetricVerdict, Pace, Signals
from seatrial.rollout.wording import harm_text, need_text, surrogate_text

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
    pace: Pace | None = None

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
        """Until the stage has lasted as long as the plan says, at this pace; zero or less when it has."""
        least = self.pace.min_duration if self.pace else self.stage.min_duration
        return least - self.in_stage.total_seconds()

    def label(self, v: MetricVerdict) -> str:
        """What a leading indicator stands for, in brackets; empty for every other metric."""
        text = "".join(surrogate_text(metric) for metric in self.plan.metrics if metric.name == v.metric)
        return f" ({text})" if text else ""

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


def input_divergence(case: Case) -> Finding | None:
    """The models did not see the same, so nothing is known of how they compare: 0%, no strike.

    In shadow nobody is at risk: the stage holds, with invalid verdicts, until the share is tolerable again. After the
    deadline that is the deadline's to judge.
    """
    alarm = case.judgement.alarm("input_divergence")
    if alarm is None:
        return None
    text = f"input divergence: {alarm.text}"
    if case.state.phase.weight:
        return Finding("abort", text)
    return Finding("hold", text) if case.now <= case.deadline else None


def guardrail_harm(case: Case) -> Finding | None:
    """Evidence of harm is a strike: one step back, or home when the strikes are used up or nothing lies behind."""
    failing = case.harmful()
    if not failing:
        return None
    text = "; ".join(harm_text(v) + case.label(v) for v in failing)
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


def subgroup_floor(case: Case) -> Finding | None:
    """A site below its floor: it goes home alone, or everybody waits, as the plan says."""
    texts = [alarm.text for alarm in case.judgement.alarms if alarm.kind == "floor"]
    return Finding("hold", "; ".join(texts)) if texts else None


def paused(case: Case) -> Finding | None:
    """Somebody asked for a pause."""
    return Finding("hold", case.state.reason or "paused by hand") if case.state.status == "paused" else None


def deadline(case: Case) -> Finding | None:
    """After the deadline nothing advances any more."""
    if case.now <= case.deadline:
        return None
    needs = tuple(need_text(v) for v in case.wanting())
    what = f"deadline {case.plan.deadline} passed at {case.stage.name}"
    return Finding("abort" if case.plan.on_deadline == "abort" else "hold", what, needs)


def frozen(case: Case) -> Finding | None:
    """A freeze window or a surface lock."""
    return Finding("hold", case.signals.freeze) if case.signals.freeze else None


def min_duration(case: Case) -> Finding | None:
    """The stage has not lasted as long as the plan says."""
    if case.seconds_left <= 0:
        return None
    ends = case.now + timedelta(seconds=case.seconds_left)
    pace = f", {case.pace.word} pace: {case.pace.why}" if case.pace else ""
    return Finding("hold", f"{case.stage.name} lasts until {ends:%Y-%m-%d %H:%M}{pace}")


def min_sample(case: Case) -> Finding | None:
    """The stage has not seen enough units, mature outcomes or pairs."""
    stage, seen = case.stage, case.judgement
    asked = [("units", seen.units, stage.min_units)]
    if stage.kind == "shadow":
        asked.append(("pairs", seen.pairs, stage.min_pairs))
        if seen.inputs is not None:
            asked.append(("pairs with features as used", seen.inputs, max(stage.min_pairs, 1)))
    if stage.min_outcomes:
        asked.append(("mature outcomes", seen.outcomes, stage.min_outcomes))
    short = tuple(
        f"needs {want - have:,} more {what} ({have:,} of {want:,})" for what, have, want in asked if have < want
    )
    short += seen.short
    return Finding("extend", f"{stage.name}: sample not reached", short) if short else None


def disagreement(case: Case) -> Finding | None:
    """The shadow answers too differently for this plan. Agreement is not quality, so this holds and is no strike."""
    found = case.judgement.disagreeing()
    return Finding("hold", "; ".join(f"{v.metric}: {v.missed()}" for v in found)) if found else None


def not_proven(case: Case) -> Finding | None:
    """A guardrail does not pass: what is not shown to be safe does not move on."""
    wanting = case.wanting()
    if not wanting:
        return None
    first = wanting[0]
    return Finding(
        "extend", f"{first.metric}{case.label(first)} is {first.verdict}", tuple(need_text(v) for v in wanting)
    )


def eroded(case: Case) -> Finding | None:
    """Each release lost less than its margin, and all since the anchor together too much: somebody has to know it."""
    if not case.last:
        return None
    found = [e for e in erosions(case.plan, case.signals.chains, case.judgement.verdicts) if e.tripped]
    if not found:
        return None
    anchor, remedy = found[0].anchor, f"seatrial model anchor {case.state.model} VERSION --reason WHY"
    needs = f"measure against v{anchor} again, or accept what was lost: `{remedy}`"
    return Finding("hold", f"too much may be lost by now: {'; '.join(e.text for e in found)}", (needs,))


def drill_overdue(case: Case) -> Finding | None:
    """Nobody gets a new champion of the top tier whose way home was not rehearsed of late."""
    return Finding("hold", case.signals.drill) if case.last and case.signals.drill else None


def approval(case: Case) -> Finding | None:
    """Everything passes; a person still has to say so."""
    if case.signals.approval:
        return Finding("hold", case.signals.approval)
    if approvals.missing(case.stage, case.state):
        return Finding("hold", approvals.asked(case.stage, case.state))
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
    input_divergence,
    guardrail_harm,
    capture_loss,
    shared_outage,
    subgroup_floor,
    paused,
    deadline,
    frozen,
    min_duration,
    min_sample,
    disagreement,
    not_proven,
    eroded,
    drill_overdue,
    approval,
    advance,
)
"""Precedence, top first."""
