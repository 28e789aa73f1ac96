"""Models and versions, and the three switches of a model: rollback, kill, revive."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from seatrial.api.bodies import Adoption, Anchor, Proof, Registration, Switch, WayHome, read_lineage, read_serving
from seatrial.api.credentials import Principal
from seatrial.api.deps import Admin, Approver, Operator, Wired
from seatrial.api.errors import Forbidden
from seatrial.control.clock import aware
from seatrial.control.documents import catalog, views
from seatrial.control.documents.difference import difference
from seatrial.control.holdouts import holdout_document
from seatrial.control.levels import fallbacks
from seatrial.control.way_home.proof import proof_document
from seatrial.control.way_home.upkeep import standby_document
from seatrial.registry import flags
from seatrial.registry.contract import Contract
from seatrial.registry.people import Role
from seatrial.registry.safety import Safety

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def list_models(wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.models(tx, wired.project)


@router.get("/{model}")
def show_model(model: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.model(tx, wired.project, model)


@router.get("/{model}/diff")
def diff_versions(
    model: str, before: int, after: int, wired: Wired, threshold: str = flags.THRESHOLD
) -> dict[str, Any]:
    """What changed between two versions, and what of it a reviewer must look at."""
    with wired.store.read() as tx:
        return difference(tx, model, before, after, threshold=threshold)


@router.post("/{model}/adopt", status_code=201)
def adopt(model: str, body: Adoption, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Make what already serves at a URL the first champion."""
    _check_may_agree(caller, body.contract)
    version = wired.operations.adopt(
        model, body.url, unit_header=body.unit_header, contract=body.contract,
        actor=caller.name, owner=body.owner, purpose=body.purpose, tags=body.tags,
    )  # fmt: skip
    return views.version_document(version)


@router.post("/{model}/versions", status_code=201)
def register(model: str, body: Registration, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Add a version with its lineage; its artifact is in the project's store already, by digest."""
    serving = read_serving(body.serving)
    if (serving.trust_pickle or serving.trusted_types) and not caller.may(Role.ADMIN):
        # Loading it runs its code with this user's rights, and this user's files hold everybody's.
        raise Forbidden.below(caller.name, caller.role, Role.ADMIN)
    _check_may_agree(caller, body.contract)
    version = wired.operations.register(
        model,
        serving,
        read_lineage(body.lineage),
        tags=body.tags,
        actor=caller.name,
        unit_header=body.unit_header,
        contract=body.contract,
        signature=body.signature,
    )
    return views.version_document(version)


@router.put("/{model}/contract")
def configure(model: str, body: Contract, wired: Wired, caller: Admin) -> dict[str, Any]:
    """How the model's bodies are read and what is kept of them: the whole contract; what is left out is the default."""
    wired.operations.configure(model, body, actor=caller.name)
    return show_model(model, wired)


@router.put("/{model}/safety")
def secure(model: str, body: Safety, wired: Wired, caller: Approver) -> dict[str, Any]:
    """How careful to be with the model: the whole of it; what is left out is the default."""
    wired.operations.secure(model, body, actor=caller.name)
    return show_model(model, wired)


@router.put("/{model}/anchor")
def anchor(model: str, body: Anchor, wired: Wired, caller: Approver) -> dict[str, Any]:
    """Releases are held against this version together from now on; what was lost before it is written off."""
    return wired.operations.anchor(model, body.version, reason=body.reason, actor=caller.name)


@router.get("/{model}/holdout")
def holdout(model: str, wired: Wired) -> dict[str, Any]:
    """Units that stay on the champion of before, and until when."""
    with wired.store.read() as tx:
        return holdout_document(tx, model)


@router.post("/{model}/holdout/release")
def release_holdout(model: str, body: Switch, wired: Wired, caller: Operator) -> dict[str, Any]:
    """They get what everybody has, from now on."""
    return wired.operations.release_holdout(model, reason=body.reason, actor=caller.name)


@router.get("/{model}/fallback")
def fallback(model: str, wired: Wired) -> dict[str, Any]:
    """Who answers when the champion does not, in order, and how each level is."""
    with wired.store.read() as tx:
        known = tx.models.get_model(model)
    return fallbacks.chain(wired.project, known)


def _check_may_agree(caller: Principal, contract: Contract | None) -> None:
    """A contract that comes with a version is one all the same."""
    if contract is not None and not caller.may(Role.ADMIN):
        raise Forbidden.below(caller.name, caller.role, Role.ADMIN)


@router.post("/{model}/rollback")
def rollback(model: str, body: WayHome, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Abort the model's rollout, or bring the previous champion back; answers what was measured."""
    switched = wired.operations.rollback(
        model, reason=body.reason, actor=caller.name, force=body.force,
        since=None if body.since is None else aware(body.since),
    )  # fmt: skip
    return views.switched_document(switched)


@router.get("/{model}/standby")
def show_standby(model: str, wired: Wired) -> dict[str, Any]:
    """The way home now and after a promotion: who, how it is kept, whether it answers, how fast it was measured."""
    with wired.store.read() as tx:
        return standby_document(tx, wired.project, model, wired.operations.clock.now())


@router.post("/{model}/standby")
def prove_standby(model: str, body: Proof, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Measure it now, past the gateway; recorded."""
    return proof_document(wired.operations.prove_standby(model, load_s=body.load, actor=caller.name))


@router.post("/{model}/kill")
def kill(model: str, body: Switch, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Take the model out at once, until it is revived."""
    return views.switched_document(wired.operations.kill(model, mode=body.mode, reason=body.reason, actor=caller.name))


@router.post("/{model}/revive")
def revive(model: str, body: Switch, wired: Wired, caller: Approver) -> dict[str, Any]:
    return views.switched_document(wired.operations.revive(model, reason=body.reason, actor=caller.name))
