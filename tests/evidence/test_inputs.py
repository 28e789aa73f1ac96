"""Feature records of two models: what is equal, what is told of a difference, and the laws of the counts."""

from __future__ import annotations

import doctest
import math
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial import features as telling
from seatrial.evidence import features, inputs
from seatrial.evidence.features import canonical, difference, fingerprint, only, time_of
from seatrial.evidence.inputs import FeatureTally, InputCounter, InputRule, InputTally, Pair, compare, compare_inputs
from seatrial.rollout import inputs as input_gate

RULE = InputRule()
NAN = math.nan

EQUAL = [
    (1, 1.0), (0.0, -0.0), (0, -0.0), (NAN, NAN), (math.inf, math.inf), (0.3, 0.1 + 0.2), (1e9, 1e9 * (1 + 1e-10)),
    (0.0, 1e-17), ("é", "é"), (True, True), ([1, 2.0], [1.0, 2]), ({"a": [NAN]}, {"a": [NAN]}), ([], []),
    (2**60, float(2**60)), ((1, 2), [1, 2]),
]  # fmt: skip
DIFFERENT = [
    (1, 1.0 + 1e-8), (10**18, 10**18 + 1), ("gold", "silver"), ("a", "a "), (NAN, 0.0), (math.inf, 1.0), (1, "1"),
    (True, 1), (False, 0.0), (True, False), ([1, 2], [2, 1]), ([1], [1, 1]), ({"a": 1}, {"b": 1}), ([1], {"a": 1}),
    (10**400, 10**400 + 1), (10**400, 0.5), ([[True]], [[1]]),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_values_that_are_the_same(a: Any, b: Any) -> None:
    assert difference(a, b, 1e-9) is None
    assert difference(b, a, 1e-9) is None


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_values_that_differ(a: Any, b: Any) -> None:
    assert difference(a, b, 1e-9) == difference(b, a, 1e-9) != None  # noqa: E711
    assert fingerprint({"x": a}) != fingerprint({"x": b})


@pytest.mark.parametrize("module", [features, inputs, input_gate, telling], ids=lambda module: module.__name__)
def test_the_examples_are_right(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_tolerance_is_the_rule_s() -> None:
    assert difference(100.0, 101.0, 1e-9) is not None
    assert difference(100.0, 101.0, 0.01) is None
    assert difference(100, 101, 0.01) is not None, "whole numbers are counts and ids: the same, or not"


def test_what_is_told_of_one_pair() -> None:
    champion = {"same": 1, "far": 10.0, "type": 1, "gone": "x", "null": None, "nothing": None, "@schema": "v3"}
    shadow = {"same": 1.0, "far": 12.5, "type": "1", "null": 0, "new": True, "@schema": "v4"}
    assert compare(champion, shadow, RULE) == {
        "same": FeatureTally(pairs=1),
        "far": FeatureTally(1, 1, differing=1, largest_absolute=2.5, largest_relative=0.2),
        "type": FeatureTally(1, 1, mistyped=1),
        "gone": FeatureTally(1, 1, champion_only=1),
        "null": FeatureTally(1, 1, shadow_only=1),
        "new": FeatureTally(1, 1, shadow_only=1),
        "@schema": FeatureTally(1, 1, differing=1),
    }
    named = compare(champion, shadow, InputRule(features=frozenset({"same", "far"})))
    assert named.keys() == {"same", "far", "@schema"}, "of another schema the same name may mean something else"


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (1000, 1060.0, FeatureTally(1, dated=1, largest_gap_s=60)),  # as far apart as is allowed
        (1000, 1060.5, FeatureTally(1, 1, dated=1, stale=1, largest_gap_s=60.5)),
        ({"x": 1000, "y": 0}, {"x": 1000}, FeatureTally(1, dated=1)),
        ("2026-03-01T12:00:00Z", "2026-03-01T13:05:00+01:00", FeatureTally(1, 1, dated=1, stale=1, largest_gap_s=300)),
        ("2026-03-01T12:00:00", 5, FeatureTally(1)),  # without an offset nobody knows when that was
        (1000, None, FeatureTally(1)),
        (1000, "yesterday", FeatureTally(1)),
        (1000, True, FeatureTally(1)),
        (1000, 1.7e12, FeatureTally(1)),  # milliseconds
    ],
)
def test_times_that_are_too_far_apart_are_stale_whatever_the_value(ours: Any, theirs: Any, told: FeatureTally) -> None:
    assert compare({"x": 1, "@as_of": ours}, {"x": 1, "@as_of": theirs}, RULE) == {"x": told}


