"""Exercise 29.23 (c): the kill switch is thrown three times in a month. Is that chance, and what is behind it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apisystem import call
from seatrial.api.app import create_app
from seatrial.cli import main
from seatrial.control.operations import Operations
from troubles import DAY, HOUR, MODEL, T0, Troubled

REASON = "bureau_v2 is stale, refusals went up"
KILLS = (T0 + 2 * DAY + 4 * HOUR, T0 + 9 * DAY + 4 * HOUR, T0 + 16 * DAY + 4 * HOUR)
NOW = T0 + 28 * DAY


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as left:
        main([*words])
    told = capsys.readouterr()
    assert left.value.code in (0, None), told.err
    return told.out


def analysed(troubled: Troubled, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    project = ("--project", str(troubled.project.root))
    return json.loads(said(capsys, *project, "incidents", "analyse", "--since", "28d", *words, "--json"))


@pytest.fixture(scope="module")
def thrice(tmp_path_factory: pytest.TempPathFactory) -> Troubled:
    """The second kill was for nothing: the failures went away with the very same version. The first and third were not.

    All three fell on a Wednesday, at four in the morning, when the bureau's file arrives.
    """
    troubled = Troubled(tmp_path_factory.mktemp("thrice") / "bank")
    for n, at in enumerate(KILLS):
        back = at + 6 * HOUR
        troubled.answered(at - 5 * DAY, at - HOUR, 4000, version="2", paid=1.0)
        troubled.answered(at - HOUR, at, 400, version="2", failing=0.2)
        troubled.answered(at, back, 1000, version="1", paid=0.7, failing=0.2 if n == 1 else 0.0)
        troubled.answered(back, back + 12 * HOUR, 1000, version="2", failing=0.0 if n == 1 else 0.2)
        troubled.kill(at, back, REASON)
    troubled.move(NOW)
    return troubled


def test_the_number_of_the_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "calc", "incident-rate", "--count", "3", "--per", "month", "--baseline", "0.5", "--json")
    assert json.loads(out)["p_value"] == pytest.approx(0.014388, abs=5e-7)
    assert "p = 0.0144" in json.loads(out)["conclusion"]
    out = said(capsys, "calc", "incident-rate", "--count", "1", "--per", "month", "--baseline", "0.5")
    assert out.startswith("No more than chance")


def test_three_kills_against_the_expected_rate(thrice: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    found = analysed(thrice, capsys, "--baseline", "0.5")
    assert found["rate"]["count"] == 3
    assert found["rate"]["unusual"]
    assert found["rate"]["pValue"] == pytest.approx(0.0115, abs=5e-4)  # 28 days are a little less than a month
    assert found["rate"]["betweenDays"] == pytest.approx(28 / 3)
    assert found["rate"]["gapsDays"] == [7, 7]
    assert not analysed(thrice, capsys, "--baseline", "3")["rate"]["unusual"]
    history = analysed(thrice, capsys)["rate"]
    assert (history["source"], history["baseline"]) == ("history", 0)
    assert 0 < history["pValue"] < 0.1


def test_what_they_have_in_common(thrice: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    found = analysed(thrice, capsys)
    common = {(group["dimension"], group["value"]): group for group in found["common"]}
    for shared in (
        ("version", f"{MODEL} v2"), ("named", "bureau_v2"), ("trigger", "by hand"), ("actor", "ann"),
        ("weekday", "Wednesday"), ("hour", "04:00"), ("data", "bureau_v2 sha256:cccccccccccc"),
        ("changed", "code commit"),
    ):  # fmt: skip
        assert common[shared]["count"] == 3, shared
    assert common["weekday", "Wednesday"]["chance"] == pytest.approx(1 / 49)
    assert common["version", f"{MODEL} v2"]["chance"] is None


def test_each_is_linked_to_what_changed(thrice: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    for one in analysed(thrice, capsys)["interventions"]:
        assert (one["version"], one["before"]) == (2, 1)
        assert [change["text"] for change in one["changes"]] == [
            "code commit: 1f0c2aa → 77ab310",
            "data digest: sha256:bbbbbbbbbbbb → sha256:cccccccccccc",
        ]


def test_false_kills_are_told_from_true_ones(thrice: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    ones = analysed(thrice, capsys)["interventions"]
    assert [one["verity"] for one in ones] == ["true", "false", "true"]
    assert "recovered without a change of the model" in ones[1]["why"]
    assert "as far off when the same version came back" in ones[0]["why"]


def test_a_kill_without_trouble_was_for_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    troubled = Troubled(tmp_path / "bank")
    at = KILLS[0]
    troubled.answered(at - 5 * DAY, at + HOUR, 5000, version="2")
    troubled.kill(at, None, "somebody complained")
    troubled.move(NOW)
    (one,) = analysed(troubled, capsys)["interventions"]
    assert (one["verity"], one["why"]) == ("false", "nothing was out of line before it was taken out")


def test_the_replacement_that_does_as_badly_clears_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    troubled = Troubled(tmp_path / "bank")
    for at, meanwhile in ((KILLS[0], 0.2), (KILLS[1], 0.0)):
        troubled.answered(at - 5 * DAY, at - HOUR, 4000, version="2")
        troubled.answered(at - HOUR, at, 400, version="2", failing=0.2)
        troubled.answered(at, at + 12 * HOUR, 1000, version="1", failing=meanwhile)
        troubled.kill(at, None, REASON)
    troubled.move(NOW)
    first, second = analysed(troubled, capsys)["interventions"]
    assert (first["verity"], second["verity"]) == ("false", "true")
    assert "stayed there while another version answered" in first["why"]


def test_what_the_fallback_cost(thrice: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    effect = {e["metric"]: e for e in analysed(thrice, capsys)["interventions"][0]["fallback"]}["paid"]
    assert effect["after"] - effect["before"] == pytest.approx(-0.3, abs=0.1)
    assert effect["lower"] < effect["upper"] < 0


def test_nothing_is_found_where_nothing_happened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    troubled = Troubled(tmp_path / "bank")
    found = analysed(troubled, capsys)
    assert found["interventions"] == found["common"] == []
    assert found["text"] == "Nothing was taken out of traffic in 28 days."


def test_a_rollback_counts_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from seatrial.store import releases

    troubled = Troubled(tmp_path / "bank")
    with troubled.store() as store, store.begin() as tx:
        releases.roll_back(tx.models, MODEL, expected_champion=2, actor="eve", now=KILLS[0], reason="complaints")
    troubled.move(NOW)
    (one,) = analysed(troubled, capsys)["interventions"]
    assert (one["kind"], one["version"], one["before"], one["actor"]) == ("rollback", 2, 1, "eve")
    assert one["verity"] == "unknown"


@pytest.mark.slow
def test_text_picture_and_api_say_the_same(
    thrice: Troubled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "kills.svg"
    project = ("--project", str(thrice.project.root))
    out = said(capsys, *project, "incidents", "analyse", "--since", "28d", "--baseline", "0.5", "--chart", str(picture))
    assert out.startswith("3 in 28 days (2 true, 1 false)")
    assert "what is normal" in picture.read_text()
    with thrice.store() as store:
        app = create_app(Operations(thrice.project, store), thrice.project, store)
        asked = call(app, "GET", "/v1/incident-analysis?since=28d&baseline=0.5").json()
        assert call(app, "GET", "/v1/incident-analysis?since=soon").json()["code"] == "ST0358"
    assert asked == analysed(thrice, capsys, "--baseline", "0.5")


def test_aborts_by_the_gates_are_not_kills(tmp_path: Path) -> None:
    """Verdicts of a rollout have a control group: by rule and by what became of the version."""
    from seatrial.governance.verity import of_abort

    assert of_abort("guardrail_harm", "").verity == "true"
    assert of_abort("sample_ratio", "").verity == "false"
    assert of_abort("guardrail_harm", "r-0007").verity == "false"
    assert of_abort("by hand", "").verity == "unknown"
