"""``seatrial calc incident-rate``: are so many incidents more than chance?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from seatrial.cli import output

Period = Literal["day", "week", "month", "year"]


def add_to(app: typer.Typer) -> None:
    app.command("incident-rate")(incident_rate)


def incident_rate(
    count: Annotated[int, typer.Option(min=0, max=10**6, metavar="COUNT", help="Incidents that were seen.")],
    baseline: Annotated[float, typer.Option(min=0, max=1e6, metavar="RATE", help="How many a period are normal.")],
    per: Annotated[Period, typer.Option(help="The period of the baseline.")] = "month",
    periods: Annotated[
        float, typer.Option(min=1e-6, max=1e6, metavar="NUMBER", help="Over how many periods they were seen.")
    ] = 1.0,
    as_json: output.Json = False,
) -> None:
    """How likely are so many incidents or more, if nothing has changed? Poisson, exact, one-sided."""
    from seatrial.stats.rates import poisson_interval, poisson_tail

    expected = baseline * periods
    lower, upper = poisson_interval(count)
    document = {
        "p_value": poisson_tail(count, expected),
        "count": count,
        "expected": expected,
        "per": per,
        "periods": periods,
        "rate": count / periods,
        "rate_interval": [lower / periods, upper / periods],
        "between": periods / count if count else None,
        "between_interval": [periods / upper, periods / lower if lower else None],
        "alpha": 0.05,
        "method": "Poisson, exact, one-sided; interval of Garwood",
    }
    if as_json:
        output.data({"schema": "seatrial.calc-incident-rate.v1", **document, "conclusion": conclusion(document)})
    else:
        output.text(f"{conclusion(document)}\n\n{_figures(document)}\n\np = P(X ≥ {count}), X ~ Poisson({expected:g})")


def conclusion(d: dict[str, Any]) -> str:
    """One sentence."""
    seen = f"{d['count']} where {d['expected']:g} are expected, p = {d['p_value']:.4f}"
    return f"More than chance explains: {seen}." if d["p_value"] < d["alpha"] else f"No more than chance: {seen}."


def _figures(d: dict[str, Any]) -> str:
    low, high = d["rate_interval"]
    rate = f"{d['rate']:.4g} a {d['per']}, 95% interval {low:.4g} to {high:.4g}"
    if d["between"] is None:
        return f"rate                  {rate}"
    soonest, latest = d["between_interval"]
    between = f"{d['between']:.4g} {d['per']}s, 95% interval {soonest:.4g} to {latest:.4g}"
    return f"rate                  {rate}\nmean time between     {between}"
