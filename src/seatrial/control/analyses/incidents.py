"""Kills, rollbacks and aborts: what they share, how unusual so many are, and which were for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from seatrial.control.analyses.interventions import History, histories
from seatrial.control.documents.views import Document, plain
from seatrial.control.project import Project
from seatrial.engines.spans import Span, seen
from seatrial.governance.interventions import Group, Intervention, common, groups
from seatrial.governance.rate import DAY_S, Rate, rate
from seatrial.governance.verity import Effect, Finding, Seen, effects, of_abort, of_kill
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store
from seatrial.values import Duration

WINDOW: Final = Duration.parse("1h")
USUAL: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=1)
"""How much of the time after a kill or a rollback is looked at: what comes later has other reasons."""


def analyse(
    project: Project,
    store: Store,
    *,
    now: datetime,
    model: str | None = None,
    since: datetime,
    baseline: float | None = None,
    window: Duration = WINDOW,
) -> Document:
    """``seatrial.incident-analysis.v1``: of one model or of all, from ``since`` to ``now``.

    ``baseline``: interventions a month that are normal; the time before ``since`` unless given. ``window``: how long
    before an intervention its trouble is looked for. Raises NotFound.
    """
    with store.read() as tx:
        entries = [*tx.audit.entries()]
        known = histories(tx, project, model)
        everything = [(one, history) for history in known.values() for one in history.interventions(entries)]
        later = {one.id: history.promoted_later(one) for one, history in everything}
    found = sorted(((o, h) for o, h in everything if since <= o.at < now), key=lambda pair: pair[0].at)
    began = min((history.began for history in known.values() if history.began is not None), default=since)
    before = sum(one.at < since for one, _ in everything)
    ones = [one for one, _ in found]
    judged = rate([one.at for one in ones], since, now, baseline=baseline, history=(before, _days(began, since)))
    judgements = [
        _judged(project, one, history, later[one.id], _calm_since(one, [o for o, _ in everything]), now, window.delta)
        for one, history in found
    ]
    verities = [str(document["verity"]) for document in judgements]
    return {
        "schema": "seatrial.incident-analysis.v1",
        "model": model,
        "since": iso_z(since),
        "until": iso_z(now),
        "text": _text(judged, verities),
        "rate": _rate(judged),
        "common": [_group(group) for group in common(ones)],
        "groups": [_group(group) for group in groups(ones)],
        "interventions": judgements,
    }


def _days(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds() / DAY_S)


# ── one of them ────────────────────────────────────────────────────────────────────────────────────────────────────


def _judged(
    project: Project,
    one: Intervention,
    history: History,
    later: str,
    calm: datetime | None,
    now: datetime,
    window: timedelta,
) -> Document:
    if one.kind == "abort":
        return _intervention(one, of_abort(one.trigger, later), ())
    spans = dict(_spans(one, history, calm, now, window))
    found = seen(project.events, project.outcomes, one.model, spans)
    usual, before, during, after = (found.get(name) for name in ("usual", "before", "during", "after"))
    return _intervention(one, of_kill(usual, before, during, after), _fallback(usual, during))


def _calm_since(one: Intervention, everything: list[Intervention]) -> datetime | None:
    """When the trouble before this one was over: what lies before that is no ordinary time."""
    ends = [
        (other.until or other.at) + LONGEST for other in everything if other.model == one.model and other.at < one.at
    ]
    return max(ends, default=None)


def _spans(
    one: Intervention, history: History, calm: datetime | None, now: datetime, window: timedelta
) -> Iterator[tuple[str, Span]]:
    """Ordinary times, just before, meanwhile, and after the same version came back."""
    reign = history.reign(one.at - timedelta(microseconds=1))
    if one.version is None or reign is None:
        return
    trouble = max(one.at - window, reign.since)
    usual = max(trouble - USUAL, reign.since, calm or reign.since)
    yield "usual", Span(min(usual, trouble), trouble, one.version)
    yield "before", Span(trouble, one.at, one.version)
    ends = min(one.until or now, one.at + LONGEST)
    if one.before is not None and one.at < ends:
        yield "during", Span(one.at, ends, one.before)
    if one.until is not None and one.until < now and _champion(history, one.until) == one.version:
        yield "after", Span(one.until, min(now, one.until + LONGEST), one.version)


def _champion(history: History, at: datetime) -> int | None:
    reign = history.reign(at)
    return None if reign is None else int(reign.version)


def _fallback(usual: Seen | None, during: Seen | None) -> tuple[Effect, ...]:
    """What it cost, or gained, that another version answered: against ordinary times, before and after."""
    return effects(usual, during)


# ── documents ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _intervention(one: Intervention, finding: Finding, fallback: tuple[Effect, ...]) -> Document:
    return {
        "id": one.id,
        "kind": one.kind,
        "at": iso_z(one.at),
        "until": None if one.until is None else iso_z(one.until),
        "model": one.model,
        "version": one.version,
        "before": one.before,
        "trigger": one.trigger,
        "reason": one.reason,
        "actor": one.actor,
        "named": list(one.named),
        "data": one.data or None,
        "changes": [{**plain(change), "text": change.text} for change in one.changes],
        "verity": finding.verity,
        "why": finding.why,
        "fallback": [plain(effect) for effect in fallback],
    }


def _group(group: Group) -> Document:
    return {**plain(group), "count": group.count}


def _rate(found: Rate) -> Document:
    return {**plain(found), "unusual": found.unusual}


def _text(found: Rate, verities: list[str]) -> str:
    """The whole of it in two sentences."""
    if not found.count:
        return f"Nothing was taken out of traffic in {found.days:.3g} days."
    named = ", ".join(f"{verities.count(word)} {word}" for word in ("true", "false", "unknown") if word in verities)
    head = f"{found.count} in {found.days:.3g} days ({named})"
    if found.p_value is None or found.expected is None:
        return f"{head}. There is no history to hold this against: give --baseline."
    says = "more than chance explains" if found.unusual else "no more than chance explains"
    expected = f"{found.expected:.3g} expected" + (" from history" if found.source == "history" else "")
    return f"{head}; {expected}, p = {found.p_value:.3g}: {says}."
