"""The page of one rollout: where it stands, what was measured, what was decided, and what is to be expected."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Final

from seatrial.control.analyses.outlook import outlook
from seatrial.control.documents import catalog
from seatrial.control.documents.chronicle import LogEntry, chronicle
from seatrial.control.documents.findings import ArmRow, arms_of, evidence_of
from seatrial.control.documents.pictures import Picture, pictures
from seatrial.control.documents.rollouts import decision_document, judgement, rollout_document
from seatrial.control.documents.story import story
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.control.render import Release
from seatrial.control.states import decision_from_json
from seatrial.errors import IntegrityError
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CANARY, Digest
from seatrial.rollout.forecast import Sight
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction
from seatrial.store.plans import plan_digest, plan_to_yaml
from seatrial.store.rollouts import StoredRollout

KEPT: Final = 32
WIDTH: Final = 420
"""Of a picture over time, in pixels: two stand side by side, and their letters are those of the page."""

SHOWN: Final = 100
"""Decisions that moved or changed something, newest first; whoever needs the older ones has the API."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Stored decisions in a row that changed nothing."""

    n: int
    since: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A decision (``seatrial.decision.v1``) with what it was made on, or a quiet time between two of them."""

    decision: Document | None = None
    judged: Document | None = None
    changed: tuple[str, ...] = ()
    evidence: str | None = None
    quiet: Quiet | None = None


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """Everything the page shows but the weight in use, which is asked of Envoy."""

    rollout: Document
    decisions: int
    story: str
    entries: tuple[Entry, ...]
    left_out: int
    arms: tuple[ArmRow, ...]
    evidence: str
    pictures: tuple[Picture, ...]
    outlook: tuple[Sight, ...]
    plan_yaml: str
    plan_digest: str


class ReleasePages:
    """Reads such pages; each is kept until its rollout's revision rises, and made once however many ask for it."""

    def __init__(self, project: Project, store: Store) -> None:
        self._store, self._artifacts = store, ArtifactStore(project.artifacts)
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, int], ReleasePage] = OrderedDict()

    def read(self, name: str) -> ReleasePage:
        """By id, or by model: then its active rollout, or the latest. Raises NotFound."""
        with self._store.read() as tx:
            stored = tx.rollouts.get(catalog.find_rollout(tx, name))
            key = (stored.id, stored.revision)
            with self._lock:
                if key not in self._known:
                    self._known[key] = _page(tx, self._artifacts, stored)
                    while len(self._known) > KEPT:
                        self._known.popitem(last=False)
                return self._known[key]


def _page(tx: Transaction, artifacts: ArtifactStore, stored: StoredRollout) -> ReleasePage:
    release = catalog.load(stored)
    plan, state = release.plan, release.state
    kept = tx.decisions.list(stored.id)
    decisions = [decision_from_json(d.document) for d in kept]
    digests = [d.evidence_digest for d in kept]
    evidence, note = _evidence(artifacts, digests)
    touched = None if evidence is None else evidence.units.arms.get(CANARY, 0)
    look = next((d for d in reversed(decisions) if d.verdicts or d.signals), None)
    log = chronicle(decisions, digests)[::-1]
    return ReleasePage(
        rollout=rollout_document(stored, plan, state, kept),
        decisions=len(decisions),
        story=story(plan, state, decisions, touched) if decisions else "Nothing was decided yet.",
        entries=tuple(_entry(release, entry, final=entry.decision is decisions[-1]) for entry in log[:SHOWN]),
        left_out=max(len(log) - SHOWN, 0),
        arms=() if evidence is None else arms_of(evidence),
        evidence=note,
        pictures=tuple(pictures(plan, decisions, look, evidence, width=WIDTH)),
        outlook=_outlook(tx, artifacts, release),
        plan_yaml=plan_to_yaml(plan),
        plan_digest=plan_digest(plan),
    )


def _evidence(artifacts: ArtifactStore, digests: Sequence[Digest | None]) -> tuple[Evidence | None, str]:
    """The latest evidence and its name. Evidence that was changed is named as such: the page is shown all the same."""
    found = next((d for d in reversed(digests) if d is not None), None)
    if found is None:
        return None, "no evidence was judged yet"
    try:
        return evidence_of(artifacts, found)
    except IntegrityError as error:
        return None, error.message


def _outlook(tx: Transaction, artifacts: ArtifactStore, release: Release) -> tuple[Sight, ...]:
    """Of a rollout that goes on; evidence that was changed forecasts nothing."""
    if not release.stored.active:
        return ()
    try:
        return tuple(outlook(tx, artifacts, release.plan, release.stored.model))
    except IntegrityError:
        return ()


def _entry(release: Release, entry: LogEntry, *, final: bool) -> Entry:
    """When something will be there is said of the last decision alone: the others are answered by what followed."""
    if entry.decision is None:
        first, last = entry.quiet[0], entry.quiet[-1]
        return Entry(quiet=Quiet(len(entry.quiet), first.at, last.at, last.reason))
    judged = judgement(release.plan, release.state, entry.decision)
    if not final:
        for verdict in (*judged["verdicts"], *judged["signals"]):
            verdict["expected"] = None
    return Entry(decision_document(entry.decision), judged, entry.changed, entry.evidence)
