"""One stored decision in full: every rule that was asked, in order, and the evidence it was asked about."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.control.documents import views
from seatrial.control.documents.rollouts import judgement, rollout_document
from seatrial.control.documents.views import Document
from seatrial.control.states import decision_from_json, given_from_json
from seatrial.errors import NotFound
from seatrial.rollout.explanation import Considered, explain
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision
from seatrial.store.decisions import StoredDecision
from seatrial.store.rollouts import StoredRollout


def explanation_document(
    stored: StoredRollout,
    plan: Plan,
    state: RolloutState,
    decisions: Sequence[StoredDecision],
    *,
    look: int | None = None,
    actual: float | None = None,
) -> Document:
    """``seatrial.explanation.v1``: the decision of one look, or of the latest. Raises NotFound for a look not kept."""
    chosen = _latest(decisions) if look is None else _of_look(stored.id, decisions, look)
    decision = decision_from_json(chosen.document)
    given = None if chosen.given is None else given_from_json(chosen.given)
    asked = _names(decision) if given is None else explain(plan, given.state, given.signals, decision)
    whole = rollout_document(stored, plan, state, decisions, actual, latest=decision)
    return {
        **whole,
        **judgement(plan, state if given is None else given.state, decision),
        "schema": "seatrial.explanation.v1",
        "evidence": chosen.evidence_digest,
        "rules": [views.plain(rule) for rule in asked],
        "history": [brief for brief in whole["history"] if brief["seq"] == chosen.seq],
    }


def _latest(decisions: Sequence[StoredDecision]) -> StoredDecision:
    """The latest that judged something; the start, as long as there is none."""
    judged = [d for d in decisions if d.rule not in ("manual", "start")]
    return (judged or decisions)[-1]


def _of_look(rollout: str, decisions: Sequence[StoredDecision], look: int) -> StoredDecision:
    kept = [(decision_from_json(d.document).look, d) for d in decisions if d.rule not in ("manual", "start")]
    for number, decision in kept:
        if number == look:
            return decision
    before = max((number for number, _ in kept if number < look), default=None)
    raise NotFound(
        "ST0302",
        f"rollout {rollout}: look {look} is not stored; a look that changes nothing is not.",
        remedy=f"Before it: --look {before}, with the same action, rule and verdicts."
        if before is not None and look < max(number for number, _ in kept)
        else f"See `seatrial rollout get {rollout}`.",
    )


def _names(decision: Decision) -> tuple[Considered, ...]:
    """Of a decision that was stored without the state it was taken in: the rules alone."""
    silent = tuple(Considered(rule, False, "") for rule in decision.considered)
    return (*silent, Considered(decision.rule, True, decision.reason))
