"""What a plan asks for that cannot be honoured, found before anything starts. A setting is never ignored silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.rollout.plan import OUTCOME_KINDS, Metric, Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.values import Margin, Rate, Share

PRESERVED = Share(5_000)
"""The part of a historic effect that a margin may give up, unless the plan says otherwise."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to do."""

    code: str
    where: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.code} {self.where}: {self.text} {self.remedy}".rstrip()


def problems(plan: Plan) -> list[Problem]:
    """Everything that is wrong with a plan, in reading order; empty when it can be honoured."""
    return [*_steps(plan), *_ignored(plan), *_metrics(plan), *_erosion(plan), *_times(plan)]


def _steps(plan: Plan) -> Iterator[Problem]:
    weight = 0
    opened = False
    for n, step in enumerate(plan.steps, start=1):
        where = f"step {n}"
        given = [name for name in ("shadow", "set_weight", "pause", "analysis") if getattr(step, name) is not None]
        if len(given) != 1:
            yield Problem("ST0201", where, "a step is a map with exactly one key.", "Split it into one step a key.")
            continue
        if not opened and given[0] in ("pause", "analysis"):
            yield Problem("ST0202", where, f"'{given[0]}' before any traffic.", "Begin with 'shadow' or 'setWeight'.")
        opened = opened or given[0] in ("shadow", "set_weight")
        if step.shadow is not None and weight > 0:
            yield Problem("ST0204", where, "shadow after users are on the canary.", "Shadow first, then set weights.")
        if step.shadow is not None and step.shadow.share.per_10k == 0:
            yield Problem("ST0205", where, "a shadow of 0% sees nothing.", "Give a share above 0%.")
        if step.set_weight is not None:
            if step.set_weight.per_10k <= weight:
                yield Problem(
                    "ST0206", where, f"setWeight {step.set_weight} does not rise above {weight / 100:g}%.",
                    "Weights rise from step to step; going back is what evidence decides.",
                )  # fmt: skip
            weight = step.set_weight.per_10k
            if weight == 10_000 and n < len(plan.steps):
                yield Problem("ST0207", where, "setWeight 100% is the promotion.", "Make it the last step.")
    if not compile_stages(plan):
        yield Problem(
            "ST0208", "steps", "nobody sees the candidate before everybody does.",
            "Add a shadow step or a setWeight below 100%.",
        )  # fmt: skip


def _ignored(plan: Plan) -> Iterator[Problem]:
    """Conditions that no rule would read where they stand."""
    stage, opened = "", 0
    for n, step in enumerate(plan.steps, start=1):
        if step.shadow is not None or (step.set_weight is not None and step.set_weight.per_10k < 10_000):
            stage, opened = ("shadow" if step.shadow is not None else "canary"), n
        if step.analysis is not None and step.analysis.min_pairs is not None and stage == "canary":
            yield Problem("ST0209", f"step {n}", "'minPairs' counts shadow pairs; a canary has none.", "Use minUnits.")
    for n, step in enumerate(plan.steps[opened:], start=opened + 1):
        if step.analysis is not None and step.analysis.tolerance is not None:
            yield Problem(
                "ST0209", f"step {n}", "'tolerance' before promotion has no meaning: there the margin itself counts.",
                "Remove it, or widen the margin.",
            )  # fmt: skip


def _metrics(plan: Plan) -> Iterator[Problem]:
    names = [metric.name for metric in plan.metrics]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("ST0210", f"metric '{name}'", "declared twice.", "Metric names are unique.")
    if not plan.guardrails:
        yield Problem(
            "ST0211", "metrics", "no guardrail: nothing could stop or promote this release.",
            "Give at least one metric the role guardrail, with a margin.",
        )  # fmt: skip
    for metric in plan.metrics:
        yield from _metric(metric, f"metric '{metric.name}'")


def _metric(m: Metric, where: str) -> Iterator[Problem]:
    if m.role == "guardrail" and m.margin is None:
        yield Problem(
            "ST0212",
            where,
            "a guardrail without a margin cannot pass.",
            "Say how much loss is tolerable, e.g. margin: 2%.",
        )
    needs = {"proportion": "outcome", "mean": "outcome", "loss": "outcome", "missing_outcomes": "outcome",
             "sum_per_time": "outcome"}  # fmt: skip
    if (field := needs.get(m.kind)) and getattr(m, field) is None:
        yield Problem("ST0213", where, f"kind {m.kind} needs '{field}'.", f"Add {field}: <name of the outcome>.")
    if m.kind == "loss" and m.loss is None:
        yield Problem("ST0213", where, "kind loss needs 'loss'.", "One of log_loss, brier, absolute, squared.")
    if m.kind == "ratio" and not (m.numerator and m.denominator):
        yield Problem(
            "ST0214",
            where,
            "a ratio needs 'numerator' and 'denominator'.",
            "Name both outcomes, e.g. clicks and views.",
        )
    if m.kind == "latency" and m.threshold is None:
        yield Problem("ST0215", where, "latency needs 'threshold'.", "Say what is slow, e.g. threshold: 250ms.")
    reads_outcomes = m.kind in OUTCOME_KINDS or m.kind == "sum_per_time"
    if m.kind in OUTCOME_KINDS and m.horizon is None:
        yield Problem("ST0216", where, "an outcome needs a 'horizon'.", "Say how long it can take, e.g. horizon: 24h.")
    yield from _surplus(m, where, reads_outcomes)
    if m.fail_on == "inferior" and not m.justification:
        yield Problem(
            "ST0218", where, "failOn: inferior accepts a proven loss.", "Add 'justification': why that is acceptable."
        )
    if m.weight <= 0:
        yield Problem("ST0219", where, "weight must be positive.", "It is the share of the false-rollback budget.")
    if m.kind == "sum_per_time" and not isinstance(m.limit, Rate):
        yield Problem("ST0220", where, "sum_per_time needs a limit per time.", "e.g. limit: 500/h.")
    if m.kind != "sum_per_time" and isinstance(m.limit, Rate):
        yield Problem("ST0220", where, "a limit per time belongs to sum_per_time.", "Give a share, e.g. limit: 5%.")
    if isinstance(m.limit, Share) and m.kind not in ("error_rate", "latency", "proportion", "missing_outcomes"):
        yield Problem("ST0220", where, f"kind {m.kind} has no share to limit.", "Remove 'limit'.")
    if m.rare and m.margin is not None and m.margin.scale == "absolute" and m.margin.value >= 1:
        yield Problem("ST0221", where, "an absolute margin of a share is below 1.", "e.g. margin: 1pp.")


