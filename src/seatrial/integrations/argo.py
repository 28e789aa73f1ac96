"""Argo Rollouts as a plan: a Rollout with the AnalysisTemplates it names.

Fields after https://argo-rollouts.readthedocs.io (features/specification, features/analysis), version 1.10. What
the query of an analysis is about is read from its words: errors and latencies can be expressed, others are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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

SOURCE: Final = "Argo Rollouts"
_CONDITION: Final = re.compile(r"(?:result(?:\[0\])?)\s*(<=|>=|<|>)\s*([0-9.]+)")
_QUANTILE: Final = re.compile(r"histogram_quantile\(\s*(0?\.\d+)")
_ERRORS: Final = re.compile(r"5\.\.|5xx|error|code|status")
_DROPPED: Final = {
    "setCanaryScale": "replicas are not seatrial's business",
    "replicaProgressThreshold": "replicas are not seatrial's business",
}
_REFUSED: Final = {
    "setHeaderRoute": "routing by header chooses who is on the canary, so that the arms are not alike",
    "experiment": "an experiment runs versions beside the release",
    "plugin": "what a plugin does is not in the manifest",
}


def read(rollout: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]) -> Imported:
    """A plan from one Rollout; ``templates``: the AnalysisTemplates by name. Raises UsageError."""
    name = str(mapping(rollout.get("metadata"), "metadata").get("name") or "imported")
    strategy = mapping(mapping(rollout.get("spec"), "spec").get("strategy"), "spec.strategy")
    if "blueGreen" in strategy:
        raise inexpressible(
            f"'{name}'", "blueGreen shows nobody the candidate before everybody gets it.",
            "Use the canary strategy with setWeight.",
        )  # fmt: skip
    canary = mapping(strategy.get("canary"), "spec.strategy.canary")
    draft = Draft(SOURCE, name)
    wanted = [*_named(canary.get("analysis"))]
    for n, step in enumerate(listing(canary.get("steps"), "canary.steps"), start=1):
        wanted += _step(draft, mapping(step, f"step {n}"), f"step {n}")
    if draft.steps and draft.weight == 100:
        draft.steps = [*_without_tail(draft.steps)]
    for template in dict.fromkeys(wanted):
        _template(draft, template, templates)
    return draft.finished()


def _without_tail(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Up to the weight of 100%, which is the promotion itself."""
    return steps[: steps.index({"setWeight": "100%"}) + 1]


# ── steps ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _step(draft: Draft, step: Mapping[str, Any], place: str) -> list[str]:
    """Take over one step; the templates that it names."""
    if "setWeight" in step:
        if weight := number(step["setWeight"], place):
            draft.set_weight(weight)
        return []
    if "setMirrorRoute" in step:
        _mirror(draft, mapping(step["setMirrorRoute"], place), place)
        return []
    if "pause" in step:
        _pause(draft, mapping(step["pause"], place), place)
        return []
    if "analysis" in step:
        draft.warn(
            f"The analysis of {place} holds the steps up while it runs; here its metrics watch all along, and no step "
            "ends before they pass."
        )
        return [*_named(step["analysis"])]
    for key, why in _REFUSED.items():
        if key in step:
            raise inexpressible(f"{place} ({key})", f"{why}.", "Take the step out, or release by a plan of your own.")
    for key, why in _DROPPED.items():
        if key in step:
            draft.warn(f"{key} is left out: {why}.")
            return []
    raise inexpressible(place, f"{', '.join(step) or 'an empty step'} is unknown.", "Take the step out.")


def _mirror(draft: Draft, route: Mapping[str, Any], place: str) -> None:
    if "percentage" not in route and "match" not in route:
        return  # that ends a mirror; here the next weight does
    if draft.weight:
        raise inexpressible(place, "a mirror after users are on the canary.", "Mirror first, then set weights.")
    draft.steps.append({"shadow": {"share": f"{number(route.get('percentage', 100), place):g}%"}})
    if "match" in route:
        draft.warn("The mirror's match is left out: a copy is made of the requests of a share of the units.")


def _pause(draft: Draft, pause: Mapping[str, Any], place: str) -> None:
    if not draft.steps:
        draft.warn(f"{place} waits before any traffic and is left out.")
    elif pause.get("duration") is None:
        draft.steps.append({"pause": {}})
    else:
        draft.steps.append({"pause": {"duration": span(pause["duration"], place)}})


