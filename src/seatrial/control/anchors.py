"""The fixed version that a model's releases are held against together, and what was measured since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seatrial.control.states import decision_from_json
from seatrial.errors import Conflict, UsageError
from seatrial.ids import VersionNumber
from seatrial.rollout.chain import Chain
from seatrial.rollout.erosion import chained, erosions
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.verdicts import Decision
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.rollouts import StoredRollout


@dataclass(frozen=True, slots=True)
class Lineage:
    """The champions from the anchor to today's: ``releases`` are the rollouts that made them, oldest first.

    ``set_by``, ``reason``, ``set_at``: of an anchor that somebody set; without one it is the first champion known.
    """

    anchor: VersionNumber
    champion: VersionNumber
    releases: tuple[StoredRollout, ...]
    set_by: str = ""
    reason: str = ""
    set_at: datetime | None = None


def lineage(tx: Transaction, model: str) -> Lineage | None:
    """None for a model without champion. Raises NotFound for a model that is not known."""
    tx.models.get_model(model)
    champion = tx.models.pointers(model).get("champion")
    if champion is None:
        return None
    setting = tx.settings.get(_key(model))
    known: Mapping[str, Any] = {} if setting is None else setting.value
    made = {stored.candidate: stored for stored in tx.rollouts.list(model, active=False) if stored.status == "promoted"}
    releases: list[StoredRollout] = []
    version = champion
    while version in made and version != known.get("version"):
        releases.insert(0, made.pop(version))
        version = releases[0].champion
    if version != known.get("version"):
        return Lineage(version, champion, tuple(releases))
    at = None if setting is None else setting.updated_at
    return Lineage(version, champion, tuple(releases), known["by"], known["reason"], at)


def chains(tx: Transaction, model: str, plan: Plan) -> tuple[Chain, ...]:
    """What the releases since the anchor changed together, of each guardrail of the plan that they measured."""
    found = lineage(tx, model)
    if found is None or not found.releases:
        return ()
    decisions = [_promoting(tx, stored.id) for stored in found.releases]
    made = (_chain(metric, found.anchor, decisions) for metric in plan.guardrails)
    return tuple(chain for chain in made if chain.releases)


def erosion_document(tx: Transaction, model: str, plan: Plan) -> list[dict[str, Any]]:
    """One line a guardrail: what was lost or won since the anchor, and whether the plan still lets it go on."""
    return [
        {
            "metric": e.metric, "anchor": e.anchor, "releases": e.releases, "total": e.total, "worst": e.worst,
            "limit": e.limit, "scale": e.scale, "tripped": e.tripped, "text": e.text,
        }
        for e in erosions(plan, chains(tx, model, plan))
    ]  # fmt: skip


def set_anchor(tx: Transaction, model: str, version: int, *, reason: str, actor: str, now: datetime) -> None:
    """Hold releases against another version from now on; what came before it does not count any more.

    Raises UsageError without a reason (ST0269), Conflict for a version that users have not had (ST0268).
    """
    if not reason.strip():
        raise UsageError(
            "ST0269", f"another anchor for '{model}' writes off what was lost before it.",
            remedy="Say why: --reason '...'.",
        )  # fmt: skip
    tx.models.get_version(model, version)
    past = {stored.champion for stored in tx.rollouts.list(model) if stored.status == "promoted"}
    champion = tx.models.pointers(model).get("champion")
    if version not in past | {champion}:
        raise Conflict(
            "ST0268", f"{model} v{version} was never the champion: nothing was measured against it.",
            remedy=f"Take v{champion}, which serves, or one that served before it." if champion else "Adopt one first.",
        )  # fmt: skip
    before = lineage(tx, model)
    tx.settings.put(_key(model), {"version": version, "by": actor, "reason": reason}, now)
    detail = {"version": version, "reason": reason, "before": None if before is None else before.anchor}
    tx.audit.append(actor, "model.anchor", model, detail, now)


def anchor_document(tx: Transaction, model: str) -> dict[str, Any]:
    """``seatrial.anchor.v1``"""
    found = lineage(tx, model)
    return {
        "schema": "seatrial.anchor.v1",
        "model": model,
        "anchor": None if found is None else found.anchor,
        "champion": None if found is None else found.champion,
        "releases": [] if found is None else [stored.id for stored in found.releases],
        "setBy": (found.set_by if found else "") or None,
        "reason": (found.reason if found else "") or None,
        "setAt": iso_z(found.set_at) if found and found.set_at else None,
    }


def _key(model: str) -> str:
    return f"anchor.{model}"


def _chain(metric: Metric, anchor: VersionNumber, decisions: list[Decision | None]) -> Chain:
    measured = (
        None if decision is None else next((v for v in decision.verdicts if v.metric == metric.name), None)
        for decision in decisions
    )
    return chained(metric, anchor, measured)


def _promoting(tx: Transaction, rollout: str) -> Decision | None:
    """The decision that promoted it; of one that a person promoted, the last that the evidence made on a canary."""
    last = tx.decisions.last(rollout)
    decision = None if last is None else decision_from_json(last.document)
    if decision is not None and decision.verdicts:
        return decision
    judged = (decision_from_json(one.document) for one in reversed(tx.decisions.list(rollout)))
    return next((d for d in judged if d.verdicts and d.weight), None)
