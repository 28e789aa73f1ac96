"""Approvals of a stage that a rollout is in: who may is said by its plan, and each is a signature like any other."""

from __future__ import annotations

from datetime import datetime

from seatrial.control.approvals.desk import Signer
from seatrial.control.controller import Controller
from seatrial.control.interventions import put_down, release_of
from seatrial.control.render import Release
from seatrial.errors import Conflict, UsageError
from seatrial.governance.approvals.acts import Act, Request, Reviewed
from seatrial.governance.approvals.policy import ApprovalPolicy
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.start import by_approval, by_hand
from seatrial.rollout.verdicts import Decision
from seatrial.store.canonical import digest_of
from seatrial.store.db import Transaction
from seatrial.store.plans import agreement


def approve(controller: Controller, rollout: str, signer: Signer, *, reason: str) -> Decision:
    """One approval of the present stage. Raises what ``rollout.approvals.approve`` raises."""
    project, who = controller.project, signer.name
    policy = project.config.approvals or ApprovalPolicy()
    with controller.lock:
        release, now = release_of(controller, rollout), controller.clock.now()
        _check_signer(controller, release, signer)
        roles = policy.functions(who, signer.role)
        decision, after = by_approval(
            release.plan, release.state, who, roles, reason=reason, now=now, same=project.identities.same
        )
        with controller.store.begin() as tx:
            put_down(tx, release, decision, after)
            _add(tx, release, signer, "sign", reason, now)
            detail = {"reason": reason, "stage": decision.stage_name, "look": decision.look, "role": signer.role.value}
            tx.audit.append(who, "rollout.approve", release.state.rollout, {**detail, **agreement(release.plan)}, now)
    return decision


def reject(controller: Controller, rollout: str, signer: Signer, *, reason: str) -> Decision:
    """No to the present stage: the rollout pauses until somebody decides. Raises Conflict where nobody is asked."""
    if not reason.strip():
        raise UsageError("ST1459", f"{rollout}: a rejection needs a reason.", remedy="Say why: --reason '...'.")
    with controller.lock:
        release, now = release_of(controller, rollout), controller.clock.now()
        state = release.state
        if not state.over and compile_stages(release.plan)[state.stage].approval is None:
            raise Conflict(
                "ST0340", f"rollout '{state.rollout}': {compile_stages(release.plan)[state.stage].name} asks for no "
                "approval.",
                remedy=f"`seatrial rollout pause {state.rollout}` holds it all the same.",
            )  # fmt: skip
        _check_signer(controller, release, signer)
        why = f"rejected by {signer.name}: {reason}"
        decision, after = by_hand(release.plan, state, "pause", full=False, reason=why, actor=signer.name, now=now)
        with controller.store.begin() as tx:
            put_down(tx, release, decision, after)
            _add(tx, release, signer, "reject", reason, now)
    return decision


def _check_signer(controller: Controller, release: Release, signer: Signer) -> None:
    """Where approvals are declared: a token of one's own, and not the author of the version."""
    policy = controller.project.config.approvals
    if policy is None:
        return
    if not signer.own:
        raise UsageError(
            "ST1458", f"the project's own token signs for nobody, also not for '{signer.name}'.",
            remedy=f"`seatrial access grant {signer.name} --role approver`, then SEATRIAL_TOKEN=...",
        )  # fmt: skip
    with controller.store.read() as tx:
        author = tx.models.get_version(release.state.model, release.state.candidate).created_by
    if policy.identities.same(author, signer.name):
        raise UsageError(
            "ST0341", f"rollout '{release.state.rollout}': {signer.name} made the version and cannot approve it.",
            remedy="Four eyes: somebody else has to.",
        )  # fmt: skip


def _add(tx: Transaction, release: Release, signer: Signer, kind: str, reason: str, now: datetime) -> None:
    """The signature, on the request of this stage with the split it has now; the first one makes it."""
    state = release.state
    known = [r for r in tx.approvals.list(rollout=state.rollout) if r.subject == str(state.phase.number)]
    request = known[0] if known else tx.approvals.ask(_request(tx, release))
    meaning = "approval" if kind == "sign" else None
    tx.approvals.add(request.id, Act(
        kind=kind, by=signer.name, at=now, role=signer.role, meaning=meaning, reason=reason,  # type: ignore[arg-type]
        reviewed=_reviewed(tx, release), rollout=state.rollout,
    ))  # fmt: skip


def _request(tx: Transaction, release: Release) -> Request:
    state, stage = release.state, compile_stages(release.plan)[release.state.stage]
    author = tx.models.get_version(state.model, state.candidate).created_by
    wanted = stage.approval
    return Request(
        id="", kind="step", model=state.model, version=state.candidate, subject=str(state.phase.number),
        rollout=state.rollout, requested_by=state.submitter or author, requested_at=state.phase.started,
        authors=tuple(dict.fromkeys((author, *filter(None, (state.submitter,))))),
        reason="" if wanted is None else wanted.asks,
        detail={"stage": stage.name, "count": 1 if wanted is None else wanted.count,
                "by": [] if wanted is None else list(wanted.by)},
    )  # fmt: skip


def _reviewed(tx: Transaction, release: Release) -> Reviewed:
    """The stage with the split it has now, of this version by this plan."""
    state = release.state
    version = tx.models.get_version(state.model, state.candidate)
    parts = {
        "artifact": digest_of({"serving": version.serving}),
        "lineage": digest_of({"lineage": version.lineage}),
        "plan": agreement(release.plan)["plan"],
        "stage": digest_of({"rollout": state.rollout, "phase": state.phase.number, "weight": state.phase.weight}),
    }
    return Reviewed(digest_of(parts), parts)
