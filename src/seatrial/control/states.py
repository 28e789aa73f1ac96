"""Rollout states and decisions as JSON text and back, by the same classes."""

from __future__ import annotations

from functools import cache

from pydantic import TypeAdapter

from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision
from seatrial.store.canonical import canonical


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
    """Canonical JSON text: equal decisions are equal to the byte."""
    return canonical(_decisions().dump_python(decision, mode="json"))


def decision_from_json(text: str) -> Decision:
    """Inverse of :func:`decision_to_json`."""
    return _decisions().validate_json(text)
