"""Metrics that say too little, or more than their kind understands."""

from __future__ import annotations

import math
from collections.abc import Iterator

from seatrial.rollout.metric import MOST_K, OUTCOME_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.validate.problem import Problem
from seatrial.values import Rate, Share


def check_metrics(plan: Plan) -> Iterator[Problem]:
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
    if m.role != "signal" and m.margin is None and m.kind != "agreement":
        yield Problem(
            "ST0212",
            where,
            f"a {'dry run' if m.role == 'dryRun' else 'guardrail'} without a margin cannot pass.",
            "Say how much loss is tolerable, e.g. margin: 2%.",
        )
    needs = {"proportion": "outcome", "mean": "outcome", "loss": "outcome", "missing_outcomes": "outcome",
             "sum_per_time": "outcome", "ndcg": "outcome"}  # fmt: skip
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
    if m.cap is not None and not 0 < m.cap < math.inf:
        yield Problem("ST0222", where, f"'cap' must be a positive number, not {m.cap:g}.", "Say e.g. cap: 500.")
    if m.k is not None and not 1 <= m.k <= MOST_K:
        yield Problem("ST0222", where, f"'k' is 1 to {MOST_K} items of a list, not {m.k}.", "e.g. k: 10.")
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
        "cap": m.may_cap,
        "k": m.kind == "ndcg",
    }
    for field, ok in allowed.items():
        if getattr(m, field) is not None and not ok:
            yield Problem("ST0217", where, f"'{field}' has no meaning for kind {m.kind}.", "Remove it.")
    if m.missing != "exclude" and m.kind not in ("proportion", "mean", "ndcg"):
        yield Problem("ST0217", where, f"'missing: {m.missing}' has no meaning for kind {m.kind}.", "Remove it.")
