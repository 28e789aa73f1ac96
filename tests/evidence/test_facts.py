"""Laws of first facts: minima and unions, so order, split and repetition do not matter."""

from hypothesis import given
from hypothesis import strategies as st

from seatrial.evidence.facts import FirstFacts, MutableFacts, Seen, UnitRow

SEEN = st.builds(
    Seen,
    time=st.integers(0, 20),
    request_id=st.sampled_from(["a", "b", "c"]),
    phase=st.integers(1, 3),
    arm=st.sampled_from(["champion", "canary", "shadow"]),
)
ROWS = st.lists(
    st.builds(
        UnitRow,
        unit=st.sampled_from(["u", "v", "w"]),
        seen=SEEN,
        events=st.frozensets(st.sampled_from(["error", "slow"])),
    ),
    max_size=8,
)
FACTS = ROWS.map(FirstFacts.of)


@given(FACTS)
def test_no_facts_are_the_identity(a):
    assert a + FirstFacts() == a == FirstFacts() + a


@given(FACTS, FACTS, FACTS)
def test_merging_is_associative_and_commutative(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


@given(FACTS)
def test_the_same_slice_twice_changes_nothing(a):
    assert a + a == a


@given(ROWS, st.integers(0, 8), st.randoms(use_true_random=False))
def test_a_log_equals_its_parts_in_any_order(rows, cut, rng):
    shuffled = list(rows)
    rng.shuffle(shuffled)
    parts = FirstFacts.of(shuffled[:cut]) + FirstFacts.of(shuffled[cut:])
    assert parts == FirstFacts.of(rows)
    assert MutableFacts().freeze() == FirstFacts()


def row(unit, time, phase, arm, *events):
    return UnitRow(unit, Seen(time, f"r{time}", phase, arm), frozenset(events))


def counts(rows, live=(1, 2, 3), mirrored=()):
    facts = MutableFacts()
    facts.absorb(rows)
    return facts.counts(live=live, mirrored=mirrored)


def test_a_unit_is_new_once_and_crosses_once():
    found = counts(
        [row("u", 1, 1, "champion"), row("u", 5, 2, "canary"), row("u", 6, 2, "canary"), row("v", 2, 2, "canary")]
    )
    assert found.new == {(1, "champion"): 1, (2, "canary"): 1}
    assert found.arms == {"champion": 1, "canary": 2}
    assert found.crossed == 1


def test_a_units_first_error_counts_once_and_only_in_live_phases():
    rows = [row("u", 1, 1, "champion", "error"), row("u", 5, 2, "canary", "error"), row("v", 6, 2, "canary", "error")]
    assert counts(rows).firsts == {"error": {(1, "champion"): 1, (2, "canary"): 1}}
    assert counts(rows, live=(2,)).firsts == {"error": {(2, "canary"): 2}}
    assert counts(rows).touched == {"error": {"champion": 1, "canary": 2}}


def test_a_shadow_is_nobodys_first_exposure():
    rows = [row("u", 1, 1, "shadow", "error"), row("u", 2, 1, "champion")]
    found = counts(rows, mirrored=(1,))
    assert found.new == {(1, "champion"): 1}
    assert found.crossed == 0
    assert found.shadowed == {"error": {"shadow": 1}}
    assert found.firsts == {}


def test_where_a_share_is_copied_only_its_units_are_compared():
    """The others met the champion alone: their errors say nothing of the two models."""
    both = [row("u", 1, 1, "champion", "error"), row("u", 1, 1, "shadow", "error")]
    alone = [row("v", 1, 1, "champion", "error"), row("w", 2, 1, "champion")]
    found = counts([*both, *alone], mirrored=(1,))
    assert found.shadowed == {"error": {"champion": 1, "shadow": 1}}
    assert found.mirrored == {"champion": 1, "shadow": 1}
