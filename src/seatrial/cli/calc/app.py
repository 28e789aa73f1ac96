"""``seatrial calc``: the numbers of the textbook on the command line, with the formula and what they say.

Names in these documents are those of the formulas (``p_value``), and 1 is the champion, 2 the canary.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import typer

from seatrial.cli import output
from seatrial.cli.calc import drift, way_home
from seatrial.cli.calc import given as calc_input
from seatrial.cli.calc import text as calc_text
from seatrial.cli.calc.say import say
from seatrial.errors import UsageError

app = typer.Typer(
    help="Tests, intervals and sample sizes for one look at independent exposures. A release is judged at every look "
    "and by units: that is what a rollout is for.",
    no_args_is_help=True,
)


def _count(of: str) -> Any:
    return typer.Option(min=0, max=10**12, metavar="COUNT", help=of)


X1 = Annotated[int, _count("Successes of the champion.")]
N1 = Annotated[int, _count("Trials of the champion.")]
X2 = Annotated[int, _count("Successes of the canary.")]
N2 = Annotated[int, _count("Trials of the canary.")]
Alpha = Annotated[str, typer.Option(metavar="PART", help="The level of the test, e.g. 0.05 or 5%.")]


@app.command("ztest")
def ztest(x1: X1, n1: N1, x2: X2, n2: N2, alpha: Alpha = "0.05", as_json: output.Json = False) -> None:
    """Do two rates differ? Pooled z, two-sided, with Newcombe's interval; exact where expected counts are small."""
    from seatrial.stats.exact import THIN, exact_test, smallest_expected
    from seatrial.stats.intervals import newcombe_interval
    from seatrial.stats.proportions import two_proportion_z

    level = calc_input.fraction(alpha, "--alpha")
    arms = (*calc_input.successes(x2, n2, "2"), *calc_input.successes(x1, n1, "1"))
    test, expected = two_proportion_z(*arms), smallest_expected(*arms)
    exact = exact_test(*arms) if expected < THIN else None
    document = {
        "z": test.z,
        "p_value": test.p_two_sided,
        "difference": test.difference,
        "relative_difference": test.relative_difference,
        "interval": list(newcombe_interval(*arms, level)),
        "method": "pooled z, two-sided",
        "interval_method": "newcombe",
        "alpha": level,
        "rate_1": x1 / n1,
        "rate_2": x2 / n2,
        "smallest_expected": expected,
        "exact_p_value": exact.p_value if exact else None,
        "exact_method": exact.method if exact else None,
    }
    say("ztest", document, as_json)


@app.command("noninferiority")
def noninferiority(
    x1: X1,
    n1: N1,
    x2: X2,
    n2: N2,
    margin: Annotated[
        str, typer.Option(metavar="SIZE", help="The tolerable loss: 1% of the champion's rate, or 0.1pp (points).")
    ],
    method: Annotated[
        Literal["wald", "score", "mn"],
        typer.Option(help="wald; score: Farrington-Manning; mn: Miettinen-Nurminen, for small counts."),
    ] = "wald",
    better: Annotated[
        Literal["increase", "decrease"], typer.Option(help="Whether a higher or a lower rate is better.")
    ] = "increase",
    alpha: Alpha = "0.05",
    as_json: output.Json = False,
) -> None:
    """Is a loss as large as the margin excluded? One-sided."""
    from seatrial.stats.exact import smallest_expected
    from seatrial.stats.noninferiority import noninferiority as tested

    level, size = calc_input.fraction(alpha, "--alpha"), calc_input.margin(margin)
    arms = (*calc_input.successes(x2, n2, "2"), *calc_input.successes(x1, n1, "1"))
    test = tested(*arms, size.value, scale=size.scale, better=better, method=method)
    rate_1, rate_2 = x1 / n1, x2 / n2
    loss = size.value * (rate_1 if size.scale == "relative" else 1)
    document = {
        "z": test.z,
        "p_value": test.p_value,
        "non_inferior": test.shown(level),
        "margin": size.value,
        "margin_scale": size.scale,
        "tolerated_rate": rate_1 - loss if better == "increase" else rate_1 + loss,
        "method": method,
        "better": better,
        "alpha": level,
        "rate_1": rate_1,
        "rate_2": rate_2,
        "difference": rate_2 - rate_1,
        "relative_difference": rate_2 / rate_1 - 1 if rate_1 else math.nan,
        "smallest_expected": smallest_expected(*arms),
    }
    say("noninferiority", document, as_json)


