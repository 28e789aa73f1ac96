"""Lineage: nothing is registered without it, and a difference is named exactly."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from seatrial.errors import UsageError
from seatrial.ids import Digest
from seatrial.registry.lineage import (
    PARTS,
    ArtifactLineage,
    CodeRef,
    DataRef,
    ModelRef,
    diff,
    missing,
    require_complete,
)

CODE = CodeRef("1f0c2aa", dirty=False, repository="git@example.com:ml/fraud.git")
DATA = DataRef(Digest("sha256:da"), 1000, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), "train")
MODEL = ModelRef(Digest("sha256:a0"), "sklearn", {"max_depth": 6}, {"auc": 0.91})
FULL = ArtifactLineage(CODE, DATA, MODEL)

OTHER = {
    "code": replace(CODE, commit="77ab310"),
    "data": replace(DATA, digest=Digest("sha256:db")),
    "model": replace(MODEL, digest=Digest("sha256:a1")),
}


@pytest.mark.parametrize("absent", [c for n in (1, 2, 3) for c in itertools.combinations(PARTS, n)])
def test_the_error_names_exactly_what_is_missing(absent: tuple[str, ...]) -> None:
    lineage = replace(FULL, **dict.fromkeys(absent))
    assert missing(lineage) == absent
    with pytest.raises(UsageError) as raised:
        require_complete(lineage, model="fraud")
    assert [part for part in PARTS if f"no {part} (" in raised.value.message] == list(absent)
    assert "fraud" in raised.value.message


def test_no_lineage_at_all_misses_everything_and_a_full_one_nothing() -> None:
    assert missing(None) == PARTS
    assert require_complete(FULL, model="fraud") is FULL


@pytest.mark.parametrize("changed", [c for n in (0, 1, 2, 3) for c in itertools.combinations(PARTS, n)])
def test_the_diff_names_exactly_what_changed(changed: tuple[str, ...]) -> None:
    other = replace(FULL, **{part: OTHER[part] for part in changed})
    assert diff(FULL, other) == diff(other, FULL) == changed


def test_what_is_not_content_is_no_difference() -> None:
    renamed = ArtifactLineage(
        replace(CODE, repository="https://mirror.example.com/fraud"),
        replace(DATA, name="copy of train"),
        replace(MODEL, metrics={"auc": 0.92}),
    )
    assert diff(FULL, renamed) == ()


def test_uncommitted_changes_are_a_difference_of_code() -> None:
    dirty = replace(FULL, code=replace(CODE, dirty=True))
    assert diff(FULL, dirty) == ("code",)
    one, two = (replace(FULL, code=replace(CODE, dirty=True, changes=Digest(f"sha256:{c}"))) for c in "12")
    assert diff(one, two) == ("code",)
    assert diff(one, one) == ()


def test_an_adopted_endpoint_differs_in_all_that_is_not_known() -> None:
    assert diff(ArtifactLineage(), FULL) == PARTS


def test_a_time_range_without_time_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="no time zone"):
        replace(DATA, start=datetime(2026, 1, 1))
