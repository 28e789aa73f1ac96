"""Every version that was taken out of traffic, from the audit log, the pointers' history and the decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from seatrial.control.project import Project
from seatrial.control.states import decision_from_json
from seatrial.governance.interventions import Intervention, InterventionKind, named_in
from seatrial.ids import VersionNumber
from seatrial.registry.diff import Change, changes
from seatrial.registry.version import ModelVersion
from seatrial.store.audit import AuditEntry
from seatrial.store.db import Transaction
from seatrial.store.pointers import PointerMove
from seatrial.store.rollouts import StoredRollout

BY_HAND: Final = "by hand"
DRILL_TAG: Final = "drill"
"""Versions with this tag were made to fail."""


@dataclass(frozen=True, slots=True)
class Reign:
    """A version as champion: from when, until when (None: it still is), and after which version."""

    version: VersionNumber
    since: datetime
    until: datetime | None
    before: VersionNumber | None


class History:
    """One model, as the store tells it."""

    def __init__(self, tx: Transaction, project: Project, model: str) -> None:
        self._tx, self._project, self.model = tx, project, model
        self._known = tx.models.get_model(model)
        self._versions = {version.number: version for version in tx.models.list_versions(model)}
        moves = tx.models.pointer_history(model)
        self._champions = [move for move in moves if move.name == "champion" and move.to_version is not None]
        self._homecomings = {move.at for move in moves if move.name == "previous" and move.to_version is None}
        self._rollouts = tx.rollouts.list(model)
        self.began = min((version.created_at for version in self._versions.values()), default=None)

    def interventions(self, entries: Sequence[AuditEntry]) -> list[Intervention]:
        """Kills, rollbacks and aborts, oldest first; drills are not in it. ``entries``: the whole audit log."""
        found = [*self._kills(entries), *self._rollbacks(), *self._aborts(entries)]
        return sorted(found, key=lambda one: (one.at, one.id))

    def reign(self, at: datetime) -> Reign | None:
        """Who was the champion at a time (of two at the same moment, the one before it)."""
        moves = self._champions
        for n, move in enumerate(moves):
            ends = moves[n + 1].at if n + 1 < len(moves) else None
            if move.at <= at and (ends is None or at <= ends) and move.to_version is not None:
                return Reign(move.to_version, move.at, ends, move.from_version)
        return None

    def promoted_later(self, one: Intervention) -> str:
        """The rollout in which the very same version became the champion after all; empty if there is none."""
        later = (
            r.id for r in self._rollouts
            if r.candidate == one.version and r.status == "promoted" and r.updated_at > one.at
        )  # fmt: skip
        return next(later, "")

    def _kills(self, entries: Sequence[AuditEntry]) -> Iterator[Intervention]:
        ours = [e for e in entries if e.object == self.model and e.action in ("model.kill", "model.revive")]
        for n, entry in enumerate(ours):
            if entry.action != "model.kill":
                continue
            detail = json.loads(entry.detail)
            replay = self._project.config.clock == "replay"
            at = datetime.fromisoformat(entry.at if replay else detail["killed_at"])
            until = next((datetime.fromisoformat(e.at) for e in ours[n + 1 :] if e.action == "model.revive"), None)
            reign = self.reign(at)
            version, before = (None, None) if reign is None else (reign.version, reign.before)
            yield self._intervention(
                f"audit {entry.seq}", "kill", at, version, before,
                trigger=BY_HAND, reason=detail["reason"], actor=entry.actor, until=until,
            )  # fmt: skip

    def _rollbacks(self) -> Iterator[Intervention]:
        """The champion gave way to the standby: both pointers moved at once, and nobody is the standby since."""
        for move in self._champions:
            if move.from_version is not None and move.at in self._homecomings and not self._promoted(move):
                yield self._intervention(
                    f"{self.model} {move.at:%Y-%m-%d %H:%M:%S}", "rollback", move.at, move.from_version,
                    move.to_version, trigger=BY_HAND, reason=move.reason, actor=move.actor, until=None,
                )  # fmt: skip

    def _promoted(self, move: PointerMove) -> bool:
        return any(r.candidate == move.to_version and r.status == "promoted" and r.updated_at == move.at
                   for r in self._rollouts)  # fmt: skip

    def _aborts(self, entries: Sequence[AuditEntry]) -> Iterator[Intervention]:
        """Of rollouts with a canary or a shadow; the end of one that a kill took with it is the kill's."""
        rollouts: dict[str, StoredRollout] = {r.id: r for r in self._rollouts}
        for entry in entries:
            rollout = rollouts.get(entry.object)
            if entry.action != "rollout.abort" or rollout is None or self._is_drill(rollout.candidate):
                continue
            detail = json.loads(entry.detail)
            if detail["rule"] != "killed" and not detail["reason"].startswith("kill switch:"):
                trigger = BY_HAND if detail["rule"] == "manual" else detail["rule"]
                yield self._intervention(
                    f"audit {entry.seq}", "abort", datetime.fromisoformat(entry.at), rollout.candidate,
                    rollout.champion, trigger=trigger, reason=detail["reason"], actor=entry.actor, until=None,
                    metrics=self._failing(rollout),
                )  # fmt: skip

    def _is_drill(self, version: int) -> bool:
        return DRILL_TAG in self._versions[VersionNumber(version)].tags

    def _failing(self, rollout: StoredRollout) -> tuple[str, ...]:
        """Metrics whose verdict was *fail* when the rollout ended."""
        last = self._tx.decisions.last(rollout.id)
        verdicts = () if last is None else decision_from_json(last.document).verdicts
        return tuple(verdict.metric for verdict in verdicts if verdict.verdict == "fail")

    def _intervention(
        self,
        id: str,
        kind: InterventionKind,
        at: datetime,
        version: int | None,
        before: int | None,
        *,
        trigger: str,
        reason: str,
        actor: str,
        until: datetime | None,
        metrics: Sequence[str] = (),
    ) -> Intervention:
        taken, former = self._version(version), self._version(before)
        named = (*metrics, *named_in(reason, self._vocabulary(taken, former)))
        return Intervention(
            id=id, kind=kind, at=at, model=self.model, version=version, before=before, trigger=trigger,
            reason=reason, actor=actor, named=tuple(dict.fromkeys(named)), data=_snapshot(taken),
            changes=_changes(former, taken), until=until,
        )  # fmt: skip

    def _version(self, number: int | None) -> ModelVersion | None:
        return None if number is None else self._versions.get(VersionNumber(number))

    def _vocabulary(self, *versions: ModelVersion | None) -> Iterator[str]:
        """Words that would mean something in a reason: features and data sources."""
        yield from self._known.contract.features
        for version in versions:
            if version is not None:
                yield from version.serving.features
                if version.lineage is not None and version.lineage.data is not None:
                    yield version.lineage.data.name


def _snapshot(version: ModelVersion | None) -> str:
    if version is None or version.lineage is None or version.lineage.data is None:
        return ""
    data = version.lineage.data
    return f"{data.name} {data.digest[:19]}".strip()


def _changes(before: ModelVersion | None, after: ModelVersion | None) -> tuple[Change, ...]:
    return () if before is None or after is None else changes(before, after)


def histories(tx: Transaction, project: Project, model: str | None) -> Mapping[str, History]:
    """Of one model or of all, by name. Raises NotFound."""
    names: list[Any] = [known.name for known in tx.models.list_models()] if model is None else [model]
    return {name: History(tx, project, name) for name in names}