@app.command("power")
def power(
    baseline: Annotated[str, typer.Option(metavar="RATE", help="The champion's rate, e.g. 5.2%.")],
    effect: Annotated[str, typer.Option(metavar="CHANGE", help="What to find: -0.5% (relative) or -0.03pp (points).")],
    traffic: Annotated[str, typer.Option(metavar="AMOUNT", help="Of both arms together, e.g. 20M/day.")],
    share: Annotated[str, typer.Option(metavar="SHARE", help="The canary's share of it, e.g. 10%.")],
    power: Annotated[str, typer.Option(metavar="PART", help="The chance to find the effect.")] = "80%",
    alpha: Alpha = "0.05",
    sides: Annotated[int, typer.Option(min=1, max=2, help="2: any difference; 1: in the effect's direction.")] = 2,
    design_effect: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Of returning units; 2.5 where the effective sample is 40%.")
    ] = None,
    per_unit: Annotated[
        float | None, typer.Option(metavar="MEAN", help="Instead: exposures of a unit, with --icc.")
    ] = None,
    icc: Annotated[float | None, typer.Option(metavar="CORRELATION", help="Of the exposures of one unit.")] = None,
    as_json: output.Json = False,
) -> None:
    """How long must a canary run? Equal allocation as in the textbook, then the real split."""
    from seatrial.stats.power import proportion_variance, units_needed
    from seatrial.stats.samplesize import canary_units, effective_size

    rate, part = calc_input.fraction(baseline, "--baseline"), calc_input.fraction(share, "--share")
    target, daily = calc_input.changed(rate, effect), calc_input.per_day(traffic)
    level, chance = calc_input.fraction(alpha, "--alpha"), calc_input.fraction(power, "--power")
    factor = calc_input.design_effect(design_effect, per_unit, icc)
    if chance <= level:
        raise UsageError(
            "ST0248", f"--power {power} is not above --alpha {alpha}: a coin that ignores the data does as well.",
            remedy="e.g. --power 80% --alpha 0.05",
        )  # fmt: skip
    v_1, v_2 = proportion_variance(rate, log=False), proportion_variance(target, log=False)

    def needed(ratio: float) -> float:
        return canary_units(
            target - rate, v_2, v_1,
            ratio=ratio, alpha=level, power=chance, sides=2 if sides == 2 else 1, design_effect=factor,
        )  # fmt: skip

    equal, real = needed(1.0), needed((1 - part) / part)
    watched = units_needed(
        target - rate, v_2, v_1, part, design_effect=factor, alpha=level / sides, power=chance
    )  # fmt: skip
    document = {
        "canary_units_equal": math.ceil(equal),
        "days_equal": equal / (part * daily),
        "canary_units": math.ceil(real),
        "days": real / (part * daily),
        "champion_units": math.ceil(real * (1 - part) / part),
        "practical_days": 7 * max(1, math.ceil(real / (part * daily) / 7)),
        "days_every_look": watched / daily,
        "canary_units_a_day": part * daily,
        "effective_units_a_day": effective_size(part * daily, factor),
        "rate_1": rate,
        "rate_2": target,
        "share": part,
        "power": chance,
        "alpha": level,
        "sides": sides,
        "design_effect": factor,
    }
    say("power", document, as_json)


