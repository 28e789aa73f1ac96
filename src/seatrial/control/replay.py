"""Decisions once more: each is recomputed from what is stored beside it, and compared to the byte."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from seatrial.control.documents.catalog import load
from seatrial.control.recorder import MOVES
from seatrial.control.render import Release
from seatrial.control.states import Given, decision_from_json, decision_to_json, given_from_json
from seatrial.errors import IntegrityError, NotFound, SeatrialError
from seatrial.evidence.codec import from_document
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import Digest
from seatrial.rollout.look import take_look
from seatrial.rollout.start import Verb, by_alert, by_hand, start
from seatrial.rollout.verdicts import Decision
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.audit import AuditEntry
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.decisions import StoredDecision
from seatrial.store.plans import plan_digest

MOST_ENTRIES: Final = 100_000
"""Audit entries of one rollout; it has one a move."""


class _Unusable(Exception):
    """What a decision was taken on cannot be used: ``field`` names it, the message says why."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing at which a stored decision is not what its evidence gives.

    ``field``: a place in the decision's document (``verdicts[0].estimate``), or ``evidence``, ``given``, ``plan``,
    ``audit``, ``seq``.
    """

    seq: int
    look: int | None
    at: datetime
    action: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: how much was recomputed, and each decision that is not what its evidence gives."""

    rollout: str
    model: str
    decisions: int
    looks: int
    different: tuple[Difference, ...]

    @property
    def identical(self) -> bool:
        return not self.different

    def require_identical(self) -> None:
        """Raises IntegrityError (ST0300) that names the first decision and field that differs."""
        for first in self.different:
            raise IntegrityError(
                "ST0300",
                f"rollout {self.rollout}: decision {first.seq} ({first.action} at {iso_z(first.at)}): {first.text}.",
                remedy="Store or artifacts were changed since, or another release of seatrial judges: "
                "compare with a backup, and see `seatrial audit verify`.",
            )


def replay(tx: Transaction, artifacts: ArtifactStore, rollout: str) -> Replayed:
    """Recompute every stored decision of a rollout through the real gates and rules. Raises NotFound."""
    release = _release(tx, rollout)
    stored = tx.decisions.list(rollout)
    told = [entry for entry in tx.audit.log(MOST_ENTRIES, rollout) if entry.action.startswith("rollout.")]
    different = [*_of_the_whole(release, stored, told), *_of_each(artifacts, release, stored)]
    return Replayed(
        rollout=rollout,
        model=release.stored.model,
        decisions=len(stored),
        looks=sum(one.evidence_digest is not None for one in stored),
        different=tuple(sorted(different, key=lambda found: found.seq)),
    )


def _release(tx: Transaction, rollout: str) -> Release:
    try:
        return load(tx.rollouts.get(rollout))
    except ValueError as error:
        raise IntegrityError(
            "ST0301", f"rollout {rollout}: its plan or its state is not what was stored: {error}",
            remedy="Compare the store with a backup.",
        ) from None  # fmt: skip


def document(replayed: Replayed) -> dict[str, Any]:
    """``seatrial.replay.v1``."""
    return {
        "schema": "seatrial.replay.v1",
        "rollout": replayed.rollout,
        "model": replayed.model,
        "identical": replayed.identical,
        "decisions": replayed.decisions,
        "looks": replayed.looks,
        "different": [
            {"seq": d.seq, "look": d.look, "at": iso_z(d.at), "action": d.action, "field": d.field, "text": d.text}
            for d in replayed.different
        ],
    }


# ── one decision ───────────────────────────────────────────────────────────────────────────────────────────────────


def _of_each(artifacts: ArtifactStore, release: Release, stored: Sequence[StoredDecision]) -> Iterator[Difference]:
    for one in stored:
        try:
            again = _again(artifacts, release, one)
        except _Unusable as found:
            yield _difference(one, found.field, str(found))
            continue
        if again != one.document:
            yield _difference(one, *_first_difference(json.loads(one.document), json.loads(again)))
        elif (field := _row_differs(one)) is not None:
            yield _difference(one, field, f"its row has another {field} than its document")


def _row_differs(one: StoredDecision) -> str | None:
    """The field that the table repeats of the document, if it says something else."""
    told = decision_from_json(one.document)
    repeated = {"action": told.action, "rule": told.rule, "at": told.at, "step": told.stage}
    return next((field for field, value in repeated.items() if getattr(one, field) != value), None)


def _again(artifacts: ArtifactStore, release: Release, one: StoredDecision) -> str:
    """The decision as it comes out now. Raises _Unusable."""
    stored = _decision(one)
    if stored.rule == "start":
        return decision_to_json(_started(release, stored))
    given = _given(one)
    if stored.rule == "manual":
        return decision_to_json(_by_hand(release, given, stored))
    if stored.rule == "hard_signal" and one.evidence_digest is None:
        return decision_to_json(_by_alert(release, given, stored))
    evidence = _evidence(artifacts, one)
    try:
        return decision_to_json(take_look(release.plan, given.state, evidence, given.signals).decision)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise _Unusable("given", f"no look can be taken on what is stored: {error!r}") from None


