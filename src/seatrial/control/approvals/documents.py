"""Requests for approval as documents: what the API answers, what ``--json`` prints and what the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from seatrial.control.approvals.case import Case, read_case
from seatrial.control.documents import catalog
from seatrial.control.documents.views import Document, listing, plain
from seatrial.control.project import Project
from seatrial.governance.approvals.acts import WORDS, Act, Request
from seatrial.governance.approvals.judge import Signed
from seatrial.rollout.stages import compile_stages
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.plans import plan_from_json


def approvals_document(tx: Transaction, project: Project, now: datetime, *, waiting: bool = False) -> Document:
    """``seatrial.approvals.v1``: releases that were asked for and stages of rollouts, oldest first. ``waiting``: only
    those that somebody is waited for."""
    found = [*_releases(tx, project, now), *_stages(tx)]
    kept = [one for one in found if not waiting or one["status"] in ("waiting", "rejected") or one["reviews"]]
    return listing("seatrial.approvals.v1", "approvals", kept)


def summary(case: Case) -> Document:
    """One line of the list."""
    request, standing = case.request, case.standing
    within = case.wanted.level.within
    return {
        "id": request.id,
        "kind": request.kind,
        "model": request.model,
        "version": request.version,
        "rollout": None if case.started is None else case.started.rollout,
        "subject": plan_from_json(request.detail["plan"]).name,
        "status": "released" if case.over else standing.status,
        "needed": case.wanted.level.people,
        "given": sum(seat.by is not None for seat in standing.seats),
        "missing": list(standing.missing),
        "requestedBy": request.requested_by,
        "requestedAt": iso_z(request.requested_at),
        "dueBy": None if within is None else iso_z(request.requested_at + within.delta),
        "reviews": [_review(act) for act in standing.reviews],
    }


def approval_document(case: Case) -> Document:
    """``seatrial.approval.v1``: all that is reviewed, its digest, and every signature with its meaning and time."""
    request, standing = case.request, case.standing
    return {
        "schema": "seatrial.approval.v1",
        **summary(case),
        "reason": request.reason,
        "authors": list(request.authors),
        "digest": case.reviewed.digest,
        "parts": dict(case.reviewed.parts),
        "seats": [{"role": seat.role or None, "by": seat.by} for seat in standing.seats],
        "signatures": [_signature(one) for one in standing.signed],
        "emergencyUntil": None if standing.until is None else iso_z(standing.until),
        "acts": [_act(act) for act in case.acts],
        "margins": _margins(request),
        "evidence": case.evidence,
    }


def _releases(tx: Transaction, project: Project, now: datetime) -> Iterator[Document]:
    if project.config.approvals is None:
        return
    for request in tx.approvals.list():
        if request.kind == "release":
            yield summary(read_case(tx, project, request, now))


def _stages(tx: Transaction) -> Iterator[Document]:
    """Stages that somebody was asked about: those that have a signature, and those that wait for the first one."""
    signed = [request for request in tx.approvals.list() if request.kind == "step"]
    for request in signed:
        yield _stage(tx, request)
    seen = {(request.rollout, request.subject) for request in signed}
    for stored in tx.rollouts.list(active=True):
        release = catalog.load(stored)
        state = release.state
        stage = compile_stages(release.plan)[min(state.stage, len(compile_stages(release.plan)) - 1)]
        if state.over or stage.approval is None or (state.rollout, str(state.phase.number)) in seen:
            continue
        yield _line(
            id=state.rollout, model=state.model, version=state.candidate, rollout=state.rollout, subject=stage.name,
            status="waiting", needed=stage.approval.count, given=0, by=state.submitter, at=state.phase.started,
        )  # fmt: skip


def _stage(tx: Transaction, request: Request) -> Document:
    assert request.rollout is not None
    state = catalog.load(tx.rollouts.get(request.rollout)).state
    present = not state.over and str(state.phase.number) == request.subject
    acts = tx.approvals.acts(request.id)
    given, needed = sum(act.kind == "sign" for act in acts), int(request.detail["count"])
    rejected = bool(acts) and acts[-1].kind == "reject" and present and state.status == "paused"
    done = "approved" if given >= needed else "closed"
    return _line(
        id=request.id, model=request.model, version=request.version, rollout=request.rollout,
        subject=request.detail["stage"], needed=needed, given=given, by=request.requested_by, at=request.requested_at,
        status="rejected" if rejected else "waiting" if present and given < needed else done,
    )  # fmt: skip


def stage_document(tx: Transaction, request: Request) -> Document:
    """``seatrial.approval.v1`` of a stage: who said what of it."""
    return {
        "schema": "seatrial.approval.v1",
        **_stage(tx, request),
        "reason": request.reason,
        "authors": list(request.authors),
        "acts": [_act(act) for act in tx.approvals.acts(request.id)],
    }


def _line(
    *, id: str, model: str, version: int, rollout: str, subject: str, status: str, needed: int, given: int, by: str,
    at: datetime,
) -> Document:  # fmt: skip
    left = max(needed - given, 0)
    return {
        "id": id, "kind": "step", "model": model, "version": version, "rollout": rollout, "subject": subject,
        "status": status, "needed": needed, "given": given,
        "missing": [f"{left} approval{'s' if left > 1 else ''} of the stage"] if left and status == "waiting" else [],
        "requestedBy": by, "requestedAt": iso_z(at), "dueBy": None, "reviews": [],
    }  # fmt: skip


def _signature(one: Signed) -> Document:
    return {**_act(one.act), "person": one.person, "holds": one.holds, "counts": one.counts, "text": one.text,
            "changed": [WORDS.get(part, part) for part in one.changed]}  # fmt: skip


def _act(act: Act) -> Document:
    return {
        "act": act.seq, "kind": act.kind, "by": act.by, "role": None if act.role is None else act.role.value,
        "at": iso_z(act.at), "meaning": act.meaning, "reason": act.reason,
        "digest": None if act.reviewed is None else act.reviewed.digest, "of": act.of, "rollout": act.rollout,
        "until": None if act.until is None else iso_z(act.until), "due": None if act.due is None else iso_z(act.due),
    }  # fmt: skip


def _review(act: Act) -> Document:
    return {"by": act.by, "at": iso_z(act.at), "reason": act.reason, "due": None if act.due is None else iso_z(act.due)}


def _margins(request: Request) -> list[Document]:
    """What the plan accepts to lose, and why: the part of it that an approver answers for."""
    plan = plan_from_json(request.detail["plan"])
    return [
        {"metric": m.name, "role": m.role, "margin": None if m.margin is None else str(m.margin),
         "limit": plain(m.limit) if m.limit is None else str(m.limit), "failOn": m.fail_on,
         "justification": m.justification}
        for m in plan.metrics
    ]  # fmt: skip
