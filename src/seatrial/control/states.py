"""Rollout states and decisions as JSON text and back, by the same classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from pydantic import TypeAdapter

from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Signals
from seatrial.store.canonical import canonical

OPTIONAL = frozenset({"pace", "segments", "units_held", "unobserved_champion", "unobserved_candidate"})
"""Fields of a decision and its verdicts that only some plans have."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a decision is taken on besides plan and evidence: the state before it, and what the outside said."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    state: RolloutState
    signals: Signals


@cache
def _givens() -> TypeAdapter[Given]:
    return TypeAdapter(Given)


@cache
def _states() -> TypeAdapter[RolloutState]:
    return TypeAdapter(RolloutState)


@cache
def _decisions() -> TypeAdapter[Decision]:
    return TypeAdapter(Decision)


def state_to_json(state: RolloutState) -> str:
    """Canonical JSON text."""
    return canonical(_states().dump_python(state, mode="json"))


def state_from_json(text: str) -> RolloutState:
    """Inverse of :func:`state_to_json`."""
    return _states().validate_json(text)


def decision_to_json(decision: Decision) -> str:
    """Canonical JSON text: equal decisions are equal to the byte. What its plan does not use is not in it."""
    return canonical(_used(_decisions().dump_python(decision, mode="json")))


def _used(document: Any) -> Any:
    """Without optional fields that say nothing."""
    if isinstance(document, list):
        return [_used(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {name: _used(value) for name, value in document.items() if value or name not in OPTIONAL}


def decision_from_json(text: str) -> Decision:
    """Inverse of :func:`decision_to_json`."""
    return _decisions().validate_json(text)


def given_to_json(given: Given) -> str:
    """Canonical JSON text."""
    document = _givens().dump_python(given, mode="json")
    if not document["signals"]["drill"]:  # only models with a schedule of drills have it
        del document["signals"]["drill"]
    return canonical(document)


def given_from_json(text: str) -> Given:
    """Inverse of :func:`given_to_json`."""
    return _givens().validate_json(text)