def _decision(one: StoredDecision) -> Decision:
    try:
        return decision_from_json(one.document)
    except ValueError as error:
        raise _Unusable("document", f"its document is no decision: {error}") from None


def _started(release: Release, stored: Decision) -> Decision:
    state = release.state
    decision, _ = start(
        release.plan, state.rollout, state.model, state.champion, state.candidate, state.salt, stored.at, stored.actor
    )
    return decision


def _by_hand(release: Release, given: Given, stored: Decision) -> Decision:
    """A person's own words are given, not computed; where the rollout stood, and what came of the verb, is."""
    verbs: dict[str, tuple[Verb, bool]] = {
        "pause": ("pause", False),
        "resume": ("resume", False),
        "hold": ("promote", False),
        "promote": ("promote", True),
        "abort": ("abort", False),
    }
    if stored.action not in verbs:
        raise _Unusable("action", f"nobody can {stored.action} by hand")
    verb, full = verbs[stored.action]
    try:
        decision, _ = by_hand(
            release.plan, given.state, verb, full=full, reason=stored.reason, actor=stored.actor, now=stored.at
        )
    except SeatrialError as error:
        raise _Unusable("given", error.message) from None
    return replace(decision, units_held=stored.units_held)


def _by_alert(release: Release, given: Given, stored: Decision) -> Decision:
    try:
        decision, _ = by_alert(release.plan, given.state, stored.reason, actor=stored.actor, now=stored.at)
    except SeatrialError as error:
        raise _Unusable("given", error.message) from None
    return decision


def _given(one: StoredDecision) -> Given:
    if one.given is None:
        raise _Unusable("given", "the state that it was taken in was not stored")
    try:
        return given_from_json(one.given)
    except ValueError as error:
        raise _Unusable("given", f"the state that it was taken in cannot be read: {error}") from None


def _evidence(artifacts: ArtifactStore, one: StoredDecision) -> Evidence:
    """The evidence, if it is what its digest names."""
    if (digest := one.evidence_digest) is None:
        raise _Unusable("evidence", "it names no evidence")
    try:
        artifacts.verify(digest)
        return from_document(json.loads(zlib.decompress(artifacts.path(digest).read_bytes())))
    except NotFound:
        raise _Unusable("evidence", f"its evidence {digest} is missing") from None
    except SeatrialError:
        raise _Unusable("evidence", f"its evidence is not what was stored under {digest}") from None
    except (zlib.error, ValueError, LookupError, TypeError) as error:
        raise _Unusable("evidence", f"what lies under {digest} is no evidence: {error}") from None


def _difference(one: StoredDecision, field: str, text: str) -> Difference:
    told = json.loads(one.document) if one.document.startswith("{") else {}
    return Difference(one.seq, told.get("look"), one.at, one.action, field, text)


def _first_difference(stored: Any, again: Any, place: str = "") -> tuple[str, str]:
    """Where two documents part, in the order of their fields, and the values there."""
    if isinstance(stored, Mapping) and isinstance(again, Mapping):
        for key in sorted({*stored, *again}):
            if key not in stored or key not in again:
                return _told(f"{place}.{key}", stored.get(key, "nothing"), again.get(key, "nothing"))
            if stored[key] != again[key]:
                return _first_difference(stored[key], again[key], f"{place}.{key}")
    if isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for n, (left, right) in enumerate(zip(stored, again, strict=True)):
            if left != right:
                return _first_difference(left, right, f"{place}[{n}]")
    return _told(place, stored, again)


def _told(place: str, stored: Any, again: Any) -> tuple[str, str]:
    field = place.lstrip(".") or "document"
    return field, f"{field} is stored as {json.dumps(stored)}, its evidence gives {json.dumps(again)}"


# ── all of them ────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_the_whole(
    release: Release, stored: Sequence[StoredDecision], told: Sequence[AuditEntry]
) -> Iterator[Difference]:
    """Decisions that are not there, and those of which the audit log says something else."""
    for expected, one in enumerate(stored, start=1):
        if one.seq != expected:
            yield _difference(one, "seq", f"it is number {one.seq} where {expected} is missing")
            break
    details = [(entry, json.loads(entry.detail)) for entry in told]
    agreed = {detail["plan"] for _, detail in details if "plan" in detail}
    if stored and agreed - {plan_digest(release.plan)}:
        yield _difference(stored[0], "plan", f"the plan is not the one that was agreed on ({', '.join(agreed)})")
    digests: dict[tuple[str, str], list[Digest | None]] = {}
    for entry, detail in details:
        digests.setdefault((entry.action, entry.at), []).append(detail.get("evidence"))
    for one in stored:
        if one.action in MOVES:
            known = digests.get((f"rollout.{one.action}", iso_z(one.at)), [])
            if one.evidence_digest not in known:
                yield _difference(one, "audit", "the audit log does not know it, or knows other evidence of it")
