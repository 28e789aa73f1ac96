"""Protective moves, made ready for the journal."""

from __future__ import annotations

from datetime import datetime

from seatrial.control.journal import Move
from seatrial.control.render import Release
from seatrial.control.states import Given, decision_to_json, given_to_json, state_to_json
from seatrial.ids import Digest
from seatrial.rollout.start import by_hand
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Signals


def move_of(
    release: Release,
    decision: Decision,
    after: RolloutState,
    evidence: Digest | None = None,
    signals: Signals | None = None,
) -> Move:
    """A decision on a release, on the revision it was taken on."""
    return Move(
        release.state.rollout,
        release.stored.revision,
        decision_to_json(decision),
        state_to_json(after),
        evidence,
        given_to_json(Given(release.state, signals or Signals())),
    )


def abort_of(release: Release, reason: str, actor: str, now: datetime) -> Move:
    """The end of a rollout by hand."""
    decision, after = by_hand(release.plan, release.state, "abort", full=False, reason=reason, actor=actor, now=now)
    return move_of(release, decision, after)
