"""Exercise 29.11(b): reconciliation against units that never met the candidate, beside one that is diluted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aftermath import DAY, MODEL, PLAN, ROLLOUT, T0, Aftermath
from commandline import run_command
from seatrial.control import holdouts
from seatrial.control.offline import in_its_place
from seatrial.rollout.holdout import beside
from seatrial.rollout.validate import problems
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

HELD = PLAN + "holdout: 30%\n"


def released(root: Path, plan: str, *, held: float) -> Aftermath:
    release = Aftermath(root, plan=plan)
    users = release.users(20_000, returning=0.9)
    release.write_events(users, held=held)
    release.write_outcomes(release.outcomes(users, harm=0.03))
    release.promote()
    return release


def reconciled(release: Aftermath, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Day 10: all units of the canary have had their 7 days."""
    release.move(T0 + 10 * DAY)
    command = ("--project", release.root, "rollout", "reconcile", ROLLOUT, "--json")
    document: dict[str, Any] = run_command(capsys, *command, code=3)
    return document


def of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(metric for metric in document["metrics"] if metric["metric"] == name)


def test_against_a_holdout_nothing_is_diluted_and_the_same_harm_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = reconciled(released(tmp_path / "plain", PLAN, held=0.0), capsys)
    kept = reconciled(released(tmp_path / "kept", HELD, held=0.3), capsys)
    diluted, whole = of(plain, "retention_7d"), of(kept, "retention_7d")
    assert diluted["diluted"] > 0.1
    assert "diluted: " in diluted["text"]
    assert any("the effect is diluted" in one["text"] for one in plain["confounds"])
    assert whole["diluted"] == 0
    assert "diluted" not in whole["text"]
    assert not any("began with v1 met v2" in one["text"] for one in kept["confounds"])
    assert kept["text"].endswith("held against the 30% of the units that stayed on the champion: not diluted")
    assert "held against" not in plain["text"]
    share = whole["unitsChampion"] / diluted["unitsChampion"]
    assert share == pytest.approx(0.3, abs=0.02), "only the holdout's units are the other side"
    assert whole["unitsCandidate"] == diluted["unitsCandidate"]
    for metric in (diluted, whole):
        assert metric["verdict"] == "fail"
        assert metric["lower"] < -0.03 / 0.8 < metric["upper"], "the planted harm"


def test_it_lasts_until_the_last_reconciliation_or_as_long_as_the_plan_says(tmp_path: Path) -> None:
    for name, text, until in (
        ("last", HELD, T0 + 33 * DAY),  # a canary of three days, a horizon of thirty
        ("said", HELD + "holdoutUntil: 5d\n", T0 + 8 * DAY),
    ):
        release = released(tmp_path / name, text, held=0.3)
        with Store.open(release.project.store_url) as store:
            with store.read() as tx:
                found = holdouts.standing(tx, MODEL)
                assert found is not None
                assert (found.version, found.candidate, found.held, found.until) == (1, 2, 3_000, until)
            with in_its_place(release.project, store), store.begin() as tx:
                assert not holdouts.any_due(tx, until - DAY)
                assert holdouts.expire(tx, until - DAY) == []
                assert holdouts.any_due(tx, until)
                assert [one.rollout for one in holdouts.expire(tx, until)] == [ROLLOUT]
                assert holdouts.standing(tx, MODEL) is None
    plain = released(tmp_path / "plain", PLAN, held=0.0)
    with Store.open(plain.project.store_url) as store, store.read() as tx:
        assert holdouts.standing(tx, MODEL) is None


SHORT = """
name: short
metrics: [{name: errors, kind: error_rate, margin: 1pp}]
steps: [{setWeight: 50%}, {pause: {duration: 3d}}]
"""


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (HELD, []),
        (SHORT + "holdout: 5%\nholdoutUntil: 31d", []),
        (SHORT + "holdout: 5%", ["ST1590"]),  # nobody would ever compare with it
        (PLAN + "holdout: 0%", ["ST1590"]),
        (PLAN + "holdout: 51%", ["ST1590"]),
        (PLAN + "holdoutUntil: 31d", ["ST1590"]),
        (HELD + "holdoutUntil: 0s", ["ST1590"]),
    ],
)
def test_what_cannot_be_held_is_refused(text: str, codes: list[str]) -> None:
    assert [p.code for p in problems(parse_plan(text)) if p.code == "ST1590"] == codes


@pytest.mark.parametrize("held", [1, 100, 333, 500, 5_000])
def test_a_growing_canary_keeps_its_units_beside_any_holdout(held: int) -> None:
    points = [beside(weight, held) for weight in range(10_001)]
    assert points == sorted(points)
    assert (points[0], points[-1]) == (0, 10_000 - held)
    assert all(points[1:]), "a canary is never nobody"
    for weight in (100, 1_000, 5_000):
        assert points[weight] / (10_000 - held) == pytest.approx(weight / 10_000, abs=1 / (10_000 - held))
