"""How alike champion and shadow answer, as one document: of a rollout's log, and of a user's own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from seatrial.control.documents.catalog import find_rollout, load
from seatrial.control.documents.views import plain
from seatrial.control.project import Project
from seatrial.control.states import decision_from_json
from seatrial.engines.answer_table import Asked, table_answers
from seatrial.engines.answers import rollout_answers
from seatrial.engines.inputs import Input
from seatrial.errors import NotFound
from seatrial.events.schema import from_micros, to_micros
from seatrial.evidence.answers import Answers
from seatrial.evidence.snapshot import Evidence
from seatrial.evidence.tally import TOTAL
from seatrial.rollout.agreement import DEFAULT_MIN_PAIRS, MAX_UNMATCHED, judge_agreement
from seatrial.rollout.likeness import TOP_K, TOP_SHARE, Likeness, likeness
from seatrial.rollout.plan import Plan, ServingDecision
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
    enough, in place of the metric's; ``cost_per_day``: of serving the champion everything; ``share``: of the requests
    that are copied, where the log does not tell.
    """

    decision: ServingDecision | None = None
    min_pairs: int | None = None
    cost_per_day: float | None = None
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
    copied = rollout_answers(project.events, state.model, state.rollout, segments, to_micros(at))
    answers = copied.answers
    if not len(answers.time):
        raise NotFound(
            "ST0288", f"rollout '{state.rollout}' has mirrored nothing by {at:%Y-%m-%d %H:%M}.",
            remedy="A plan with a 'shadow' step does, and a copy is told of a minute after it was made.",
        )  # fmt: skip
    planned = {phase.mirrored for phase in state.phases if phase.mirrored}
    head = {
        "name": state.rollout,
        "rollout": state.rollout,
        "model": state.model,
        "champion": state.champion,
        "candidate": state.candidate,
        "at": iso_z(at),
        "sampling": {
            "planned": [share / 10_000 for share in sorted(planned)],
            "measured": len(answers.time) / copied.exposures if copied.exposures else None,
            "exposures": copied.exposures,
        },
    }
    decisions = (decision_from_json(kept.document) for kept in reversed(tx.decisions.list(stored.id)))
    judged = next((found for d in decisions if (found := [v for v in (*d.verdicts, *d.signals) if v.agrees])), [])
    return _report(head, answers, plan, judged, options)


def table_report(source: Input, asked: Asked, plan: Plan | None, options: Options) -> ShadowReport:
    """Of a table, judged by the metrics of agreement of a plan if there is one. Errors as of ``table_answers``."""
    if plan is not None:
        asked = replace(asked, segments=plan.segments)
    answers = table_answers(source, asked)
    judged = [] if plan is None else _judged(plan, answers)
    share = None if options.share is None else options.share.fraction
    head = {
        "name": source.name,
        "log": source.name,
        "sampling": {"planned": [] if share is None else [share], "measured": None},
    }
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
    found = likeness(answers, threshold=None if decision is None else decision.threshold, min_pairs=least)
    document = {
        "schema": SCHEMA,
        "about": LABEL,
        **head,
        "outputs": "lists" if answers.champion.ranked is not None else answers.outputs(),
        "minPairs": least,
        "interval": 0.95,
        "topShare": TOP_SHARE,
        "topK": TOP_K,
        "decision": plain(decision),
        "unmatched": _unmatched(answers, found),
        "cost": _cost(head["sampling"], options),
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


def _cost(sampling: Document, options: Options) -> Document | None:
    """A copy costs what an answer of the champion costs; None where nobody said what that is."""
    if options.cost_per_day is None:
        return None
    share = sampling["measured"] if options.share is None else options.share.fraction
    return {
        "servingPerDay": options.cost_per_day,
        "share": share,
        "extraPerDay": None if share is None else options.cost_per_day * share,
    }
