"""A release waits for its approvals: before it begins, and at every step as long as it goes on."""

from __future__ import annotations

from datetime import datetime

from seatrial.control.approvals.case import Case, case_of, others_of, read_case
from seatrial.control.approvals.desk import Desk
from seatrial.control.approvals.requirement import wanted
from seatrial.control.changes.baseline import note_approved
from seatrial.control.launch import Launch
from seatrial.control.project import Project
from seatrial.errors import ApprovalNeeded
from seatrial.governance.approvals.acts import Act
from seatrial.governance.approvals.emergency import overdue
from seatrial.store.db import Store, Transaction


def require(project: Project, store: Store, desk: Desk, asked: Launch, now: datetime) -> None:
    """Let a release begin, or say what is missing. Where nobody asked for its approvals yet, this is the request.

    Raises ApprovalNeeded (ST1450, ST1451); the request stays, whatever is missing.
    """
    if project.config.approvals is None:
        return
    with store.begin() as tx:
        check_reviews(tx, asked.model, now)
        case = case_of(tx, project, asked.model, asked.version, asked.plan, now)
        if case is None and wanted(tx, project, asked.model, asked.version).level.people:
            reason = asked.override or asked.reason
            case = desk.open(tx, asked.model, asked.version, asked.plan, reason=reason, actor=asked.actor)
        others = () if case is None or case.acts else others_of(tx, asked.model, asked.version, asked.plan)
        elsewhere = [request.id for request in others if tx.approvals.acts(request.id)]
    if case is not None:
        _require(case, elsewhere)


def begun(tx: Transaction, project: Project, asked: Launch, rollout: str, now: datetime) -> None:
    """Note by which approvals a rollout begins, in the transaction in which it does: they are looked at once more."""
    if project.config.approvals is None:
        return
    check_reviews(tx, asked.model, now)
    case = case_of(tx, project, asked.model, asked.version, asked.plan, now)
    if case is None:
        return
    _require(case, [])
    act = Act(
        kind="start", by=asked.actor, at=now, reviewed=case.reviewed, rollout=rollout, reason=case.standing.status
    )
    tx.approvals.add(case.request.id, act)
    if case.standing.status == "approved" and case.wanted.full:
        note_approved(tx, asked.model, asked.version, rollout, actor=asked.actor, now=now)


def hold(tx: Transaction, project: Project, rollout: str, now: datetime) -> str:
    """Why a rollout does not go on: an approval by which it began does not hold any more. Empty if all do."""
    if project.config.approvals is None or (request := tx.approvals.begun_by(rollout)) is None:
        return ""
    case = read_case(tx, project, request, now)
    return "" if case.standing.open else _text(case)


def require_now(tx: Transaction, project: Project, rollout: str, now: datetime) -> None:
    """No gate is skipped by hand without the approvals. Raises ApprovalNeeded (ST1450)."""
    if why := hold(tx, project, rollout, now):
        raise ApprovalNeeded("ST1450", f"rollout '{rollout}' {why}.", remedy="`seatrial approvals list` shows it.")


def check_reviews(tx: Transaction, model: str, now: datetime) -> None:
    """Raises ApprovalNeeded (ST1451) where the review of an emergency is overdue."""
    for request in tx.approvals.list(model):
        for act in overdue(tx.approvals.acts(request.id), now):
            raise ApprovalNeeded(
                "ST1451", f"model '{model}': the emergency release {request.id} by {act.by} was to be reviewed by "
                f"{act.due:%Y-%m-%d %H:%M}.",
                remedy=f"By somebody else: `seatrial approvals review {request.id} --reason ...`.",
            )  # fmt: skip


def _require(case: Case, elsewhere: list[str]) -> None:
    if not case.standing.open:
        signed = f" {', '.join(elsewhere)} is about another plan." if elsewhere else ""
        raise ApprovalNeeded(
            "ST1450", f"{case.request.model} v{case.request.version} {_text(case)}.{signed}",
            remedy=f"`seatrial approvals show {case.request.id}`",
        )  # fmt: skip


def _text(case: Case) -> str:
    return f"waits for approval {case.request.id}: {'; '.join(case.standing.missing)}"
