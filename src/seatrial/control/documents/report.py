"""The report of a project's rollouts as one HTML file that needs nothing else: no scripts, no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from seatrial.control.documents.chronicle import LogEntry, chronicle
from seatrial.control.documents.findings import ArmRow, arms_of, evidence_of
from seatrial.control.documents.pictures import pictures
from seatrial.control.documents.story import interval_text, metric_of, span_text, story, time_text
from seatrial.control.documents.views import Document
from seatrial.control.documents.ways_home import way_home_text, ways_home
from seatrial.control.follow_up import follow_up_document
from seatrial.control.states import decision_from_json, state_from_json
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CANARY, Digest
from seatrial.registry.version import ModelVersion
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, MetricVerdict
from seatrial.rollout.wording import number, surrogate_text
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction
from seatrial.store.plans import plan_digest, plan_from_json, plan_to_yaml
from seatrial.store.rollouts import StoredRollout

_BADGES: Final = {
    "promoted": ("✓ promoted", "good"),
    "aborted": ("✕ stopped", "bad"),
    "paused": ("‖ paused", "open"),
    "running": ("▸ running", "open"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture: SVG text, trusted because the chart library wrote and escaped it."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A verdict as text."""

    metric: str
    role: str
    verdict: str
    compared: str
    estimate: str
    interval: str
    bound: str
    margin: str
    rates: tuple[str, str]
    counts: tuple[int, int]
    needs: str


@dataclass(frozen=True, slots=True)
class Section:
    """One rollout, ready to be written."""

    rollout: StoredRollout
    badge: tuple[str, str]
    story: str
    reached: str
    started: datetime
    ended: datetime | None
    lasted: str
    plan: Plan
    plan_digest: Digest
    plan_yaml: str
    champion: str
    candidate: str
    state: RolloutState
    arms: tuple[ArmRow, ...]
    evidence: str
    look: Decision | None
    verdicts: tuple[VerdictRow, ...]
    figures: tuple[Figure, ...]
    log: tuple[LogEntry, ...]
    after: Document | None = None
    alarms: tuple[str, ...] = field(default_factory=tuple)
    ways_home: tuple[str, ...] = ()


def write_report(store: Store, artifacts: ArtifactStore, path: Path, *, title: str, intro: str = "") -> Path:
    """Write all rollouts in the store, oldest first, and return ``path``.

    Only what is stored goes in, so the same store gives the same report. Paragraphs of ``intro`` are separated by
    blank lines. Raises IntegrityError if evidence is not what was stored.
    """
    with store.read() as tx:
        sections = [_section(tx, artifacts, stored) for stored in tx.rollouts.list()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_render(sections, title, intro), encoding="utf-8")
    return path


def _render(sections: Sequence[Section], title: str, intro: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("seatrial.control"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(time=time_text, n=lambda value: f"{value:,}", percent=lambda w: f"{w / 100:g}%")
    paragraphs = [part.strip() for part in intro.split("\n\n") if part.strip()]
    return environment.get_template("report.html").render(title=title, intro=paragraphs, sections=sections)


def _section(tx: Transaction, artifacts: ArtifactStore, stored: StoredRollout) -> Section:
    plan, state = plan_from_json(json.loads(stored.plan)), state_from_json(stored.state)
    kept = tx.decisions.list(stored.id)
    decisions = [decision_from_json(d.document) for d in kept]
    digests = [d.evidence_digest for d in kept]
    found = next((d for d in reversed(digests) if d is not None), None)
    evidence, note = (None, "no evidence was judged yet") if found is None else evidence_of(artifacts, found)
    look = next((d for d in reversed(decisions) if d.verdicts or d.signals), None)
    ended = state.phase.started if state.over else None
    touched = None if evidence is None else evidence.units.arms.get(CANARY, 0)
    until = ended or state.looked_at or state.started
    return Section(
        rollout=stored,
        badge=_BADGES[state.status],
        story=story(plan, state, decisions, touched) if decisions else "Nothing was decided yet.",
        reached=decisions[-1].stage_name if decisions else "",
        started=state.started,
        ended=ended,
        lasted=span_text(until - state.started),
        plan=plan,
        plan_digest=plan_digest(plan),
        plan_yaml=plan_to_yaml(plan),
        champion=_version(tx.models.get_version(stored.model, stored.champion)),
        candidate=_version(tx.models.get_version(stored.model, stored.candidate)),
        state=state,
        arms=() if evidence is None else arms_of(evidence),
        evidence=note,
        look=look,
        verdicts=() if look is None else tuple(_verdict(plan, v) for v in (*look.verdicts, *look.signals)),
        figures=tuple(_figures(stored.id, plan, decisions, look, evidence)),
        log=tuple(chronicle(decisions, digests)),
        after=follow_up_document(tx, stored.id),
        alarms=() if look is None else tuple(alarm.text for alarm in look.alarms),
        ways_home=tuple(way_home_text(way) for way in ways_home(tx, stored.id)),
    )


def _version(version: ModelVersion) -> str:
    what = version.serving.artifact or "an adopted endpoint"
    return f"v{version.number}, {version.source} by {version.created_by}: {what}"


def _verdict(plan: Plan, v: MetricVerdict) -> VerdictRow:
    return VerdictRow(
        metric=v.metric,
        role=_role(plan, v),
        verdict=v.verdict,
        compared="shadow, same requests" if v.arms == "shadow" else "canary against champion",
        estimate="none yet" if v.estimate is None else number(v, v.estimate),
        interval=interval_text(v) or "none yet",
        bound=_limit(plan, v, v.bound),
        margin=_limit(plan, v, v.margin),
        rates=(_rate(v, v.rate_champion), _rate(v, v.rate_candidate)),
        counts=(v.count_champion, v.count_candidate),
        needs="" if v.verdict == "fail" else v.needs,
    )


def _role(plan: Plan, v: MetricVerdict) -> str:
    """``guardrail``; of a leading indicator also what it stands for."""
    metric = metric_of(plan, v)
    return f"{v.role}, {surrogate_text(metric)}" if metric is not None and metric.surrogate_of else str(v.role)


def _limit(plan: Plan, v: MetricVerdict, value: float) -> str:
    """A bound in its own unit: a relative margin of rare events bounds the ratio of their rates."""
    metric = metric_of(plan, v)
    if v.scale == "absolute" and metric is not None and metric.margin is not None and metric.margin.scale == "relative":
        return f"rate ratio {1 + value:.3g}"
    return number(v, value)


def _rate(v: MetricVerdict, value: float | None) -> str:
    if value is None:
        return "none yet"
    return f"{value:.2%}" if v.method.startswith("exact") else f"{value:.4g}"


def _figures(
    rollout: str, plan: Plan, decisions: Sequence[Decision], look: Decision | None, evidence: Evidence | None
) -> list[Figure]:
    from seatrial.charts.save import to_inline_svg
    from seatrial.charts.style import WIDTH

    drawn = pictures(plan, decisions, look, evidence, width=WIDTH)
    return [
        Figure(to_inline_svg(picture.draw(), name=f"{rollout}-{i}", label=picture.caption), picture.caption)
        for i, picture in enumerate(drawn)
    ]
