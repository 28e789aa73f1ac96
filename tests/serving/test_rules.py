"""Scorecards: what they decide and why, what is refused, and rules that could never speak."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import UsageError
from seatrial.serving import rules_lint
from seatrial.serving.rules import Scorecard
from seatrial.serving.rules_condition import ConditionError, parse

FEATURES = {"amount": "number", "country": "string", "vip": "boolean"}
HEAD = "name: fraud\nfeatures: {amount: number, country: string, vip: boolean}\n"
TAIL = "default: {answer: 0.1, reason: DEFAULT}\n"
CARD = Scorecard.parse(
    HEAD
    + """
rules:
  - {name: vip, when: vip, decide: 0.01, reason: VIP}
  - {name: far, when: "country in ['XX', 'YY'] and amount > 100", points: 0.4, reason: FAR}
  - {name: large, when: "amount >= 5000", points: 0.7, reason: LARGE}
"""
    + TAIL
)


def card(*rules: str) -> Scorecard:
    return Scorecard.parse(HEAD + "rules:\n" + "".join(f"  - {{{rule}, reason: R}}\n" for rule in rules) + TAIL)


@pytest.mark.parametrize(
    ("row", "answer", "reasons"),
    [
        ({}, 0.1, ("DEFAULT",)),
        ({"amount": 50, "country": "XX"}, 0.1, ("DEFAULT",)),
        ({"amount": 101, "country": "XX"}, 0.5, ("FAR",)),
        ({"amount": 5000, "country": "FR"}, 0.8, ("LARGE",)),
        ({"amount": 5000, "country": "XX"}, 1.0, ("FAR", "LARGE")),
        ({"amount": 5000, "country": "XX", "vip": True}, 0.01, ("VIP",)),
        ({"amount": "much", "country": 7, "vip": 1}, 0.1, ("DEFAULT",)),
        ({"amount": float("nan"), "country": None}, 0.1, ("DEFAULT",)),
        ({"amount": 10**400}, 0.1, ("DEFAULT",)),
    ],
)
def test_a_row_gets_its_answer_and_the_reasons(row, answer, reasons):
    found = CARD.decide(CARD.typed(row))
    assert (found.answer, found.reasons) == (pytest.approx(answer), reasons)


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(["amount", "country", "vip", "other"]), anything))
def test_no_input_makes_it_fail_and_the_same_one_gets_the_same(row):
    found = CARD.decide(CARD.typed(row))
    assert 0.0 <= found.answer <= 1.0
    assert found.reasons
    assert found == CARD.decide(CARD.typed(dict(row)))


@pytest.mark.parametrize(
    ("condition", "row", "truth"),
    [
        ("amount > 5", {"amount": 5.0}, False),
        ("amount >= 5", {"amount": 5.0}, True),
        ("5 < amount", {"amount": 6.0}, True),
        ("1 < amount <= 5", {"amount": 5.0}, True),
        ("1 < amount <= 5", {"amount": 1.0}, False),
        ("not (amount > 5)", {}, None),
        ("missing(amount)", {}, True),
        ("missing(amount) or amount > 5", {"amount": 1.0}, False),
        ("amount > 5 and vip", {"vip": False}, False),
        ("amount > 5 or vip", {"vip": True}, True),
        ("amount > 5 or vip", {"vip": False}, None),
        ("country != 'FR'", {"country": "DE"}, True),
        ("country not in ['FR', 'DE']", {"country": "DE"}, False),
        ("amount == -1", {"amount": -1.0}, True),
        ("vip == True", {"vip": True}, True),
    ],
)
def test_conditions_know_what_is_missing(condition, row, truth):
    assert parse(condition, FEATURES).holds(row) is truth


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true')",
        "amount.real > 1",
        "(lambda: 1)()",
        "[x for x in 'a']",
        "amount + 1 > 2",
        "amount > country",
        "amount",
        "country > 'A'",
        "amount in 'abc'",
        "amount == 'x'",
        "missing(1)",
        "missing(amount, vip)",
        "open(amount)",
        "amonut > 1",
        "amount >",
        "1 > 0",
        "country is None",
        "f'{amount}' == 'x'",
        "(" * 300 + "vip" + ")" * 300,
        "vip and " * 400 + "vip",
        "\0",
    ],
)
def test_what_is_no_condition_is_refused(condition):
    with pytest.raises(ConditionError):
        parse(condition, FEATURES)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "ST0770"),
        ("- 1", "ST0771"),
        (HEAD, "ST0771 .*no default"),
        (HEAD + "default: {answer: 2, reason: D}", "ST0771 .*outside the bounds"),
        (HEAD + "default: {answer: high, reason: D}", "ST0771 .*not a score"),
        (HEAD + "default: {answer: .nan, reason: D}", "ST0771 .*not a score"),
        (HEAD + "default: {answer: 0.5}", "ST0771 .*reason code"),
        (HEAD + "defualt: {answer: 0.5}", "ST0771 .*did you mean 'default'"),
        (HEAD + TAIL + "output: vector", "ST0771 .*output"),
        (HEAD + TAIL + "output: label", "ST0771 .*not a label"),
        (HEAD + TAIL + "bounds: [1, 0]", "ST0771 .*bounds"),
        (HEAD + TAIL + "rules: {}", "ST0771 .*list"),
        (HEAD + TAIL + "rules: [{name: a, when: vip, reason: R}]", "ST0771 .*either points or a decision"),
        (HEAD + TAIL + "rules: [{name: a, when: amonut > 1, points: 1, reason: R}]", "ST0772 .*'amonut'"),
        (HEAD + TAIL + "rules: [{name: a, points: 1, reason: R}]", "ST0771 .*no condition"),
        ("features: {a: text}\n" + TAIL, "ST0771 .*number, string or boolean"),
        (TAIL, "ST0771 .*features"),
    ],
)
def test_a_scorecard_that_says_too_little_is_refused(text, code):
    with pytest.raises(UsageError, match=code):
        Scorecard.parse(text)


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        (("name: a, when: amount > 5 and amount < 3, points: 0.1",), "a"),
        (("name: a, when: amount > 5, decide: 1", "name: b, when: amount > 6, points: 0.1"), "b"),
        (("name: a, when: true, decide: 1", "name: b, when: vip, points: 0.1"), "b"),
        (
            (
                "name: a, when: vip, decide: 1",
                "name: b, when: not vip, decide: 0",
                "name: c, when: vip or not vip, points: 1",
            ),
            "c",
        ),
        (("name: a, when: \"country == 'FR' and country == 'DE'\", points: 0.1",), "a"),
    ],
)
def test_a_rule_that_no_request_reaches_is_found(rules, name):
    with pytest.raises(UsageError, match=f"ST0774 .*rule '{name}' never speaks"):
        rules_lint.check(card(*rules))


@pytest.mark.parametrize(
    "rules",
    [
        ("name: a, when: amount > 5, decide: 1", "name: b, when: amount >= 5, points: 0.1"),
        (
            "name: a, when: vip, decide: 1",
            "name: b, when: not vip, decide: 0",
            "name: c, when: missing(vip), points: 1",
        ),
        ("name: a, when: amount > 5, points: 0.1", "name: b, when: amount > 6, points: 0.1"),
        ("name: a, when: amount > 1e308, decide: 1", "name: b, when: amount < -1e308, points: 0.1"),
    ],
)
def test_one_that_some_request_reaches_is_not_blamed(rules):
    rules_lint.check(card(*rules))


def test_features_that_the_model_does_not_have_are_named():
    rules_lint.check(CARD, ["amount", "country", "vip", "more"])
    with pytest.raises(UsageError, match=r"ST0773 .*no feature vip"):
        rules_lint.check(CARD, ["amount", "country"])


def test_many_features_are_linted_in_pairs():
    names = [f"f{n}" for n in range(12)]
    text = f"features: {{{', '.join(f'{name}: number' for name in names)}}}\nrules:\n" + "".join(
        f"  - {{name: {name}, when: 1 < {name} < 5, decide: 1, reason: R}}\n" for name in names
    )
    last = "  - {name: dead, when: 2 < f3 < 4, points: 0.1, reason: R}\n"
    rules_lint.check(Scorecard.parse(text + TAIL))
    with pytest.raises(UsageError, match="'f3' has decided"):
        rules_lint.check(Scorecard.parse(text + last + TAIL))
