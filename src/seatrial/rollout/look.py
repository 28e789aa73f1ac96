"""One look: evidence to verdicts to decision to the next state. Live, replayed and simulated looks are the same."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.evidence.snapshot import Evidence
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.gates import judge
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Signals


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one look."""

    decision: Decision
    state: RolloutState
    evidence: Evidence
    signals: Signals


def take_look(plan: Plan, state: RolloutState, evidence: Evidence, signals: Signals) -> Looked:
    """Judge the evidence, decide by the plan, and move the state on. The same input gives the same bytes."""
    stages = compile_stages(plan)
    last = state.stage + 1 >= len(stages)
    judgement = judge(plan, stages[state.stage], last, state, evidence)
    decision = decide(plan, state, judgement, signals, evidence.at)
    return Looked(decision, evolve(state, judgement, decision), evidence, signals)
