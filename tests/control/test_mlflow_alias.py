"""Aliases of MLflow follow the store, whoever moves what in between, and wherever a process ends."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.control.mlflow.alias import NEVER, UNKNOWN, Look, Memory, Moved, Target, look, written
from seatrial.control.mlflow.truth import REQUEST
from seatrial.control.mlflow.view import View

TARGETS = st.one_of(st.none(), st.integers(1, 4))
STEPS = st.one_of(
    st.tuples(st.just("store"), TARGETS),
    st.tuples(st.just("hand"), TARGETS),
    st.tuples(st.sampled_from(["round", "no write", "no word", "late hand"]), TARGETS),
)


@dataclass
class World:
    """The store's truth, MLflow's alias, and what is remembered; ``hands``: moves by other people."""

    truth: Target = 1
    alias: Target = 1
    memory: Memory = NEVER
    hands: int = 0
    writes: int = 0
    moved: list[Moved] = field(default_factory=list)

    def step(self, what: str, to: Target) -> None:
        if what == "store":
            self.truth = to
        elif what == "hand":
            self.hand(to)
        else:
            self.round(what, to)

    def hand(self, to: Target) -> None:
        self.hands += to != self.alias
        self.alias = to

    def round(self, what: str = "round", to: Target = None) -> Look:
        """A round that may end before it writes, or before it has put down that it wrote."""
        found = look(self.truth, self.alias, self.memory)
        self.memory = View.of(View({"champion": found.memory}).document()).aliases["champion"]  # as it is stored
        if found.moved is not None:
            self.moved.append(found.moved)
        if what == "late hand":
            self.hand(to)
        if found.write and what != "no write" and self.alias == found.seen:
            self.alias = found.to
            self.writes += 1
            if what != "no word":
                self.memory = written(found.to)
        return found


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=400, deadline=None)
def test_every_interleaving_ends_with_the_truth_and_in_silence(steps: list[tuple[str, Target]]) -> None:
    world = World()
    world.round()
    for what, to in steps:
        world.step(what, to)
    for _ in range(2):
        world.round()
    assert world.alias == world.truth
    told, writes = len(world.moved), world.writes
    for _ in range(3):
        assert not world.round().write
    assert (len(world.moved), world.writes) == (told, writes)
    assert told <= world.hands  # nobody is told of a move that nobody made


@given(st.lists(STEPS.filter(lambda step: step[0] not in ("hand", "late hand")), max_size=25))
@settings(max_examples=200, deadline=None)
def test_its_own_writes_are_never_taken_for_a_request(steps: list[tuple[str, Target]]) -> None:
    world = World()
    world.round()
    for what, to in steps:
        world.step(what, to)
    world.round()
    assert world.moved == []


@given(st.lists(STEPS.filter(lambda step: step[0] not in ("hand", "late hand")), max_size=12), st.integers(7, 9))
@settings(max_examples=200, deadline=None)
def test_one_hand_is_one_request_however_often_the_process_dies(steps: list[tuple[str, Target]], to: int) -> None:
    world = World()
    world.round()
    world.hand(to)
    for what, target in steps:
        world.step(what, target)
    world.round()
    assert [moved.to for moved in world.moved] == [to]


def test_the_same_hand_twice_is_two_requests() -> None:
    world = World()
    world.round()
    for _ in range(2):
        world.hand(2)
        world.round()
        assert world.alias == 1
    assert world.moved == [Moved(1, 2)] * 2


def test_a_hand_is_told_from_what_it_moved_the_alias_away() -> None:
    world = World()
    world.round()
    world.truth = 3
    world.hand(2)
    world.round()
    assert (world.moved, world.alias) == ([Moved(1, 2)], 3)


def test_the_first_look_takes_what_is_there_for_nobodys_request() -> None:
    first = look(2, 1, NEVER)
    assert (first.write, first.to, first.moved) == (True, 2, None)


@pytest.mark.parametrize("there", [None, 5])
def test_what_the_store_cannot_name_is_left_as_it_is_and_still_watched(there: Target) -> None:
    calm = look(UNKNOWN, there, NEVER)
    assert not calm.write
    hand = look(UNKNOWN, 6, calm.memory)
    assert (hand.write, hand.to) == (True, there)
    assert hand.moved is not None


def test_a_tag_asks_once_until_its_answer_is_written() -> None:
    view = View().tagged(3, REQUEST, "refused").asked(3)
    assert view.heeded == {3}
    assert list(view.behind({3: {REQUEST: "waiting"}})) == [(3, REQUEST, "waiting")]
    answered = View.of(view.document()).tagged(3, REQUEST, "waiting")
    assert (answered.heeded, list(answered.behind({3: {REQUEST: "waiting"}}))) == (frozenset(), [])
