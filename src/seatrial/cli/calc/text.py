"""What ``seatrial calc`` says to people: one sentence of conclusion, the figures, the formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from seatrial.cli.calc import drift_text, way_home_text

if TYPE_CHECKING:
    from rich.console import RenderableType

Document = dict[str, Any]
Line = tuple[str, str]

ENOUGH = 50
"""Expected events and non-events below which an asymptotic interval says nothing, as in the gates' start rule."""

_SMALLEST_P = 1e-300
"""Below this a float is zero before long, and no p-value is."""


def conclusion(what: str, d: Document) -> str:
    """One sentence."""
    return _PAGES[what][0](d)


def page(what: str, d: Document) -> RenderableType:
    """The sentence in bold, the figures below each other, the formula and its caution dimmed."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    said, figures, formula = _PAGES[what]
    grid = Table.grid(padding=(0, 2))
    for label, value in figures(d):
        grid.add_row(Text(label, style="dim"), Text(value))
    lines = Text("\n".join(formula(d)), style="dim")
    return Group(Text(said(d), style="bold"), Text(), grid, Text(), lines)


# ── ztest ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ztest_said(d: Document) -> str:
    p = d["p_value"] if d["exact_p_value"] is None else d["exact_p_value"]
    rates = f"{_rate(d['rate_2'])} (canary) against {_rate(d['rate_1'])} (champion)"
    if math.isnan(p) or (math.isnan(d["z"]) and p >= d["alpha"]):
        return f"Nothing to test: {rates}, without any variation."
    if p >= d["alpha"]:
        return f"No difference is shown: {rates}, {_p_is(p)}; that does not say that there is none."
    way = "higher" if d["difference"] > 0 else "lower"
    return f"The canary's rate is {way}: {rates}, {_p_is(p)}."


def _ztest_figures(d: Document) -> Iterator[Line]:
    yield from _difference(d)
    yield f"{_level(d)} interval", f"{_points_between(d['interval'])}, Newcombe"
    yield "z", _number(d["z"])
    yield "p, two-sided", _p(d["p_value"])
    if d["exact_p_value"] is not None:
        name = {"barnard": "Barnard", "fisher": "Fisher"}[d["exact_method"]]
        few = f"only {_number(d['smallest_expected'])} expected in the smallest cell"
        yield "exact p, two-sided", f"{_p(d['exact_p_value'])}, {name}: {few}"


def _ztest_formula(d: Document) -> Iterator[str]:
    yield "z = (p₂ - p₁) / √(p(1-p)(1/n₁ + 1/n₂)), p of both arms together"
    yield _CAUTION


# ── noninferiority ─────────────────────────────────────────────────────────────────────────────────────────────────


def _margin_said(d: Document) -> str:
    if math.isnan(d["z"]):
        more = " --method score can tell where wald cannot." if d["method"] == "wald" else ""
        return f"Nothing to test: the counts show no variation.{more}"
    bound = f"{'below' if d['better'] == 'increase' else 'above'} {_rate(d['tolerated_rate'])}"
    if d["non_inferior"]:
        return (
            f"Non-inferior: a canary's rate {bound}, a loss beyond {_margin(d)}, is excluded ({_p_is(d['p_value'])})."
        )
    return f"Not shown: a canary's rate {bound}, a loss beyond {_margin(d)}, is not excluded ({_p_is(d['p_value'])})."


def _margin_figures(d: Document) -> Iterator[Line]:
    yield "champion", _rate(d["rate_1"])
    yield "canary", _rate(d["rate_2"])
    yield from _difference(d)
    worst = "least" if d["better"] == "increase" else "most"
    yield "margin", f"{_margin(d)}: at {worst} {_rate(d['tolerated_rate'])}"
    yield "z", _number(d["z"])
    yield "p, one-sided", _p(d["p_value"])


def _margin_formula(d: Document) -> Iterator[str]:
    up = d["better"] == "increase"
    loss, back = ("-", "+") if up else ("+", "-")
    if d["margin_scale"] == "relative":
        bound = f"(1{loss}m)p₁"
        distance, variance = f"p₂ - {bound}", f"v₂ + (1{loss}m)²v₁"
    else:
        bound = f"p₁ {loss} m"
        distance, variance = f"p₂ - p₁ {back} m", "v₂ + v₁"
    yield f"H₀: p₂ {'≤' if up else '≥'} {bound}, one-sided"
    shown = f"z = {'' if up else '-'}({distance}) / √({variance})"
    at = {
        "wald": "v = p(1-p)/n at the observed rates (Wald)",
        "score": "v = p(1-p)/n at the most likely rates under H₀ (Farrington-Manning)",
        "mn": "v = p(1-p)/n at the most likely rates under H₀, times N/(N-1) (Miettinen-Nurminen)",
    }
    yield f"{shown}, {at[d['method']]}"
    if d["method"] == "wald" and d["smallest_expected"] < ENOUGH:
        few = _number(d["smallest_expected"])
        yield f"Only {few} expected in the smallest cell: --method mn keeps its level there."
    yield _CAUTION


# ── power ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _power_said(d: Document) -> str:
    return (
        f"Run it for {d['practical_days']:,} days: {_days(d['days'])} at {_rate(d['share'])} of the traffic, rounded "
        "up to whole weeks, because weekdays and weekends differ."
    )


def _power_figures(d: Document) -> Iterator[Line]:
    relative = _number(100 * (d["rate_2"] / d["rate_1"] - 1), "+")
    yield "to find", f"{_rate(d['rate_1'])} → {_rate(d['rate_2'])}, {relative}% relative"
    sides = "two-sided" if d["sides"] == 2 else "one-sided"
    yield "test", f"power {_rate(d['power'])}, alpha {d['alpha']:g}, {sides}"
    yield "canary, a day", f"{d['canary_units_a_day']:,.0f}"
    if d["design_effect"] != 1:
        part = _rate(1 / d["design_effect"])
        yield "design effect", f"{d['design_effect']:g}: they count as {d['effective_units_a_day']:,.0f} ({part})"
    yield "equal allocation", f"{d['canary_units_equal']:,} in the canary, {_days(d['days_equal'])} (textbook)"
    both = f"{d['canary_units']:,} in the canary, {d['champion_units']:,} in the champion"
    yield f"{_rate(d['share'])} : {_rate(1 - d['share'])}", f"{both}, {_days(d['days'])}"
    yield "at every look", f"{_days(d['days_every_look'])} by seatrial's boundary, which may be looked at all the time"


def _power_formula(d: Document) -> Iterator[str]:
    z = "z(α/2)" if d["sides"] == 2 else "z(α)"
    k = (1 - d["share"]) / d["share"]
    factor = "" if d["design_effect"] == 1 else f"{d['design_effect']:g} × "
    yield f"n = {factor}({z} + z(power))² (p₂(1-p₂) + p₁(1-p₁)/k) / (p₂ - p₁)²"
    yield f"k champion units for one of the canary: 1 where the arms are equal, {k:.4g} at this split"


# ── srm ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _srm_said(d: Document) -> str:
    if d["alarm"]:
        return f"The split is broken: e = {_e(d)}, at least {d['alarm_at']:g}. No comparison of these arms is valid."
    return f"No sample-ratio mismatch is shown: e = {_e(d)}, below {d['alarm_at']:g}."


def _srm_figures(d: Document) -> Iterator[Line]:
    seen = d["observed_shares"] or [0.0] * len(d["counts"])
    for n, (count, planned, share) in enumerate(zip(d["counts"], d["shares"], seen, strict=True), start=1):
        yield f"arm {n}", f"{count:,} units, {_rate(share)}, planned {_rate(planned)}"
    yield "e-value", f"{_e(d)}, valid at every look ({d['e_method']}); alarm at {d['alarm_at']:g}"
    yield "chi-square", f"{_number(d['chi_square'])}, {d['freedom']} df, {_p_is(d['p_value'])} for one look"
    if d["exact_p_value"] is not None:
        yield "exact binomial", f"{_p_is(d['exact_p_value'])} for one look"


def _srm_formula(d: Document) -> Iterator[str]:
    yield "χ² = Σ (units - expected)² / expected; looked at again and again it alarms falsely"
    if d["e_method"] == "shared odds":
        yield "e = mean over 24 odds factors from 1/2 to 2 of P(split | odds × factor) / P(split | plan)"
    else:
        yield "e = B(100 θ + units) / B(100 θ) / Π θ^units, θ the planned shares (Lindon & Malek)"
    yield "Count each unit once, where it was first seen: requests of one unit are not independent."


# ── interval ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _interval_said(d: Document) -> str:
    low, high = d["interval"]
    if d["of"] == "rate":
        return (
            f"The rate is {_rate(d['estimate'])}, between {_rate(low)} and {_rate(high)} with {_level(d)} confidence."
        )
    between, zero = _points_between((low, high)), "lies" if low <= 0 <= high else "does not lie"
    return f"Canary minus champion is {_points(d['estimate'])}, with {_level(d)} confidence {between}; 0 {zero} within."


def _interval_figures(d: Document) -> Iterator[Line]:
    shown: Callable[[Any], str] = _rates_between if d["of"] == "rate" else _points_between
    yield "estimate", _rate(d["estimate"]) if d["of"] == "rate" else _points(d["estimate"])
    name = {"wilson": "Wilson", "exact": "Clopper-Pearson", "newcombe": "Newcombe", "score": "Miettinen-Nurminen"}
    yield "one look", f"{shown(d['interval'])}, {name[d['method']]}"
    if d["always_valid"] is None:
        yield "every look", f"fewer than {ENOUGH} expected in the smallest cell: nothing to say yet"
    else:
        yield "every look", f"{shown(d['always_valid'])}, {d['always_valid_method']} tuned for a sample of this size"


def _interval_formula(d: Document) -> Iterator[str]:
    yield {
        "wilson": "all p with |x/n - p| ≤ z √(p(1-p)/n)",
        "exact": "all p that neither exact binomial tail rejects at α/2",
        "newcombe": "d ∓ √((p₂ - l₂)² + (u₁ - p₁)²), l and u the ends of Wilson's intervals",
        "score": "all differences that the score test does not reject; variance at the most likely rates, N/(N-1)",
    }[d["method"]]
    yield _CAUTION


# ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_CAUTION = (
    "For one look at independent exposures. Looking again, ramping, and returning units are what a rollout is for."
)

_PAGES: dict[
    str, tuple[Callable[[Document], str], Callable[[Document], Iterator[Line]], Callable[[Document], Iterator[str]]]
] = {
    "ztest": (_ztest_said, _ztest_figures, _ztest_formula),
    "noninferiority": (_margin_said, _margin_figures, _margin_formula),
    "power": (_power_said, _power_figures, _power_formula),
    "srm": (_srm_said, _srm_figures, _srm_formula),
    "interval": (_interval_said, _interval_figures, _interval_formula),
    **way_home_text.PAGES,
    **drift_text.PAGES,
}


def _difference(d: Document) -> Iterator[Line]:
    relative = (
        "" if math.isnan(d["relative_difference"]) else f", {_number(100 * d['relative_difference'], '+')}% relative"
    )
    yield "difference", f"{_points(d['difference'])}{relative}"


def _margin(d: Document) -> str:
    return f"{_rate(d['margin'])} of the champion's" if d["margin_scale"] == "relative" else _points(d["margin"], "")


def _rate(share: float) -> str:
    return f"{100 * share:.4g}%"


def _number(value: float, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.4g}"


def _points(share: float, sign: str = "+") -> str:
    return f"{100 * share:{sign}.4g} points"


def _rates_between(ends: tuple[float, float]) -> str:
    return f"{_rate(ends[0])} to {_rate(ends[1])}"


def _points_between(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:+.4g} to {100 * ends[1]:+.4g} points"


def _p(p: float) -> str:
    return "-" if math.isnan(p) else f"{p:.3g}" if p >= _SMALLEST_P else f"< {_SMALLEST_P:g}"


def _p_is(p: float) -> str:
    return f"p = {_p(p)}".replace("= <", "<")


def _e(d: Document) -> str:
    return f"{d['e_value']:,.4g}" if d["e_value"] is not None else f"1e{d['log_e_value'] / math.log(10):.0f}"


def _days(days: float) -> str:
    return f"{days:,.2f} days"


def _level(d: Document) -> str:
    return _rate(1 - d["alpha"])