@app.command("srm")
def srm(
    counts: Annotated[str, typer.Option(metavar="A,B", help="Units first seen in each arm, champion first.")],
    shares: Annotated[str, typer.Option(metavar="A,B", help="Their planned shares, e.g. 90%,10%.")],
    as_json: output.Json = False,
) -> None:
    """Are the units split as planned? Chi-square for one look, and seatrial's e-value, which holds at every look."""
    from seatrial.stats import srm as stats
    from seatrial.stats.counts import conditional_binomial_p

    seen, planned = calc_input.split(counts, shares)
    chi_square = stats.chi_square_split(seen, planned)
    two = len(seen) == 2
    log_e = stats.sample_ratio_log_e(seen[1], sum(seen), planned[1]) if two else stats.multinomial_log_e(seen, planned)
    total = sum(seen)
    document = {
        "chi_square": chi_square.statistic,
        "freedom": chi_square.freedom,
        "p_value": chi_square.p_value,
        "exact_p_value": conditional_binomial_p(seen[1], total, planned[1]) if two else None,
        "e_value": math.exp(log_e) if log_e < 700 else None,
        "log_e_value": log_e,
        "e_method": "shared odds" if two else "dirichlet-multinomial",
        "alarm_at": stats.ALARM,
        "alarm": stats.alarms(log_e),
        "counts": seen,
        "shares": planned,
        "observed_shares": [n / total for n in seen] if total else None,
    }
    say("srm", document, as_json)


@app.command("interval")
def interval(
    x: Annotated[int | None, _count("Successes.")] = None,
    n: Annotated[int | None, _count("Trials.")] = None,
    x1: Annotated[int | None, _count("Successes of the champion.")] = None,
    n1: Annotated[int | None, _count("Trials of the champion.")] = None,
    x2: Annotated[int | None, _count("Successes of the canary.")] = None,
    n2: Annotated[int | None, _count("Trials of the canary.")] = None,
    method: Annotated[
        Literal["wilson", "exact", "newcombe", "score"] | None,
        typer.Option(help="Of one rate: wilson or exact; of a difference: newcombe or score (Miettinen-Nurminen)."),
    ] = None,
    alpha: Alpha = "0.05",
    as_json: output.Json = False,
) -> None:
    """The interval of one rate (--x, --n), or of canary minus champion (--x1, --n1, --x2, --n2)."""
    level = calc_input.fraction(alpha, "--alpha")
    one, two = (x, n), (x1, n1, x2, n2)
    if x is not None and n is not None and two == (None,) * 4 and method in (None, "wilson", "exact"):
        document = _of_one(x, n, method or "wilson", level)
    elif one == (None, None) and None not in two and method in (None, "newcombe", "score"):
        document = _of_two(x1 or 0, n1 or 0, x2 or 0, n2 or 0, method or "newcombe", level)
    else:
        raise UsageError(
            "ST0247", "an interval of what? These options do not belong together.",
            remedy="--x 37 --n 500 with --method wilson or exact, or "
            "--x1 400 --n1 5000 --x2 37 --n2 500 with --method newcombe or score.",
        )  # fmt: skip
    say("interval", document, as_json)


def _of_one(x: int, n: int, method: str, alpha: float) -> dict[str, Any]:
    from seatrial.stats.counts import bernoulli_bounds
    from seatrial.stats.intervals import clopper_pearson_interval, wilson_interval

    calc_input.successes(x, n)
    found = (wilson_interval if method == "wilson" else clopper_pearson_interval)(x, n, alpha)
    always = bernoulli_bounds(x, n, alpha=alpha, planned_n=n)
    return {
        "of": "rate", "estimate": x / n, "interval": list(found), "method": method, "alpha": alpha,
        "always_valid": list(always), "always_valid_method": "beta-binomial mixture",
    }  # fmt: skip


def _of_two(x1: int, n1: int, x2: int, n2: int, method: str, alpha: float) -> dict[str, Any]:
    from seatrial.stats.exact import smallest_expected
    from seatrial.stats.intervals import newcombe_interval, score_interval
    from seatrial.stats.sequences import mixture_width

    arms = (*calc_input.successes(x2, n2, "2"), *calc_input.successes(x1, n1, "1"))
    found = (newcombe_interval if method == "newcombe" else score_interval)(*arms, alpha)
    p_1, p_2 = x1 / n1, x2 / n2
    reach = mixture_width(1.0, 1.0, alpha) * math.sqrt(p_1 * (1 - p_1) / n1 + p_2 * (1 - p_2) / n2)
    enough = smallest_expected(*arms) >= calc_text.ENOUGH
    return {
        "of": "difference", "estimate": p_2 - p_1, "interval": list(found), "method": method, "alpha": alpha,
        "always_valid": [p_2 - p_1 - reach, p_2 - p_1 + reach] if enough else None,
        "always_valid_method": "normal mixture",
    }  # fmt: skip


way_home.add_to(app)
drift.add_to(app)
