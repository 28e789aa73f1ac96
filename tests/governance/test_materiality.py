"""Triage: a function of the lineage diff alone, and nothing that is not known is ever small."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.governance.change_delta import FIELDS, Delta, Unknown, delta
from seatrial.governance.change_examples import EXAMPLES
from seatrial.governance.change_rules import Bounds, Review, Reviews, Rules
from seatrial.governance.materiality import Triage, required, triage
from seatrial.ids import Digest, VersionNumber
from seatrial.registry.lifecycle import Stage
from seatrial.registry.recipe import Environment, Recipe
from seatrial.registry.version import ModelVersion
from seatrial.values import Duration, Margin

RULES = Rules()
CHAMPION = EXAMPLES[0].before
MONTH = EXAMPLES[2].after


def with_data(version: ModelVersion, **changed: Any) -> ModelVersion:
    lineage = version.lineage
    assert lineage is not None
    assert lineage.data is not None
    return replace(version, lineage=replace(lineage, data=replace(lineage.data, **changed)))


def with_model(version: ModelVersion, **changed: Any) -> ModelVersion:
    lineage = version.lineage
    assert lineage is not None
    assert lineage.model is not None
    return replace(version, lineage=replace(lineage, model=replace(lineage.model, **changed)))


def with_code(version: ModelVersion, **changed: Any) -> ModelVersion:
    lineage = version.lineage
    assert lineage is not None
    assert lineage.code is not None
    return replace(version, lineage=replace(lineage, code=replace(lineage.code, **changed)))


def without(version: ModelVersion, part: str) -> ModelVersion:
    assert version.lineage is not None
    changed: dict[str, Any] = {part: None}
    return replace(version, lineage=replace(version.lineage, **changed), source="adopted")


def taking(version: ModelVersion, *features: str) -> ModelVersion:
    return replace(version, serving=replace(version.serving, features=features))


def judged(after: ModelVersion, before: ModelVersion = CHAMPION, rules: Rules = RULES) -> Triage:
    return triage(delta(before, after), rules)


SMALL = with_model(MONTH, metrics={"auc": 0.838})


@pytest.mark.parametrize(
    ("after", "rule", "what"),
    [
        (with_data(SMALL, sources={"income": "payroll", "score": "credit_bureau_v3"}), "source", "score"),
        (with_data(SMALL, name="bureau_dump"), "change", "data source"),
        (with_data(SMALL, target="default within 6 months"), "change", "data target"),
        (with_data(SMALL, population="personal loans, UK"), "change", "data population"),
        (with_model(SMALL, algorithm="gradient-boosted trees"), "change", "model algorithm"),
        (with_model(SMALL, framework="xgboost 1.6.1"), "change", "model framework"),
        (with_model(SMALL, hyperparameters={"C": 0.6}), "hyperParameter", "C"),
        (with_model(SMALL, hyperparameters={"C": 0.5, "seed": 1}), "hyperParameter", "seed"),
        (with_model(SMALL, importances={"income": 0.41, "score": 0.89}), "importance", "score"),
        (with_model(SMALL, metrics={"auc": 0.70}), "metric", "auc"),
        (with_model(SMALL, metrics={"auc": 0.95}), "metric", "auc"),  # too good is as strange as too bad
        (taking(SMALL, "income", "score", "age"), "feature", "age"),
        (taking(SMALL, "income"), "feature", "score"),
    ],
)
def test_each_rule_names_what_it_found(after: ModelVersion, rule: str, what: str) -> None:
    found = judged(after)
    assert (rule, what) in [(reason.rule, reason.what) for reason in found.reasons]
    assert found.kind == "material"


def test_another_environment_is_told_and_another_kind_of_answer_is_material() -> None:
    def made(digest: str) -> ModelVersion:
        assert SMALL.lineage is not None
        recipe = Recipe(("python", "train.py"), "a", "b", environment=Environment("lock.txt", Digest(digest)))
        return replace(SMALL, lineage=replace(SMALL.lineage, recipe=recipe))

    found = judged(made("sha256:" + "2" * 64), made("sha256:" + "1" * 64))
    assert not found.material
    assert "recipe environment: lock.txt sha256:111111111111 → lock.txt sha256:222222222222" in found.notes
    labels = replace(SMALL, serving=replace(SMALL.serving, output="predict"))
    assert [(reason.rule, reason.what) for reason in judged(labels).reasons] == [("change", "serving output")]


def test_newer_data_alone_is_not_material_and_is_told() -> None:
    found = judged(SMALL)
    assert not found.material
    assert found.kind == "nonMaterial"
    assert any(note.startswith("data time range") for note in found.notes)
    assert judged(CHAMPION).notes == ()


def test_exactly_half_of_an_importance_is_within_and_a_little_more_is_not() -> None:
    before = with_model(CHAMPION, importances={"income": 0.18, "score": 0.3})
    assert not judged(with_model(SMALL, importances={"income": 0.27, "score": 0.3}), before).material
    assert judged(with_model(SMALL, importances={"income": 0.2701, "score": 0.3}), before).material


@pytest.mark.parametrize(("value", "material"), [(0.1, False), (1.0, False), (1.01, True), (0.09, True), (True, True)])
def test_a_declared_hyper_parameter_may_move_within_its_bounds(value: object, material: bool) -> None:
    rules = Rules(hyper_parameters={"C": Bounds(min=0.1, max=1)})
    assert judged(with_model(SMALL, hyperparameters={"C": value}), rules=rules).material is material


@pytest.mark.parametrize(("auc", "material"), [(0.838, False), (0.818, False), (0.817, True), (0.858, False)])
def test_a_metric_has_a_band_of_its_own_with_both_ends_in_it(auc: float, material: bool) -> None:
    rules = Rules(metrics={"auc": Margin(0.02, "absolute")})
    assert judged(with_model(SMALL, metrics={"auc": auc}), rules=rules).material is material


BLANK: dict[str, Any] = {
    "code": with_code(SMALL, dirty=True),
    "data": without(SMALL, "data"),
    "timeRange": with_data(SMALL, end=None),
    "features": taking(SMALL),
    "sources": with_data(SMALL, sources={"income": "payroll"}),
    "importances": with_model(SMALL, importances={"income": 0.41}),
    "target": with_data(SMALL, target=" "),
    "population": with_data(SMALL, population=""),
    "model": without(SMALL, "model"),
    "algorithm": with_model(SMALL, algorithm=""),
    "hyperParameters": with_model(SMALL, hyperparameters={}),
    "metrics": with_model(SMALL, metrics={}),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_is_not_known_on_either_side_is_material(field: str) -> None:
    blank = replace(BLANK[field], source="adopted")
    for before, after, side in ((CHAMPION, blank, "after"), (blank, SMALL, "before"), (blank, blank, "after")):
        found = judged(after, before)
        assert found.material
        assert any(reason.rule == "unknown" and reason.what == field for reason in found.reasons), (field, side)


def test_no_lineage_and_no_baseline_are_material() -> None:
    nothing = replace(CHAMPION, lineage=None, source="adopted")
    assert judged(nothing).material
    assert judged(CHAMPION, nothing).material
    assert judged(nothing, nothing).material
    assert [reason.rule for reason in triage(None, RULES).reasons] == ["first"]


@given(st.lists(st.sampled_from(FIELDS), min_size=1, unique=True), st.sampled_from(["before", "after"]))
def test_what_is_unknown_is_never_small_whatever_else_is_said(fields: list[Any], side: Any) -> None:
    known = delta(CHAMPION, SMALL)
    assert not triage(known, RULES).material
    assert triage(replace(known, unknown=tuple(Unknown(field, side) for field in fields)), RULES).material


@given(
    st.integers(1, 99), st.sampled_from(Stage), st.text(max_size=8), st.integers(0, 10**6),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
    st.sampled_from([example.after for example in EXAMPLES] + list(BLANK.values())),
)  # fmt: skip
def test_it_is_a_function_of_the_diff_only(
    number: int, stage: Stage, who: str, seconds: int, tags: dict[str, str], after: ModelVersion
) -> None:
    """Who made it, when, under which number: nothing of it plays a part. The same diff, the same verdict."""
    other = replace(
        after, number=VersionNumber(number), stage=stage, created_by=who, tags=tags, source="adopted",
        created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds),
    )  # fmt: skip
    first = delta(CHAMPION, replace(after, source="adopted"))
    assert delta(CHAMPION, other) == first
    assert triage(first, RULES) == triage(delta(CHAMPION, other), RULES) == judged(after)


def test_a_difference_that_no_rule_speaks_of_is_material() -> None:
    assert not triage(Delta(), RULES).material
    strange = replace(delta(CHAMPION, SMALL), changes=(replace(delta(CHAMPION, SMALL).changes[0], what="colour"),))
    assert [reason.rule for reason in triage(strange, RULES).reasons] == ["change"]


def test_small_steps_add_up() -> None:
    """Each step moves an importance by a fifth, the three together by more than a half."""
    steps = [CHAMPION, *(with_model(SMALL, importances={"income": w, "score": 0.59}) for w in (0.49, 0.58, 0.69))]
    assert [judged(after, before).material for before, after in itertools.pairwise(steps)] == [False] * 3
    assert [judged(after).material for after in steps[1:]] == [False, False, True]


@pytest.mark.parametrize(("tier", "material", "small"), [(1, 2, 1), (2, 2, 1), (3, 1, 0)])
def test_who_reviews_depends_on_the_class_and_the_tier(tier: int, material: int, small: int) -> None:
    big, little = required(triage(None, RULES), RULES, tier), required(judged(SMALL), RULES, tier)
    assert (big.approvals, little.approvals) == (material, small)
    assert big.full
    assert not little.full
    assert big.within > little.within
    assert big.reasons
    assert not little.reasons
    short = required(triage(None, RULES), RULES, tier, declared=True)
    assert (short.kind, short.full, short.approvals) == ("material", False, small)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Bounds(),
        lambda: Bounds(min=3, max=2),
        lambda: Bounds(min=1, values=("a",)),
        lambda: Review(approvals=1, within=Duration.parse("1d"), depth="", roles=("risk", "legal")),
        lambda: Review(approvals=11, within=Duration.parse("1d"), depth=""),
        lambda: Reviews(material=Review(approvals=0, within=Duration.parse("1d"), depth=""),
                        non_material=Review(approvals=0, within=Duration.parse("1d"), depth="")),
        lambda: Rules(importance=-1),
    ],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        wrong()
