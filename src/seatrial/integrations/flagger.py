"""Flagger's Canary as a plan.

Fields after https://docs.flagger.app/usage/how-it-works and the CRD of version 1.44: progressive traffic with
``stepWeight`` or ``stepWeights``; A/B testing and blue/green are refused, because the first chooses users by header and
the second shows nobody anything before everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any, Final

from seatrial.errors import UsageError
from seatrial.integrations.draft import (
    Draft,
    Imported,
    errors_metric,
    inexpressible,
    listing,
    mapping,
    number,
    slow_metric,
    span,
)

SOURCE: Final = "Flagger"
INTERVAL: Final = "60s"
"""Theirs, where the manifest has none."""

GATES: Final = ("confirm-traffic-increase", "confirm-promotion")


def read(canary: Mapping[str, Any]) -> Imported:
    """A plan from one Canary. Raises UsageError for what cannot be expressed."""
    name = str(mapping(canary.get("metadata"), "metadata").get("name") or "imported")
    spec = mapping(canary.get("spec"), "spec")
    analysis = mapping(spec.get("analysis") or spec.get("canaryAnalysis"), "spec.analysis")
    if spec.get("skipAnalysis"):
        raise inexpressible(name, "skipAnalysis promotes without looking.", "Take it out: evidence is what decides.")
    draft = Draft(SOURCE, name)
    interval = span(analysis.get("interval", INTERVAL), "analysis.interval")
    _steps(draft, analysis, interval)
    for n, metric in enumerate(listing(analysis.get("metrics"), "analysis.metrics")):
        _metric(draft, mapping(metric, f"analysis.metrics[{n}]"))
    _strictness(draft, analysis)
    return draft.finished()


def _steps(draft: Draft, analysis: Mapping[str, Any], interval: str) -> None:
    weights = _weights(draft.name, analysis)
    hooks = [mapping(hook, "analysis.webhooks") for hook in listing(analysis.get("webhooks"), "analysis.webhooks")]
    gates = {str(hook.get("type")) for hook in hooks}
    if analysis.get("mirror"):
        share = number(analysis.get("mirrorWeight", 100), "analysis.mirrorWeight")
        draft.steps += [{"shadow": {"share": f"{share:g}%"}}, {"pause": {"duration": interval}}]
        draft.warn(
            "Their mirror lasts one interval and its answers are compared with nothing; here both models' answers to "
            "the same requests are. Lengthen the shadow's pause."
        )
    for weight in weights:
        if weight < 100 and draft.set_weight(weight):
            draft.steps.append({"pause": {"duration": interval}})
            if "confirm-traffic-increase" in gates or ("confirm-promotion" in gates and weight == weights[-1]):
                draft.steps.append({"pause": {}})
    if gates & {*GATES}:
        draft.warn("confirm-* webhooks became `pause: {}`: a person says `seatrial rollout promote`.")
    for kind in sorted(gates - {*GATES}):
        draft.warn(f"Webhook {kind} is left out; requests of a load test say nothing about users.")


def _weights(name: str, analysis: Mapping[str, Any]) -> list[float]:
    """The canary's weights in per cent, before everyone."""
    if analysis.get("match"):
        raise inexpressible(
            f"'{name}'", "A/B testing by header or cookie chooses who is on the canary: the arms are not alike.",
            "Use stepWeight or stepWeights: units are split by a hash.",
        )  # fmt: skip
    top = number(analysis.get("maxWeight", 100), "analysis.maxWeight")
    if given := listing(analysis.get("stepWeights"), "analysis.stepWeights"):
        return [number(weight, "analysis.stepWeights") for weight in given]
    step = number(analysis.get("stepWeight", 0), "analysis.stepWeight")
    if step <= 0:
        raise inexpressible(
            f"'{name}'", "blue/green shows nobody the candidate before everybody gets it.",
            "Use stepWeight or stepWeights, with mirror if you like.",
        )  # fmt: skip
    return [*takewhile(lambda weight: weight <= min(top, 100), (n * step for n in count(1)))]


def _metric(draft: Draft, metric: Mapping[str, Any]) -> None:
    name = str(metric.get("name"))
    bounds = mapping(metric.get("thresholdRange"), f"metric '{name}'")
    low, high = bounds.get("min", metric.get("threshold")), bounds.get("max", metric.get("threshold"))
    if metric.get("templateRef") is None and name == "request-success-rate" and low is not None:
        at_least = number(low, f"metric '{name}'")
        draft.guard(errors_metric("errors", 1 - at_least / 100))
        _fixed(draft, name, f"at least {at_least:g}%")
    elif metric.get("templateRef") is None and name == "request-duration" and high is not None:
        most = number(high, f"metric '{name}'")
        draft.guard(slow_metric("slow", most, 0.01))
        _fixed(draft, name, f"p99 of at most {most:g} ms")
    else:
        raise UsageError(
            "ST0307", f"metric '{name}' cannot be expressed: seatrial reads requests and outcomes, not query results.",
            remedy="Take it out, and report the outcome behind it: a metric of kind proportion, mean or sum_per_time.",
        )  # fmt: skip


def _fixed(draft: Draft, name: str, rule: str) -> None:
    draft.warn(
        f"Metric {name} ({rule}) is one number held against a constant, on however few requests: no sample size, no "
        "interval, no champion beside it. Here the canary is held against the champion; their constant became `limit`."
    )
    draft.warn("They have no margin: 1pp (errors) or 2pp (slow answers) was put in. Say what loss you can live with.")


def _strictness(draft: Draft, analysis: Mapping[str, Any]) -> None:
    threshold = analysis.get("threshold", 1)
    draft.warn(
        f"threshold {threshold}: failed checks add up over the whole release and never reset. Here harm is proven by "
        "bounds that hold at every look, and strikes count at each step."
    )
    if analysis.get("stepWeightPromotion"):
        draft.warn("stepWeightPromotion is left out: the candidate itself becomes the champion, nothing is copied.")
    if analysis.get("sessionAffinity"):
        draft.warn("sessionAffinity is left out: units are sticky by a hash, without a cookie.")
