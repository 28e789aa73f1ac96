"""What a release needs: by the triage of its change and the tier of its model, and at least what the policy says."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.control.changes.triage import assess
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.errors import UsageError
from seatrial.governance.approvals.policy import NOBODY, Level
from seatrial.governance.materiality import Requirement
from seatrial.store.db import Transaction
from seatrial.values import Duration


@dataclass(frozen=True, slots=True)
class Wanted:
    """``change``: the triage as a document, and where its change envelope puts it. ``full``: the version is reviewed as
    a whole, so that the changes after it are held against it.
    """

    level: Level
    change: Document
    full: bool


def wanted(tx: Transaction, project: Project, model: str, version: int) -> Wanted:
    """Nothing where no policy is declared. Raises UsageError (ST1467) where too few people hold a role of it."""
    policy = project.config.approvals
    if policy is None:
        return Wanted(NOBODY, {}, False)
    found = assess(tx, project, model, version)
    needs = found.requirement
    level = policy.least.stricter(_level(needs))
    if problem := policy.unfilled(level):
        raise UsageError("ST1467", f"{model} v{version}: {problem}.", remedy="Say who does under approvals.roles.")
    return Wanted(level, {**found.document(), "review": needs.depth}, full=needs.full)


def _level(needs: Requirement) -> Level:
    seconds = needs.within.total_seconds()
    return Level(count=needs.approvals, roles=needs.roles, within=Duration(seconds, f"{seconds / 86_400:g}d"))