# ── analysis ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _named(analysis: object) -> list[str]:
    """The names of the templates of an analysis."""
    given = mapping(analysis, "analysis")
    named = [mapping(entry, "analysis.templates") for entry in listing(given.get("templates"), "analysis.templates")]
    return [str(entry.get("templateName")) for entry in named]


def _template(draft: Draft, name: str, templates: Mapping[str, Mapping[str, Any]]) -> None:
    if name not in templates:
        raise UsageError(
            "ST0308", f"'{draft.name}' is analysed by the template '{name}', which is not in the file.",
            remedy="Put the AnalysisTemplate into the same file, with `---` between them.",
        )  # fmt: skip
    spec = mapping(templates[name].get("spec"), f"template '{name}'")
    tried = [
        re.compile(str(mapping(entry, "dryRun").get("metricName"))) for entry in listing(spec.get("dryRun"), "dryRun")
    ]
    for entry in listing(spec.get("metrics"), f"template '{name}'"):
        metric = mapping(entry, f"template '{name}'")
        made = _metric(draft, metric)
        if any(pattern.fullmatch(str(metric.get("name"))) for pattern in tried):
            made["role"] = "dryRun"
            made.pop("limit", None)  # a limit aborts at once, which a dry run must not
        draft.guard(made)


def _metric(draft: Draft, metric: Mapping[str, Any]) -> dict[str, Any]:
    """A guardrail for one metric. Raises UsageError (ST0307) for a query that is about something else."""
    name = str(metric.get("name"))
    query = str(mapping(mapping(metric.get("provider"), name).get("prometheus"), name).get("query", ""))
    sense, bound = _bound(metric)
    made: dict[str, Any] | None = None
    if bound is None:
        draft.warn(f"Metric {name} has no condition: their controller counts that as success, however bad it is.")
    if (quantile := _QUANTILE.search(query)) and bound is not None and sense == "at most":
        in_ms = re.search(r"_(milliseconds|ms)(_|\b)", query) is not None
        made = slow_metric(name, bound if in_ms else 1000 * bound, 1 - float(quantile[1]))
    elif quantile is None and _ERRORS.search(query):
        at_most = None if bound is None else 1 - bound if sense == "at least" else bound
        if at_most is None or 0 <= at_most < 1:
            made = errors_metric(name, 0.2 if at_most is None else at_most)
    if made is None:
        raise UsageError(
            "ST0307", f"metric '{name}' cannot be expressed: seatrial reads requests and outcomes, not query results.",
            remedy="Take it out, and report the outcome behind it: a metric of kind proportion, mean or sum_per_time.",
        )  # fmt: skip
    _weaker(draft, name, metric)
    return made


def _bound(metric: Mapping[str, Any]) -> tuple[str, float | None]:
    """What a successful result is: ``at least`` or ``at most`` a number; the opposite of what a failed one is."""
    for field, flipped in (("successCondition", False), ("failureCondition", True)):
        found = _CONDITION.search(str(metric.get(field, "")))
        if found is not None:
            return ("at least" if (found[1] in (">", ">=")) != flipped else "at most"), float(found[2])
    return "", None


def _weaker(draft: Draft, name: str, metric: Mapping[str, Any]) -> None:
    condition = metric.get("successCondition") or metric.get("failureCondition")
    if condition:
        samples = f"{metric['count']} samples" if "count" in metric else "a sample"
        draft.warn(
            f"Metric {name} (`{condition}`) holds {samples} against a constant: no sample size, no interval, no "
            "champion beside it. Here the canary is held against the champion; their constant became `limit`."
        )
    draft.warn("They have no margin: 1pp (errors) or 2pp (slow answers) was put in. Say what loss you can live with.")
    if metric.get("failureLimit") is not None:
        draft.warn(
            f"failureLimit {metric['failureLimit']} counts failed samples of a run, whatever they were drawn from. "
            "Here harm is proven by bounds that hold at every look, and strikes count at each step."
        )
    if metric.get("inconclusiveLimit") is not None or metric.get("failureCondition"):
        draft.warn("What is inconclusive waits for a person there, and may be promoted; here it waits for evidence.")
    for field in ("initialDelay", "consecutiveErrorLimit"):
        if metric.get(field) is not None:
            draft.warn(f"{field} is left out: a sample that is too small is never a verdict here.")
