"""``seatrial calc``: the readings of the textbook, what people are told, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

EQUAL = ("--x1", 936_000, "--n1", 18_000_000, "--x2", 104_000, "--n2", 2_000_000)
BETTER = ("--x1", 936_000, "--n1", 18_000_000, "--x2", 107_000, "--n2", 2_000_000)
SMALL = ("--x1", 400, "--n1", 5_000, "--x2", 37, "--n2", 500)
STREAM = ("--baseline", "5.2%", "--effect", "-0.5%", "--traffic", "20M/day")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Outside of any project: these commands need none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")


# ── ztest ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rise_of_three_hundredths_is_far_beyond_chance(run: Any) -> None:
    document = run("calc", "ztest", *BETTER, "--json").json
    assert document["z"] == pytest.approx(9.0518, abs=1e-4)
    assert 0 < document["p_value"] < 1e-18
    assert document["difference"] == pytest.approx(0.0015)
    assert document["relative_difference"] == pytest.approx(0.028846, abs=1e-6)
    low, high = document["interval"]
    assert 0.001 < low < 0.0015 < high < 0.002
    assert document["exact_p_value"] is None
    assert "The canary's rate is higher: 5.35%" in run("calc", "ztest", *BETTER).out


def test_equal_rates_show_nothing(run: Any) -> None:
    document = run("calc", "ztest", *EQUAL, "--json").json
    assert (document["z"], document["p_value"]) == (0, 1)
    said = run("calc", "ztest", *EQUAL).out
    assert "No difference is shown" in said
    assert "that does not say that there is none" in said


def test_the_reference_of_the_pooled_test(run: Any) -> None:
    document = run("calc", "ztest", *SMALL, "--json").json
    assert document["z"] == pytest.approx(-0.4729964892806757)
    assert document["p_value"] == pytest.approx(0.6362156838709518)
    assert document["interval"] == pytest.approx([-0.02733403901139834, 0.021301615073900215])


def test_few_expected_events_get_an_exact_test_whatever_the_number_of_trials(run: Any) -> None:
    thin = ("--x1", 0, "--n1", 20_000, "--x2", 3, "--n2", 2_000)
    document = run("calc", "ztest", *thin, "--json").json
    assert document["smallest_expected"] < 1
    assert document["exact_method"] == "barnard"
    assert document["p_value"] < document["exact_p_value"] < 0.01
    assert document["relative_difference"] is None
    assert "Barnard" in run("calc", "ztest", *thin).out
    nothing = ("--x1", 0, "--n1", 500, "--x2", 0, "--n2", 50)
    assert run("calc", "ztest", *nothing, "--json").json["z"] is None
    assert "without any variation" in run("calc", "ztest", *nothing).out


# ── noninferiority ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "z"), [("wald", 1.136417545119862), ("score", 1.2250011491576944), ("mn", 1.2248897803544132)]
)
def test_the_references_of_an_absolute_margin(run: Any, method: str, z: float) -> None:
    document = run("calc", "noninferiority", *SMALL, "--margin", "2pp", "--method", method, "--json").json
    assert document["z"] == pytest.approx(z)
    assert document["non_inferior"] is False
    assert document["tolerated_rate"] == pytest.approx(0.06)


def test_a_relative_margin_scales_the_variance_of_the_champion(run: Any) -> None:
    document = run("calc", "noninferiority", *SMALL, "--margin", "10%", "--json").json
    assert (document["z"], document["p_value"]) == pytest.approx((0.16386222121802368, 0.4349198040677138))
    assert document["margin_scale"] == "relative"
    assert "--method mn" in run("calc", "noninferiority", *SMALL, "--margin", "10%").out


def test_a_margin_of_one_per_cent_is_relative_and_a_canary_that_keeps_it_passes(run: Any) -> None:
    document = run("calc", "noninferiority", *EQUAL, "--margin", "1%", "--json").json
    p, m = 0.052, 0.01
    z = m * p / math.sqrt(p * (1 - p) * (1 / 2e6 + (1 - m) ** 2 / 18e6))
    assert document["z"] == pytest.approx(z)
    assert document["non_inferior"] is True
    assert "Non-inferior" in run("calc", "noninferiority", *EQUAL, "--margin", "1%").out
    lost = (*EQUAL[:5], 102_960, *EQUAL[6:])  # exactly one per cent less
    assert run("calc", "noninferiority", *lost, "--margin", "1%", "--json").json["p_value"] == pytest.approx(0.5)
    assert "Not shown" in run("calc", "noninferiority", *lost, "--margin", "1%").out


def test_the_direction_is_said_and_not_guessed_from_a_sign(run: Any) -> None:
    up = run("calc", "noninferiority", *SMALL, "--margin", "2pp", "--method", "mn", "--json").json
    failures = ("--x1", 4_600, "--n1", 5_000, "--x2", 463, "--n2", 500, "--better", "decrease")
    down = run("calc", "noninferiority", *failures, "--margin", "2pp", "--method", "mn", "--json").json
    assert down["z"] == pytest.approx(up["z"])
    assert down["tolerated_rate"] == pytest.approx(0.94)
    assert "above 94%" in run("calc", "noninferiority", *failures, "--margin", "2pp").out


@pytest.mark.parametrize("margin", ["-0.01", "0.01", "-1%", "0%", "1", "one per cent", "100%", "100pp", ""])
def test_a_margin_without_unit_or_with_a_sign_is_refused_with_the_remedy(run: Any, margin: str) -> None:
    said = run("calc", "noninferiority", *SMALL, "--margin", margin, "--json")
    assert said.code == 2
    assert "ST0242" in said.err
    assert "--margin 1% is one per cent of the champion's rate, --margin 0.1pp a tenth of a point" in said.err
    assert said.out == ""


# ── power ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_textbook_figure_and_the_real_split(run: Any) -> None:
    document = run("calc", "power", *STREAM, "--share", "10%", "--json").json
    assert document["canary_units_a_day"] == 2_000_000
    assert round(document["days_equal"], 2) == 5.71
    assert round(document["days"], 2) == 3.17
    assert document["canary_units_equal"] == 11_420_233
    assert document["canary_units"] == 6_332_549
    assert document["practical_days"] == 7
    said = run("calc", "power", *STREAM, "--share", "10%").out
    for words in ("5.71 days (textbook)", "3.17 days", "Run it for 7 days", "(p₂(1-p₂) + p₁(1-p₁)/k) / (p₂ - p₁)²"):
        assert words in said


def test_half_the_share_takes_not_quite_twice_as_long(run: Any) -> None:
    days = [run("calc", "power", *STREAM, "--share", s, "--json").json["days"] for s in ("10%", "5%")]
    assert days[1] / days[0] == pytest.approx(1.894, abs=0.01)


def test_an_effective_sample_of_two_fifths_takes_two_and_a_half_times_as_long(run: Any) -> None:
    plain = run("calc", "power", *STREAM, "--share", "10%", "--json").json
    clustered = run("calc", "power", *STREAM, "--share", "10%", "--design-effect", 2.5, "--json").json
    for days in ("days", "days_equal", "days_every_look"):
        assert clustered[days] == pytest.approx(2.5 * plain[days])
    assert clustered["effective_units_a_day"] == pytest.approx(0.4 * plain["canary_units_a_day"])
    assert "(40%)" in run("calc", "power", *STREAM, "--share", "10%", "--design-effect", 2.5).out
    kish = run("calc", "power", *STREAM, "--share", "10%", "--per-unit", 10, "--icc", 0.05, "--json").json
    assert kish["design_effect"] == pytest.approx(1.45)


def test_effects_in_points_and_per_cent_and_both_ways_agree(run: Any) -> None:
    def units(effect: str, *more: object) -> int:
        found: int = run("calc", "power", "--baseline", "0.052", "--effect", effect, "--traffic", "5000/h",
                         "--share", "10%", *more, "--json").json["canary_units"]  # fmt: skip
        return found

    assert units("-0.5%") == pytest.approx(units("-0.026pp"), rel=1e-6)
    assert units("+0.5%") == units("0.5%") > units("-0.5%")
    assert units("-0.5%", "--sides", 1) < units("-0.5%") < units("-0.5%", "--power", "0.9")


# ── srm, interval ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_split_as_planned_and_one_that_leaks(run: Any) -> None:
    document = run("calc", "srm", "--counts", "5013,4870", "--shares", "50%,50%", "--json").json
    assert document["chi_square"] == pytest.approx(143**2 / 9_883)
    assert document["p_value"] == pytest.approx(0.1503, abs=1e-4)
    assert document["e_value"] < 1
    assert document["alarm"] is False
    leak = run("calc", "srm", "--counts", "90000,9000", "--shares", "90%,10%", "--json").json
    assert leak["alarm"] is True
    assert leak["e_value"] > 1000
    assert "The split is broken" in run("calc", "srm", "--counts", "90000,9000", "--shares", "90%,10%").out


def test_three_arms_have_an_e_value_too_and_a_huge_one_is_a_number_of_digits(run: Any) -> None:
    three = run("calc", "srm", "--counts", "8000,1000,800", "--shares", "80%,10%,10%", "--json").json
    assert (three["freedom"], three["alarm"], three["exact_p_value"]) == (2, True, None)
    assert "dirichlet-multinomial" in run("calc", "srm", "--counts", "8000,1000,1000", "--shares", "80%,10%,10%").out
    huge = run("calc", "srm", "--counts", "1000000,1", "--shares", "50%,50%", "--json").json
    assert huge["e_value"] is None
    assert huge["log_e_value"] > 1e5
    assert "e = 1e" in run("calc", "srm", "--counts", "1000000,1", "--shares", "50%,50%").out
    assert run("calc", "srm", "--counts", "0,0", "--shares", "50%,50%").code == 0


def test_intervals_of_a_rate_and_of_a_difference(run: Any) -> None:
    rate = run("calc", "interval", "--x", 37, "--n", 500, "--json").json
    assert rate["interval"] == pytest.approx([0.05416118475101197, 0.10033475332223055])
    assert rate["always_valid"][0] < rate["interval"][0] < rate["interval"][1] < rate["always_valid"][1]
    exact = run("calc", "interval", "--x", 0, "--n", 200, "--method", "exact", "--json").json
    assert exact["interval"] == pytest.approx([0, 0.018275340355136244])
    score = run("calc", "interval", *SMALL, "--method", "score", "--json").json
    assert score["interval"] == pytest.approx([-0.027438735511846574, 0.021239283332640756])
    assert score["always_valid"] is None
    assert "fewer than 50 expected" in run("calc", "interval", *SMALL).out
    large = run("calc", "interval", *BETTER, "--json").json
    assert large["always_valid"][0] < large["interval"][0]
    assert "Canary minus champion is +0.15 points" in run("calc", "interval", *BETTER).out


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────

POWER = ("power", *STREAM, "--share", "10%")


def changed(option: str, value: str) -> tuple[object, ...]:
    at = POWER.index(option)
    return (*POWER[: at + 1], value, *POWER[at + 2 :])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ST0240", ("ztest", "--x1", 11, "--n1", 10, "--x2", 1, "--n2", 10)),
        ("ST0240", ("interval", "--x", 0, "--n", 0)),
        ("ST0241", ("ztest", *SMALL, "--alpha", "5")),
        ("ST0241", changed("--baseline", "0%")),
        ("ST0241", changed("--share", "100%")),
        ("ST0243", changed("--effect", "-0.005")),
        ("ST0243", changed("--effect", "0%")),
        ("ST0243", changed("--effect", "-100%")),
        ("ST0243", changed("--effect", "a lot")),
        ("ST0243", changed("--effect", "1e-9%")),
        ("ST0244", changed("--traffic", "20M")),
        ("ST0244", changed("--traffic", "0/day")),
        ("ST0245", ("srm", "--counts", "1,2", "--shares", "50%,40%")),
        ("ST0245", ("srm", "--counts", "1,2,3", "--shares", "50%,50%")),
        ("ST0245", ("srm", "--counts", "1,2.5", "--shares", "50%,50%")),
        ("ST0246", (*POWER, "--design-effect", 0)),
        ("ST0246", (*POWER, "--per-unit", 10)),
        ("ST0246", (*POWER, "--design-effect", 2, "--icc", 0.1, "--per-unit", 10)),
        ("ST0246", (*POWER, "--icc", 2, "--per-unit", 10)),
        ("ST0247", ("interval",)),
        ("ST0247", ("interval", "--x", 1, "--n", 2, "--x1", 1)),
        ("ST0247", ("interval", "--x", 1, "--n", 2, "--method", "newcombe")),
        ("ST0247", ("interval", *SMALL, "--method", "wilson")),
        ("ST0248", (*POWER, "--power", "4%")),
    ],
)
def test_mistakes_are_named_with_a_remedy(run: Any, code: str, words: tuple[object, ...]) -> None:
    said = run("calc", *words)
    assert said.code == 2
    assert code in said.err
    assert len(said.err.splitlines()) >= 2, "no remedy"
    assert "Traceback" not in said.err


def test_an_option_that_is_no_count_is_refused_too(run: Any) -> None:
    for words in (("ztest", "--x1", "-1"), ("ztest", "--x1", "many"), ("ztest", "--x1", 10**13)):
        assert run("calc", *words, "--n1", 5, "--x2", 1, "--n2", 5).code == 2


@pytest.mark.parametrize("command", ["ztest", "noninferiority", "power", "srm", "interval"])
def test_every_document_has_a_schema_and_a_conclusion(run: Any, command: str) -> None:
    words = {
        "ztest": SMALL, "noninferiority": (*SMALL, "--margin", "1pp"), "power": POWER[1:],
        "srm": ("--counts", "1,2", "--shares", "50%,50%"), "interval": ("--x", 1, "--n", 2),
    }[command]  # fmt: skip
    document = run("calc", command, *words, "--json").json
    assert document["schema"] == f"seatrial.calc-{command}.v1"
    assert document["conclusion"].endswith(".")
    assert document["conclusion"] in run("calc", command, *words).out
