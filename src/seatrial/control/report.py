"""The report of a project's rollouts as one HTML file that needs nothing else: no scripts, no network."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from seatrial.control.recorder import MOVES
from seatrial.control.states import decision_from_json, state_from_json
from seatrial.control.story import difference, interval_text, metric_of, span_text, story, time_text
from seatrial.errors import IntegrityError, NotFound
from seatrial.evidence.codec import from_document
from seatrial.evidence.snapshot import Evidence
from seatrial.evidence.tally import TOTAL
from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm, Digest
from seatrial.registry.version import ModelVersion
from seatrial.rollout.decide import number
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, MetricVerdict
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction
from seatrial.store.plans import plan_digest, plan_from_json, plan_to_yaml
from seatrial.store.rollouts import StoredRollout

ARMS: Final[tuple[Arm, ...]] = (CHAMPION, CANARY, SHADOW)
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
class ArmRow:
    """What one arm had. None is a number that nobody counted."""

    arm: Arm
    units: int
    exposures: int
    logged: int
    counted: int | None


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
class LogEntry:
    """A decision that is shown (``quiet`` empty), or a run of decisions that changed nothing and are folded away."""

    decision: Decision | None
    evidence: str | None = None
    quiet: tuple[Decision, ...] = ()


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
    alarms: tuple[str, ...] = field(default_factory=tuple)


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
    evidence, note = (None, "no evidence was judged yet") if found is None else _evidence(artifacts, found)
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
        arms=() if evidence is None else _arms(evidence),
        evidence=note,
        look=look,
        verdicts=() if look is None else tuple(_verdict(plan, v) for v in (*look.verdicts, *look.signals)),
        figures=tuple(_figures(stored.id, plan, decisions, look, evidence)),
        log=tuple(_log(decisions, digests)),
        alarms=() if look is None else tuple(alarm.text for alarm in look.alarms),
    )


def _evidence(artifacts: ArtifactStore, digest: Digest) -> tuple[Evidence | None, str]:
    """The evidence under a digest, and how the report names it; evidence that was cleaned away is said to be gone."""
    try:
        artifacts.verify(digest)
        document = json.loads(zlib.decompress(artifacts.path(digest).read_bytes()))
    except NotFound:
        return None, f"{digest} (not in the artifact store any more)"
    except zlib.error as error:
        raise IntegrityError("ST0860", f"artifact {digest} is not evidence: {error}.") from None
    return from_document(document), digest


def _version(version: ModelVersion) -> str:
    what = version.serving.artifact or "an adopted endpoint"
    return f"v{version.number}, {version.source} by {version.created_by}: {what}"


def _arms(evidence: Evidence) -> tuple[ArmRow, ...]:
    rows = []
    for arm in ARMS:
        captured = [c for (_, name), c in evidence.capture.items() if name == arm]
        counted = [c.counted for c in captured if c.counted is not None]
        rows.append(
            ArmRow(
                arm=arm,
                units=evidence.units.arms.get(arm, 0),
                exposures=sum(n for (_, name), n in evidence.exposures.items() if name == arm),
                logged=sum(c.logged for c in captured),
                counted=sum(counted) if captured and len(counted) == len(captured) else None,
            )
        )
    return tuple(row for row in rows if row.units or row.exposures or row.logged)


def _verdict(plan: Plan, v: MetricVerdict) -> VerdictRow:
    return VerdictRow(
        metric=v.metric,
        role=v.role,
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
    """The traffic, every metric that was estimated, the verdicts, and the shadow's scores."""
    if not decisions:
        return []
    from seatrial.charts.decisions import decisions_chart
    from seatrial.charts.interval import interval_chart
    from seatrial.charts.scatter import scatter_chart
    from seatrial.charts.split import split_chart

    judged = {} if look is None else {v.metric: v for v in (*look.verdicts, *look.signals)}
    steps = ", ".join(dict.fromkeys(d.stage_name for d in decisions))
    made: list[tuple[Any, str]] = [(split_chart(decisions), f"Traffic over event time: {steps}.")]
    for metric in plan.metrics:
        told = f"; at the last look {difference(v, metric)}: {v.verdict}" if (v := judged.get(metric.name)) else ""
        made.append((interval_chart(decisions, plan, metric.name), f"{metric.name} over event time{told}."))
    told = ", ".join(f"{name} {v.verdict}" for name, v in judged.items())
    made.append((decisions_chart(decisions), f"Verdicts over event time; at the last look {told}."))
    grid = None if evidence is None else evidence.shadow.grid.get(TOTAL)
    if evidence is not None and grid is not None:
        chart = scatter_chart(grid, unmatched=evidence.shadow.unmatched)
        made.append((chart, f"Scores of shadow and champion for the same {evidence.shadow.pairs:,} requests."))
    return [_figure(chart, f"{rollout}-{i}", caption) for i, (chart, caption) in enumerate(made) if chart is not None]


def _figure(chart: Any, name: str, caption: str) -> Figure:
    from seatrial.charts.save import to_inline_svg

    return Figure(to_inline_svg(chart, name=name, label=caption), caption)


def _log(decisions: Sequence[Decision], digests: Sequence[Digest | None]) -> list[LogEntry]:
    """Decisions that moved something or changed a verdict; what lies between is folded."""
    entries: list[LogEntry] = []
    quiet: list[Decision] = []
    seen: dict[tuple[str, str], str] = {}

    def fold() -> None:
        if quiet:
            entries.append(LogEntry(None, quiet=tuple(quiet)))
            quiet.clear()

    for decision, digest in zip(decisions, digests, strict=True):
        verdicts: dict[tuple[str, str], str] = {(v.metric, v.arms): v.verdict for v in decision.verdicts}
        changed = bool(verdicts) and verdicts != seen
        seen = verdicts or seen
        if changed or decision.action in MOVES or decision.rule == "manual":
            fold()
            entries.append(LogEntry(decision, digest))
        else:
            quiet.append(decision)
    fold()
    return entries
