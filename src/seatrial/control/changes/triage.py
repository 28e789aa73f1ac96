"""The triage of a version of a model: what it is held against, the verdict, and the review that it needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from seatrial.control.changes import envelopes
from seatrial.control.changes.baseline import baseline_of
from seatrial.control.changes.rules import rules_of
from seatrial.control.project import Project
from seatrial.errors import NotFound
from seatrial.governance.change_delta import delta
from seatrial.governance.change_rules import Rules
from seatrial.governance.envelope_check import Status
from seatrial.governance.materiality import Requirement, Triage, required, triage
from seatrial.ids import VersionNumber
from seatrial.store.canonical import digest_of
from seatrial.store.db import Transaction

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assessment:
    """``against``: the version that it was compared with; None where no version was approved as a whole. ``envelope``:
    whether it lies within that of the model, if it has one.
    """

    model: str
    against: VersionNumber | None
    version: VersionNumber
    tier: int
    triage: Triage
    requirement: Requirement
    rules: Rules
    envelope: Status | None

    def document(self) -> Document:
        """``seatrial.change_triage.v1``; ``rules`` is the digest of the rules that it was made by."""
        return {
            "schema": "seatrial.change_triage.v1",
            "model": self.model,
            "from": self.against,
            "to": self.version,
            "tier": self.tier,
            "material": self.triage.material,
            "reasons": [asdict(reason) for reason in self.triage.reasons],
            "notes": list(self.triage.notes),
            "envelope": self.envelope,
            "requires": requirement_document(self.requirement),
            "rules": digest_of(self.rules),
        }


def assess(tx: Transaction, project: Project, model: str, version: int, *, against: int | None = None) -> Assessment:
    """A version against the last one that was approved as a whole, or against another one.

    Raises NotFound for what is not there, UsageError for rules that cannot be read.
    """
    rules, tier = rules_of(project), tx.models.get_model(model).safety.tier
    candidate, baseline = tx.models.get_version(model, version), baseline_of(tx, model)
    number = against if against is not None else None if baseline is None else baseline.version
    before = None if number is None else tx.models.get_version(model, number)
    verdict = triage(None if before is None else delta(before, candidate), rules)
    held = envelopes.verdict(tx, model, candidate)
    status = None if held is None else held[1].status
    return Assessment(
        model, None if before is None else before.number, candidate.number, tier, verdict,
        required(verdict, rules, tier, declared=status == "inside"), rules, status,
    )  # fmt: skip


def latest(tx: Transaction, model: str) -> int:
    """The version of a model with the highest number. Raises NotFound (ST1406) where there is none."""
    found = tx.models.list_versions(model)
    if not found:
        raise NotFound("ST1406", f"model '{model}' has no version.", remedy=f"`seatrial model register {model}`")
    return found[-1].number


def requirement_document(requirement: Requirement) -> Document:
    """As a part of another document; ``within`` in seconds."""
    return {
        "full": requirement.full,
        "approvals": requirement.approvals,
        "roles": list(requirement.roles),
        "within": requirement.within.total_seconds(),
        "depth": requirement.depth,
    }
