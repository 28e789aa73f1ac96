"""Watching one rollout: its looks fall due on a grid of event time, and each becomes a decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from seatrial.control.project import Project
from seatrial.control.render import Release
from seatrial.engines.evidence import FleetEvidence
from seatrial.evidence.snapshot import Captured
from seatrial.ids import Arm
from seatrial.rollout.look import Looked, take_look
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Signals


class Watch:
    """The evidence of one rollout, grown look by look. Made anew after a restart, it comes to the same evidence.

    ``evidence``: that of all rollouts of a controller, which may have absorbed a look's events for all that were due.
    """

    def __init__(self, project: Project, release: Release, evidence: FleetEvidence | None = None) -> None:
        state = release.state
        self.plan, self.model, self._rollout = release.plan, state.model, state.rollout
        self._evidence = FleetEvidence(project.events, project.outcomes) if evidence is None else evidence
        self._evidence.watch(release.plan, state.rollout, state.model, state.started)

    def next_look(self, state: RolloutState) -> datetime:
        """When the next look falls due: one ``lookEvery`` after the last one, on the grid of the start."""
        return (state.looked_at or state.started) + self.plan.look_every.delta

    def look(
        self, state: RolloutState, at: datetime, capture: Mapping[tuple[int, Arm], Captured], signals: Signals
    ) -> Looked:
        """Judge exactly the events up to ``at`` and decide."""
        for error in self._evidence.advance({self._rollout: at}).values():
            raise error
        epoch = [phase for phase in state.phases if phase.number >= state.epoch]
        evidence = self._evidence.snapshot(
            self._rollout,
            live=[phase.number for phase in epoch if phase.weight],
            mirrored=[phase.number for phase in epoch if phase.mirrored],
            capture=capture,
        )
        return take_look(self.plan, state, evidence, signals)

    def close(self) -> None:
        """Free what the evidence was summed up in."""
        self._evidence.forget(self._rollout)
