"""A request with all that bears on it, read in one transaction: acts, evidence as it is now, what is asked, where it
stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from seatrial.control.approvals.evidence import evidence_of, reviewed
from seatrial.control.approvals.requirement import Wanted, wanted
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.errors import UsageError
from seatrial.governance.approvals.acts import Act, Request, Reviewed
from seatrial.governance.approvals.judge import Standing, judge
from seatrial.governance.approvals.policy import ApprovalPolicy
from seatrial.ids import ModelName
from seatrial.rollout.plan import Plan
from seatrial.store.db import Transaction
from seatrial.store.plans import plan_digest, plan_from_json, plan_to_json


@dataclass(frozen=True, slots=True)
class Case:
    """``evidence``: as documents, by part; ``over``: the release that it was for has ended."""

    request: Request
    acts: tuple[Act, ...]
    wanted: Wanted
    evidence: Document
    reviewed: Reviewed
    standing: Standing
    over: bool

    @property
    def started(self) -> Act | None:
        """The latest release that began by it."""
        return next((act for act in reversed(self.acts) if act.kind == "start"), None)


def policy_of(project: Project) -> ApprovalPolicy:
    """Raises UsageError (ST1460) where none is declared."""
    if project.config.approvals is None:
        raise UsageError(
            "ST1460", f"project '{project.config.project}' asks for no approvals of releases.",
            remedy="Declare 'approvals:' in seatrial.yaml; stages of a plan are approved by rollout.",
        )  # fmt: skip
    return project.config.approvals


def read_case(tx: Transaction, project: Project, request: Request, now: datetime) -> Case:
    """Of a release. Signatures of a release that began are held against the time when it did; of one that is over,
    against the evidence of then, too."""
    acts, plan = tx.approvals.acts(request.id), plan_from_json(request.detail["plan"])
    asked = wanted(tx, project, request.model, request.version)
    evidence = evidence_of(tx, request.model, request.version, plan, asked.change)
    begun = next((act for act in reversed(acts) if act.kind == "start"), None)
    going_on = begun is not None and begun.rollout is not None and tx.rollouts.get(begun.rollout).active
    over = begun is not None and not going_on and _promoted(tx, begun)
    found = begun.reviewed if over and begun is not None and begun.reviewed is not None else reviewed(evidence)
    standing = judge(
        request, acts, asked.level, found, policy_of(project), now,
        owner=tx.models.get_model(request.model).owner,
        since=begun.at if begun is not None and (going_on or over) else None,
    )  # fmt: skip
    return Case(request, acts, asked, evidence, found, standing, over)


def case_of(tx: Transaction, project: Project, model: str, version: int, plan: Plan, now: datetime) -> Case | None:
    """The open request for a version by this very plan; None if nobody asked yet."""
    found = [
        read_case(tx, project, request, now)
        for request in tx.approvals.list(model)
        if (request.kind, request.version, request.subject) == ("release", version, plan_digest(plan))
    ]
    return next((case for case in reversed(found) if case.standing.status != "closed"), None)


def new_request(
    tx: Transaction, model: str, version: int, plan: Plan, *, change: Document, reason: str, actor: str, now: datetime
) -> Request:
    """What is kept of a request; it has no id yet. ``change``: the triage as it was then."""
    made_by = tx.models.get_version(model, version).created_by
    return Request(
        id="", kind="release", model=ModelName(model), version=version, subject=plan_digest(plan),
        requested_by=actor, requested_at=now, authors=tuple(dict.fromkeys((made_by, actor))), reason=reason,
        detail={"plan": plan_to_json(plan), "change": change},
    )  # fmt: skip


def others_of(tx: Transaction, model: str, version: int, plan: Plan) -> Sequence[Request]:
    """Requests for the same version by other plans."""
    return [
        request for request in tx.approvals.list(model)
        if request.kind == "release" and request.version == version and request.subject != plan_digest(plan)
    ]  # fmt: skip


def _promoted(tx: Transaction, begun: Act) -> bool:
    return begun.rollout is not None and tx.rollouts.get(begun.rollout).status == "promoted"
