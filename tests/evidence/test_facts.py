"""Laws of first facts: minima and unions, so order, split and repetition do not matter."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from seatrial.evidence.facts import FirstFacts, MutableFacts, Seen, UnitCounts, UnitRow

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


PHASES = st.sets(st.integers(1, 3))


@given(ROWS, st.integers(1, 4), PHASES, PHASES, st.randoms(use_true_random=False))
def test_counts_kept_as_the_log_grows_are_those_of_the_whole_log(rows, size, live, mirrored, rng):
    shuffled = [*rows, *rows[:2]]
    rng.shuffle(shuffled)
    grown, merged, known = MutableFacts(), MutableFacts(), []
    for start in range(0, len(shuffled), size):
        chunk = shuffled[start : start + size]
        known += chunk
        grown.absorb(chunk)
        merged.merge(FirstFacts.of(chunk))
        expected = counted(known, live, mirrored)
        assert grown.counts(live=live, mirrored=mirrored) == expected
        assert merged.counts(live=live, mirrored=mirrored) == expected


def counted(rows, live, mirrored):
    """Every count by its definition, from all rows."""
    at = defaultdict(set)
    for r in rows:
        at[r.unit].add((r.seen.phase, r.seen.arm))
    met = {(name, r.unit, r.seen.phase, r.seen.arm) for r in rows for name in r.events}
    names = {name for name, *_ in met}
    copied = {(unit, phase) for unit, places in at.items() for phase, arm in places if arm == "shadow"}
    copied = {(unit, phase) for unit, phase in copied if phase in mirrored}
    first = {}
    for r in sorted((r for r in rows if r.seen.arm != "shadow"), key=lambda r: r.seen):
        first.setdefault(r.unit, (r.seen.phase, r.seen.arm))

    def arms(found):
        return Counter(arm for _, arm in {(unit, arm) for unit, _, arm in found})

    def served(name):
        return [(u, p, a) for n, u, p, a in met if n == name and a != "shadow"]

    seen = [(unit, *place) for unit, places in at.items() for place in places]
    earliest = {name: defaultdict(list) for name in names}
    for name in names:
        for u, p, a in served(name):
            if p in live:
                earliest[name][u].append((p, a))
    return UnitCounts(
        new=Counter(first.values()),
        arms=arms(seen),
        phases=Counter((p, a) for _, p, a in seen),
        crossed=sum({"champion", "canary"} <= {a for _, a in places} for places in at.values()),
        firsts={name: Counter(min(places) for places in earliest[name].values()) for name in names if earliest[name]},
        met={name: Counter((p, a) for _, p, a in served(name)) for name in names},
        touched={name: arms(served(name)) for name in names},
        shadowed={name: arms((u, p, a) for n, u, p, a in met if n == name and (u, p) in copied) for name in names},
        live=arms((u, p, a) for u, p, a in seen if p in live),
        mirrored=arms((u, p, a) for u, p, a in seen if (u, p) in copied),
    )


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
    assert counts(rows, live=(2,)).met == {"error": {(1, "champion"): 1, (2, "canary"): 2}}


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
