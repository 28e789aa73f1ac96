"""How alike champion and shadow answer, as one document: of a rollout's log, and of a user's own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from seatrial.control.analyses.sampling import cost_of, sampling_of, sampling_of_standing, sampling_of_table
from seatrial.control.documents.catalog import find_rollout, load
from seatrial.control.documents.views import plain
from seatrial.control.project import Project
from seatrial.control.render import active_release
from seatrial.control.shadows.standing import standing_shadows
from seatrial.control.states import decision_from_json
from seatrial.engines.answer_table import Asked, table_answers
from seatrial.engines.answers import rollout_answers
from seatrial.engines.inputs import Input
from seatrial.engines.standing_answers import standing_answers
from seatrial.errors import NotFound, UsageError
from seatrial.events.schema import from_micros, to_micros
from seatrial.evidence.answers import Answers
from seatrial.evidence.lists import TOP_K
from seatrial.evidence.snapshot import Evidence
from seatrial.evidence.tally import TOTAL
from seatrial.rollout.agreement import DEFAULT_MIN_PAIRS, MAX_UNMATCHED, judge_agreement
from seatrial.rollout.likeness import TOP_SHARE, Likeness
from seatrial.rollout.plan import Plan, ServingDecision
from seatrial.rollout.reweighted import likeness_by_share
from seatrial.rollout.verdicts import MetricVerdict
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.values import Share

Document = dict[str, Any]

SCHEMA = "seatrial.shadow.v1"
LABEL = "agreement, not quality"
MOST_HOURS = 24 * 31
"""Hours with unmatched requests that a document lists."""

_HOUR = 3_600 * 1_000_000
HEADLINES = {"spearman": "Spearman's rank correlation", "kappa": "Cohen's kappa", "rbo": "rank-biased overlap"}
"""The number a segment is known by, in the order of preference."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """``decision``: where scores become decisions, in place of the plan's; ``min_pairs``: below it a segment is not
    enough, in place of the metric's; ``cost_per_day``: of serving the champion everything; ``cost_per_1000``: of so
    many predictions of the shadow; ``share``: of the requests
    that are copied, where the log does not tell.
    """

    decision: ServingDecision | None = None
    min_pairs: int | None = None
    cost_per_day: float | None = None
    cost_per_1000: float | None = None
    share: Share | None = None


@dataclass(frozen=True)
class ShadowReport:
    """The document, and the answers it was made of (for pictures)."""

    document: Document
    answers: Answers


def rollout_report(project: Project, tx: Transaction, name: str, options: Options) -> ShadowReport:
    """Up to the latest look at a rollout. ``name``: a rollout, or a model.

    Raises NotFound where there is no such rollout, or nothing of it was ever mirrored (ST0288).
    """
    stored = tx.rollouts.get(find_rollout(tx, name))
    release = load(stored)
    plan, state = release.plan, release.state
    at = state.looked_at or state.started
    segments = [segment.name for segment in plan.segments]
    by = plan.gateway_segment.name if plan.samples and plan.gateway_segment is not None else None
    copied = rollout_answers(project.events, state.model, state.rollout, segments, to_micros(at), by=by)
    answers = copied.answers
    if not len(answers.time):
        raise NotFound(
            "ST0288", f"rollout '{state.rollout}' has mirrored nothing by {at:%Y-%m-%d %H:%M}.",
            remedy="A plan with a 'shadow' step does, and a copy is told of a minute after it was made.",
        )  # fmt: skip
    head = {
        "name": state.rollout,
        "rollout": state.rollout,
        "model": state.model,
        "champion": state.champion,
        "candidate": state.candidate,
        "at": iso_z(at),
        "sampling": sampling_of(state, copied, by, at),
    }
    decisions = (decision_from_json(kept.document) for kept in reversed(tx.decisions.list(stored.id)))
    judged = next((found for d in decisions if (found := [v for v in (*d.verdicts, *d.signals) if v.agrees])), [])
    return _report(head, answers, plan, judged, options)


def standing_report(project: Project, tx: Transaction, model: str, version: int, options: Options) -> ShadowReport:
    """Of a standing shadow, beside the present champion: everything that is in the log.

    Raises NotFound where there is no such version, and where nothing was copied to it (ST0704).
    """
    tx.models.get_version(model, version)
    champion, active = tx.models.pointers(model).get("champion"), active_release(tx, model)
    plan = None if active is None else active.plan
    segments = [] if plan is None else [segment.name for segment in plan.segments]
    copied, seconds = standing_answers(project.events, model, version, champion or 0, segments)
    if not len(copied.answers.time):
        raise NotFound(
            "ST0704", f"nothing that the present champion of '{model}' answered was copied to v{version}.",
            remedy=f"`seatrial shadow add {model} {version} --share 10%`; a copy is told of a minute later.",
        )  # fmt: skip
    share = next((one.share.per_10k / 10_000 for one in standing_shadows(tx, model) if one.version == version), None)
    head = {
        "name": f"{model} v{version}",
        "standing": True,
        "model": model,
        "champion": champion,
        "candidate": version,
        "at": iso_z(from_micros(int(copied.answers.time.max()))),
        "sampling": sampling_of_standing(copied, seconds, share),
    }
    return _report(head, copied.answers, plan, [], options)


def table_report(source: Input, asked: Asked, plan: Plan | None, options: Options) -> ShadowReport:
    """Of a table, judged by the metrics of agreement of a plan if there is one. Errors as of ``table_answers``."""
    if plan is not None:
        asked = replace(asked, segments=plan.segments)
    answers = table_answers(source, asked)
    judged = [] if plan is None else _judged(plan, answers)
    share = None if options.share is None else options.share.per_10k
    sampling = sampling_of_table(answers, share)
    if options.cost_per_1000 is not None and sampling["perDay"] is None:
        raise UsageError(
            "ST0289", f"'{source.name}' does not tell how many days its requests took.", remedy="Add --time COLUMN."
        )
    head = {"name": source.name, "log": source.name, "sampling": sampling}
    return _report(head, answers, plan, judged, options)


def _judged(plan: Plan, answers: Answers) -> list[MetricVerdict]:
    at = from_micros(max(int(answers.time.max()), 0))
    evidence = Evidence(at=at, shadow=answers.evidence())
    return [judge_agreement(plan, metric, evidence) for metric in plan.agreements]


def _report(
    head: Document, answers: Answers, plan: Plan | None, judged: Sequence[MetricVerdict], options: Options
) -> ShadowReport:
    decision = options.decision or (plan.decision if plan else None)
    asked = [metric.min_pairs for metric in plan.agreements if metric.min_pairs] if plan else []
    least = options.min_pairs or max(asked, default=DEFAULT_MIN_PAIRS)
    found = likeness_by_share(answers, threshold=None if decision is None else decision.threshold, min_pairs=least)
    document = {
        "schema": SCHEMA,
        "about": LABEL,
        **head,
        "outputs": answers.outputs(),
        "minPairs": least,
        "interval": 0.95,
        "topShare": TOP_SHARE,
        "topK": TOP_K,
        "decision": plain(decision),
        "unmatched": _unmatched(answers, found),
        "cost": cost_of(
            head["sampling"],
            per_day=options.cost_per_day,
            per_1000=options.cost_per_1000,
            share=None if options.share is None else options.share.fraction,
        ),
        "segments": [_segment(one) for one in found],
        "worst": _worst(found),
        "verdicts": [plain(verdict) for verdict in judged],
    }
    return ShadowReport(document, answers)


def _segment(one: Likeness) -> Document:
    name, headline = headline_of(one)
    told: Document = plain(one)
    told["headline"] = None if headline is None else {"statistic": name, **asdict(headline)}
    return told


def headline_of(one: Likeness) -> tuple[str, Any]:
    """The number a segment is known by, and its name; None where there is none."""
    for name in HEADLINES:
        if (found := getattr(one, name)) is not None:
            return name, found
    return "", None


def _worst(found: Sequence[Likeness]) -> list[Document]:
    """The segment of each dimension in which the shadow agrees least, of those with enough pairs."""
    worst: dict[str, tuple[float, Document]] = {}
    for one in found:
        _, headline = headline_of(one)
        if one.segment == TOTAL or one.status != "ok" or headline is None:
            continue
        dimension, _, value = one.segment.partition("=")
        entry = {"dimension": dimension, "value": value, "segment": one.segment, "estimate": headline.value}
        if dimension not in worst or headline.value < worst[dimension][0]:
            worst[dimension] = headline.value, entry
    return [entry for _, entry in worst.values()]


def _unmatched(answers: Answers, found: Sequence[Likeness]) -> Document:
    total, lost = len(answers.time), ~answers.compared
    known = answers.time >= 0
    hours, place = np.unique(answers.time[known] // _HOUR, return_inverse=True)
    requests = np.bincount(place, minlength=len(hours))
    missing = np.bincount(place, weights=lost[known], minlength=len(hours)).astype(int)
    rows = [
        {"hour": iso_z(datetime.fromtimestamp(int(hour) * 3_600, UTC)), "requests": int(n), "unmatched": int(m)}
        for hour, n, m in zip(hours, requests, missing, strict=True)
        if m
    ]
    return {
        "requests": total,
        "unmatched": int(lost.sum()),
        "noCounterpart": int((~answers.joined).sum()),
        "share": float(lost.mean()),
        "limit": MAX_UNMATCHED,
        "valid": bool(lost.mean() <= MAX_UNMATCHED),
        "hours": rows[:MOST_HOURS],
        "segments": [
            {"segment": one.segment, "requests": one.requests, "unmatched": one.unmatched}
            for one in found
            if one.unmatched
        ],
    }
