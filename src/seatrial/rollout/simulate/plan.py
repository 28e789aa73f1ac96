"""The part of a plan that a simulation can make, and why the rest is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seatrial.errors import PlanError, UsageError
from seatrial.rollout.metric import SHARE_KINDS, Kind, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.values import Duration, Rate, Share

DECLARED_KINDS: frozenset[Kind] = frozenset({"proportion", "mean", "loss", "missing_outcomes", "error_rate", "latency"})
RECORDED_KINDS: frozenset[Kind] = DECLARED_KINDS | {"ratio"}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of the plan that a simulation does without."""

    what: str
    why: str


def simulable(plan: Plan, *, recorded: bool) -> tuple[Plan, tuple[LeftOut, ...]]:
    """The plan without what decides nothing or cannot be made.

    ``recorded``: exposures come from a log. PlanError (ST0261) for a guardrail that cannot be made: without it the
    simulated plan would be another one.
    """
    kinds = RECORDED_KINDS if recorded else DECLARED_KINDS
    lacking = [m for m in plan.guardrails if m.kind not in kinds]
    if lacking:
        names = ", ".join(f"'{m.name}' ({m.kind})" for m in lacking)
        logged = not recorded and all(m.kind in RECORDED_KINDS for m in lacking)
        raise PlanError(
            "ST0261",
            f"plan '{plan.name}': a simulation cannot make {names}, and would judge less without.",
            remedy="Resample a log: --from-log MODEL." if logged else "Make it a signal in a copy of the plan.",
        )
    left: list[LeftOut] = []
    kept: list[Metric] = []
    for metric in plan.metrics:
        why = _why_not(metric, kinds)
        if why:
            left.append(LeftOut(f"metric '{metric.name}'", why))
        else:
            kept.append(metric)
    if plan.segments:
        left.append(LeftOut("segments", "gates judge the total"))
    if plan.samples:
        left.append(LeftOut("by", "of a shadow: every segment is copied at its 'share'"))
    if any(stage.manual for stage in compile_stages(plan)):
        left.append(LeftOut("pause: {}", "the manual pause is released as soon as nothing else is missing"))
    if any(step.approval for step in plan.steps):
        left.append(LeftOut("approval", "given as soon as nothing else is missing"))
    left.append(LeftOut("capture loss, kill switch, freezes", "every request is captured, and nobody steps in"))
    steps = tuple(step for step in plan.steps if step.approval is None)
    return replace(plan, metrics=tuple(kept), segments=(), steps=steps), tuple(left)


def _why_not(metric: Metric, kinds: frozenset[Kind]) -> str:
    if metric.kind == "agreement":
        return "answers of two models to one request are not simulated; agreement can only hold a release"
    if metric.role == "guardrail":
        return ""
    if isinstance(metric.limit, Rate):
        return f"its limit of {metric.limit} is not simulated"
    if metric.limit is None:
        return f"a {'dry run' if metric.role == 'dryRun' else 'signal'} decides nothing"
    return "" if metric.kind in kinds else f"its limit is not simulated: no values of kind {metric.kind}"


def is_share(metric: Metric) -> bool:
    return metric.kind in SHARE_KINDS


def counted(metric: Metric) -> bool:
    """Requests of a rare event are summed as well, for an absolute limit."""
    return metric.rare and isinstance(metric.limit, Share)


def looking(plan: Plan, look_every: Duration | None) -> Plan:
    """The plan with fewer looks. UsageError (ST0264) unless they are fewer and divide the time bucket."""
    if look_every is None:
        return plan
    fewer = look_every.seconds >= plan.look_every.seconds
    if not fewer or plan.time_bucket.seconds % look_every.seconds:
        raise UsageError(
            "ST0264",
            f"--look-every {look_every}: plan '{plan.name}' looks every {plan.look_every} and has time buckets of "
            f"{plan.time_bucket}; a simulation may look less often, and must divide the bucket.",
            remedy=f"e.g. --look-every {plan.time_bucket}",
        )
    return replace(plan, look_every=look_every)