def _erosion(plan: Plan) -> Iterator[Problem]:
    """Margins that give up too much of what the champion was released for (as M2 of M1 in FDA 2016)."""
    allowed = PRESERVED if plan.margin_at_most is None else plan.margin_at_most
    for m in plan.metrics:
        if m.historic_effect is None:
            continue
        where, gained = f"metric '{m.name}'", m.historic_effect
        if m.margin is None or m.margin.scale != gained.scale:
            yield Problem(
                "ST0256", where, f"a historicEffect of {gained} cannot be held against a margin of {m.margin}.",
                "Give both in the same unit: per cent, or absolute.",
            )  # fmt: skip
        elif m.margin.value > allowed.fraction * gained.value * (1 + 1e-9):
            yield Problem(
                "ST0251", where,
                f"a margin of {m.margin} gives up {m.margin.value / gained.value:.0%} of the {gained} by which the "
                f"champion beats its baseline; at most {allowed} may be given up.",
                f"Take a margin of {Margin(allowed.fraction * gained.value, gained.scale)} or less, or raise "
                "'marginAtMost'.",
            )  # fmt: skip


def _surplus(m: Metric, where: str, reads_outcomes: bool) -> Iterator[Problem]:
    """Settings of another kind: refused, because ignoring one is how releases go wrong."""
    allowed = {
        "outcome": reads_outcomes and m.kind != "ratio",
        "loss": m.kind == "loss",
        "numerator": m.kind == "ratio",
        "denominator": m.kind == "ratio",
        "threshold": m.kind == "latency",
        "horizon": reads_outcomes,
        "per": m.kind in ("error_rate", "latency"),
    }
    for field, ok in allowed.items():
        if getattr(m, field) is not None and not ok:
            yield Problem("ST0217", where, f"'{field}' has no meaning for kind {m.kind}.", "Remove it.")
    if m.missing != "exclude" and m.kind not in ("proportion", "mean"):
        yield Problem("ST0217", where, f"'missing: {m.missing}' has no meaning for kind {m.kind}.", "Remove it.")


def _times(plan: Plan) -> Iterator[Problem]:
    stages = compile_stages(plan)
    lasts = sum(stage.min_duration for stage in stages)
    if lasts > plan.deadline.seconds:
        yield Problem(
            "ST0230", "deadline", f"the steps last {_span(lasts)}, the deadline is {plan.deadline}.",
            "Lengthen the deadline or shorten the pauses.",
        )  # fmt: skip
    if plan.look_every.seconds > plan.time_bucket.seconds or plan.time_bucket.seconds % plan.look_every.seconds:
        yield Problem(
            "ST0231", "lookEvery", f"{plan.look_every} does not divide the time bucket {plan.time_bucket}.",
            "Looks fall inside buckets: choose a divisor.",
        )  # fmt: skip
    if plan.time_bucket.seconds not in (3600.0, 86400.0):
        yield Problem("ST0232", "timeBucket", f"{plan.time_bucket} is not a calendar bucket.", "Use 1h or 1d (UTC).")
    for metric in plan.metrics:
        if metric.horizon is not None:
            yield from _maturity(plan, stages, metric, metric.horizon.seconds)


def _maturity(plan: Plan, stages: tuple[Stage, ...], metric: Metric, horizon: float) -> Iterator[Problem]:
    """Outcomes must be able to mature before the deadline, and a stage must not end before its first one can."""
    if metric.role == "signal":
        return
    if horizon >= plan.deadline.seconds:
        yield Problem(
            "ST0203", f"metric '{metric.name}'",
            f"outcomes mature after {metric.horizon}, the deadline is {plan.deadline}.",
            "Lengthen the deadline, or make it a signal and reconcile later.",
        )  # fmt: skip
    for stage in stages:
        judged = stage.kind == "canary" or metric.pairs
        if judged and 0 < stage.min_duration < horizon:
            yield Problem(
                "ST0203", f"{stage.name}",
                f"metric '{metric.name}' has a horizon of {metric.horizon} but the step lasts "
                f"{_span(stage.min_duration)}.",
                "Earliest evidence comes after the horizon; lengthen the pause or make the metric a signal.",
            )  # fmt: skip


def _span(seconds: float) -> str:
    """A span of time in the largest unit that is not a fraction of one.

    >>> _span(1800), _span(5400), _span(86400)
    ('30m', '1.5h', '1d')
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
