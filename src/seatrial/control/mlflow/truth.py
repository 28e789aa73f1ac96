"""What the store says of a linked model, in MLflow's words: where its aliases point, and its versions' tags."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from seatrial.control.mlflow.alias import UNKNOWN, Target, _Unknown
from seatrial.control.states import decision_from_json
from seatrial.ids import PointerName
from seatrial.rollout.verdicts import Decision
from seatrial.store.db import Transaction
from seatrial.store.decisions import StoredDecision
from seatrial.store.mlflow import Link

REQUEST: Final = "seatrial.request"
"""Tag of a version in MLflow. *rollout* asks for one; what came of it takes its place."""

ANSWER: Final = "seatrial.answer"
ASKED: Final = "rollout"

Tags = Mapping[int, Mapping[str, str]]
"""By version of the registered model."""


def pointers_of(
    tx: Transaction, link: Link, aliases: Mapping[PointerName, str | None]
) -> dict[PointerName, Target | _Unknown]:
    """Versions of the registered model, by the pointers that are published (``aliases``); None for one not set."""
    here = {version: number for number, version in tx.mlflow.numbers(link.registered).items()}
    set_to = tx.models.pointers(link.model)
    return {
        pointer: None if (version := set_to.get(pointer)) is None else here.get(version, UNKNOWN)
        for pointer, alias in aliases.items()
        if alias is not None
    }


def verdict_of(decision: Decision) -> str:
    """``errors pass, log_loss inconclusive``"""
    return ", ".join(f"{verdict.metric} {verdict.verdict}" for verdict in decision.verdicts)


def tags_of(tx: Transaction, link: Link) -> Tags:
    """Of every version that both know, and of every version that somebody asked for."""
    numbers, decided = tx.mlflow.numbers(link.registered), tx.decisions.latest(link.model)
    stages = {int(version.number): str(version.stage) for version in tx.models.list_versions(link.model)}
    tried = {int(stored.candidate): stored.id for stored in tx.rollouts.list(link.model)}
    found: dict[int, dict[str, str]] = {}
    for number, version in numbers.items():
        found[number] = {"seatrial.version": f"{link.model} v{version}", "seatrial.stage": stages[version]}
        if rollout := tried.get(version):
            found[number] |= {"seatrial.rollout": rollout, **_of_decision(decided.get(rollout))}
    for request in tx.mlflow.requests(link.model):  # of several, the latest counts
        told = found.setdefault(request.number, {})
        told[ANSWER] = request.text or "seen; it waits for its turn"
        if request.via == "tag":
            told[REQUEST] = request.state
    return found


def _of_decision(stored: StoredDecision | None) -> dict[str, str]:
    if stored is None:
        return {}
    decision = _decision(stored.document)
    said = {
        "seatrial.decision": f"{decision.action} ({decision.rule}): {decision.reason}",
        "seatrial.verdict": verdict_of(decision),
        "seatrial.evidence": stored.evidence_digest or "",
        "seatrial.decided_by": decision.actor,
    }
    return {name: value for name, value in said.items() if value}


@lru_cache(maxsize=4096)
def _decision(document: str) -> Decision:
    """Every round says all of them again, and they never change."""
    return decision_from_json(document)