def test_only_what_is_allowed_is_kept_of_a_record() -> None:
    record = {"a": 1, "secret": 2, "@schema": "v1", "@as_of": {"a": 5, "secret": 6}}
    assert only(record, ("a", "missing")) == {"a": 1, "@schema": "v1", "@as_of": {"a": 5}}
    assert only(record, ("missing",)) == {}
    assert only(record, None) == record
    assert time_of(only(record, ("a",)), "a") == 5


def test_request_ids_that_stand_twice_or_alone_are_counted() -> None:
    champion = [("a", {"x": 1}), ("b", {"x": 1}), ("b", {"x": 1.0}), ("c", {"x": 1}), ("c", {"x": 2}), ("d", {"x": 1})]
    shadow = [("a", {"x": 1}), ("b", {"x": 2}), ("c", {"x": 1}), ("e", {"x": 1}), ("f", {"x": 1})]
    told = compare_inputs(champion, shadow)
    assert (told.pairs, told.duplicates, told.conflicting) == (2, 2, 1), "c contradicts itself and is left out"
    assert (told.unmatched_champion, told.unmatched_shadow) == (1, 2)
    assert told.features["x"] == FeatureTally(2, 1, differing=1, largest_absolute=1, largest_relative=0.5)
    assert compare_inputs(champion[::-1], shadow[::-1]) == told, "in any order"


# ── laws ───────────────────────────────────────────────────────────────────────────────────────────────────────────

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, -0.0, 1.0, 1.0 + 1e-12, 1.5, NAN, math.inf]),
    st.sampled_from(["", "a", "1", "NaN"]),
)  # fmt: skip
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("k"), inner), max_leaves=3
)
TIMES = st.sampled_from([0, 30, 90, "1970-01-01T00:00:30Z", None])
RECORDS = st.fixed_dictionaries(
    {},
    optional={"x": VALUES, "y": VALUES, "@schema": st.sampled_from(["1", "2"]),
              "@as_of": TIMES | st.dictionaries(st.sampled_from(["x", "y"]), TIMES)},
)  # fmt: skip
PAIRS = st.lists(st.builds(Pair, RECORDS, RECORDS), max_size=6)
TALLIES = PAIRS.map(lambda pairs: InputTally.of(pairs, RULE))


@given(RECORDS, RECORDS, st.booleans())
def test_the_hash_and_the_values_give_the_same_verdict(a: dict[str, Any], b: dict[str, Any], same: bool) -> None:
    """A pair that is alike by its hash comes to exactly the counts that its values come to."""
    b = dict(reversed(a.items())) if same else b
    alike = fingerprint(a) == fingerprint(b)
    assert alike >= same
    assert InputTally.of([Pair(a, b, alike)], RULE) == InputTally.of([Pair(a, b)], RULE)
    if alike:
        assert not any(tally.diverging for tally in compare(a, b, RULE).values())


@settings(max_examples=50)
@given(TALLIES, TALLIES, TALLIES)
def test_merging_is_associative_and_commutative_and_has_an_identity(a: Any, b: Any, c: Any) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + InputTally() == a == InputTally() + a


@settings(max_examples=50)
@given(PAIRS, st.integers(0, 6))
def test_a_tally_equals_the_sum_of_its_parts(pairs: list[Pair], cut: int) -> None:
    parts = InputTally.of(pairs[:cut], RULE) + InputTally.of(pairs[cut:], RULE)
    assert InputTally.of(pairs, RULE) == parts == InputTally.of(reversed(pairs), RULE)


def test_what_is_counted_beside_the_features_adds_up() -> None:
    counter = InputCounter(RULE)
    counter.count(champion_told=2, duplicates=1)
    assert (counter.freeze() + counter.freeze()).champion_told == 4
    assert counter.freeze() != InputTally()


def test_a_record_that_is_nested_without_end_has_no_canonical_form() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        canonical({"x": deep})
