"""Stages: the table of legal moves, all of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import IllegalTransition
from seatrial.registry.lifecycle import MOVES, Operation, Stage, adopt, legal_targets, roll_back, transition

PLAIN = {
    ("None", "Staging"),
    ("None", "Archived"),
    ("Staging", "Shadow"),
    ("Staging", "Canary"),
    ("Staging", "Archived"),
    ("Shadow", "Canary"),
    ("Shadow", "Staging"),
    ("Shadow", "Archived"),
    ("Canary", "Production"),
    ("Canary", "Shadow"),
    ("Canary", "Staging"),
    ("Canary", "Archived"),
    ("Production", "Standby"),
    ("Production", "Archived"),
    ("Standby", "Archived"),
}


@pytest.mark.parametrize(("current", "target"), list(itertools.product(Stage, Stage)))
def test_every_pair_of_stages_is_legal_or_raises(current: Stage, target: Stage) -> None:
    if (current.value, target.value) in PLAIN:
        assert transition(current, target, model="fraud", version=12) is target
        return
    with pytest.raises(IllegalTransition) as raised:
        transition(current, target, model="fraud", version=12)
    assert isinstance(raised.value, ValueError)
    for said in ("fraud v12", f"from {current} to {target}", *legal_targets(current)):
        assert said in str(raised.value)


def test_the_table_names_every_stage() -> None:
    assert set(MOVES) == set(Stage)


def test_an_archived_version_cannot_be_put_into_production_but_a_standby_is_rolled_back_to() -> None:
    with pytest.raises(IllegalTransition, match="Rollback is its own operation") as raised:
        transition(Stage.ARCHIVED, Stage.PRODUCTION, model="fraud", version=11)
    assert "may go to: nowhere" in str(raised.value)
    with pytest.raises(IllegalTransition, match="Rollback is its own operation"):
        transition(Stage.STANDBY, Stage.PRODUCTION)
    assert roll_back(Stage.STANDBY) is Stage.PRODUCTION


@pytest.mark.parametrize("current", [stage for stage in Stage if stage is not Stage.STANDBY])
def test_rollback_starts_from_standby_only(current: Stage) -> None:
    with pytest.raises(IllegalTransition):
        roll_back(current, model="fraud", version=11)


@pytest.mark.parametrize("current", [stage for stage in Stage if stage is not Stage.NONE])
def test_adoption_starts_from_none_only(current: Stage) -> None:
    with pytest.raises(IllegalTransition):
        adopt(current, model="fraud", version=1)
    with pytest.raises(IllegalTransition, match="adoption of a first champion"):
        transition(Stage.NONE, Stage.PRODUCTION)
    assert adopt(Stage.NONE) is Stage.PRODUCTION


@given(st.lists(st.tuples(st.sampled_from(Stage), st.sampled_from(Operation)), max_size=30))
def test_no_sequence_of_moves_leaves_archived_or_skips_the_canary(attempts: list[tuple[Stage, Operation]]) -> None:
    seen, used = [Stage.NONE], set()
    for target, operation in attempts:
        try:
            stage = transition(seen[-1], target, operation=operation)
        except IllegalTransition:
            continue
        seen.append(stage)
        used.add(operation)
    assert Stage.ARCHIVED not in seen[:-1]
    if Stage.PRODUCTION in seen and Operation.ADOPT not in used:
        assert seen[seen.index(Stage.PRODUCTION) - 1] is Stage.CANARY
