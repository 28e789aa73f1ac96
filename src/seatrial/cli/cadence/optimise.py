"""``seatrial cadence optimise``: what a run costs against what a model's age costs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.cadence import given
from seatrial.cli.expression import formula
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.retrain.cadence import Costs, Optimum
    from seatrial.retrain.curve import Curve

_LIMITS, _UNSURE = "What is allowed", "What is not known exactly"
_BINDING = {"min_interval": "--min-interval", "max_interval": "--max-interval", "label_delay": "--label-delay",
            "grid": "whole steps of --every", "curve_end": "the end of the curve"}  # fmt: skip
_SHOWN = (1.0, 2.0, 3.0, 7.0, 14.0, 30.0)
_POINTS = 2_000


def _duration(flag: str, help: str) -> Any:
    return typer.Option(flag, metavar="DURATION", help=help, rich_help_panel=_LIMITS)


def _range(flag: str, help: str) -> Any:
    return typer.Option(flag, metavar="LOW,HIGH", help=help, rich_help_panel=_UNSURE)


def optimise(
    cost: given.Cost,
    loss: Annotated[str, typer.Option(metavar="MONEY/pct-day", help="What a point of decline costs, 1000/pct-day.")],
    degradation: Annotated[
        str | None, typer.Option(metavar="RATE", help="A straight decline: points of per cent, e.g. 0.5%/day.")
    ] = None,
    curve: Annotated[
        str | None,
        typer.Option(metavar="FILE|FORMULA", help="Instead: a CSV of age_days,decline (and lower,upper), "
                     "or a formula of the age t in days with --horizon."),
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Up to which age the formula holds, e.g. 60d.")
    ] = None,
    min_interval: Annotated[str | None, _duration("--min-interval", "Not more often than this.")] = None,
    max_interval: Annotated[str | None, _duration("--max-interval", "Not more seldom than this.")] = None,
    label_delay: Annotated[str | None, _duration("--label-delay", "Until a prediction's outcome is known.")] = None,
    every: Annotated[str | None, _duration("--every", "Only multiples: 1d, or 7d for a weekly window.")] = None,
    cost_range: Annotated[str | None, _range("--cost-range", "Of --cost, e.g. 150,250.")] = None,
    loss_range: Annotated[str | None, _range("--loss-range", "Of --loss, e.g. 800,1500.")] = None,
    degradation_range: Annotated[str | None, _range("--degradation-range", "Of --degradation, e.g. 0.3,0.8.")] = None,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """The interval between runs that costs least, with what it hangs on and how sure it is."""
    from seatrial.retrain.cadence import Costs, Limits, allowed, optimum, uncertain

    costs = Costs(given.money("--cost", cost), amounts.read("--loss", loss, given.per_point_day, "1000/pct-day"))
    declines = _declines(degradation, curve, horizon)
    found = declines[0]
    days = {name: given.days(f"--{name}", text) for name, text in {
        "min-interval": min_interval, "max-interval": max_interval, "label-delay": label_delay, "every": every,
    }.items() if text is not None}  # fmt: skip
    limits = Limits(least=days.get("min-interval", 0.0), most=days.get("max-interval", math.inf),
                    label_delay=days.get("label-delay", 0.0), grid=days.get("every"))  # fmt: skip
    try:
        free, best = optimum(costs, found), allowed(costs, found, limits)
    except ValueError as error:
        raise UsageError("ST0389", f"{error}.", remedy="Loosen a limit, or give a longer curve.") from None
    runs, losses = _ends("--cost-range", cost_range, costs.run), _ends("--loss-range", loss_range, costs.point_day)
    band = [found, *declines[1:], *_rates(degradation_range, degradation)]
    unsure = len(runs) + len(losses) + len(band) > 3
    span = uncertain(runs, losses, band, best.interval) if unsure else None
    document = {
        "schema": "seatrial.cadence-optimum.v1",
        "interval_days": best.interval,
        "interval_hours": 24 * best.interval,
        "cost_per_day": best.cost,
        "binding": list(best.binding),
        "unlimited": {"interval_days": free.interval, "cost_per_day": free.cost},
        "closed_form": found.is_straight,
        "interval_range_days": None if span is None else [span.lower, span.upper],
        "regret_per_day": None if span is None else span.regret,
        "table": _table(costs, found, free, best),
        "run_cost": costs.run,
        "loss_per_point_day": costs.point_day,
    }
    if as_json:
        output.data(document)
    else:
        _tell(document)


def _declines(degradation: str | None, curve: str | None, horizon: str | None) -> list[Curve]:
    """The curve, and the ends of what it may be where a file says them."""
    from seatrial.retrain.curve import straight, through

    if (degradation is None) == (curve is None):
        raise UsageError(
            "ST0388", "how does quality decline?", remedy="--degradation 0.5%/day, or --curve FILE|FORMULA"
        )
    if degradation is not None:
        return [straight(amounts.read("--degradation", degradation, given.rate, "0.5%/day"))]
    text = str(curve)
    if Path(text).suffix == ".csv" or Path(text).is_file():
        return _from_file(Path(text))
    if horizon is None:
        raise UsageError("ST0388", f"--curve '{text}': up to which age?", remedy="A formula needs --horizon, e.g. 60d.")
    end = given.days("--horizon", horizon)
    try:
        at = formula(text)
        ages = [end * i / _POINTS for i in range(_POINTS + 1)]
        return [through([(age, at(age)) for age in ages])]
    except ValueError as error:
        raise UsageError(
            "ST0388", f"--curve: {error}.", remedy="e.g. --curve '3*(1-exp(-t/10))' --horizon 60d"
        ) from None


def _from_file(path: Path) -> list[Curve]:
    from seatrial.retrain.curve import through

    rows = given.rows(path, ("age_days", "decline"), "age_days,decline")
    ends = [name for name in ("lower", "upper") if name in rows[0]]
    try:
        return [through([(float(row["age_days"]), float(row[name])) for row in rows]) for name in ("decline", *ends)]
    except ValueError as error:
        raise UsageError(
            "ST0388", f"'{path}': {error}.", remedy="Ages in days, declines in points of per cent."
        ) from None


def _table(costs: Costs, curve: Curve, free: Optimum, best: Optimum) -> list[dict[str, Any]]:
    intervals = sorted({free.interval, best.interval, *(v for v in _SHOWN if v <= curve.end)})
    return [
        {
            "interval_days": interval,
            "training_per_day": costs.run / interval,
            "staleness_per_day": costs.point_day * curve.lost(interval) / interval,
            "cost_per_day": costs.per_day(curve, interval),
            "extra_per_day": costs.per_day(curve, interval) - free.cost,
        }
        for interval in intervals
    ]


def _tell(d: dict[str, Any]) -> None:
    from seatrial.cli.tables import table

    free = d["unlimited"]
    limited = f"; binding: {', '.join(_BINDING[name] for name in d['binding'])}" if d["binding"] else ""
    output.text(f"Train every {_interval(d['interval_days'])}: ${d['cost_per_day']:,.2f}/day{limited}.")
    if d["interval_days"] != free["interval_days"]:
        extra = d["cost_per_day"] - free["cost_per_day"]
        output.text(f"Without limits {_interval(free['interval_days'])}: ${extra:,.2f}/day less.")
    if d["interval_range_days"]:
        low, high = d["interval_range_days"]
        output.text(
            f"Inputs as unsure as said put the best between {low:.3g} and {high:.3g} d; this choice then costs "
            f"at most ${d['regret_per_day']:,.2f}/day too much."
        )
    output.text("")
    headers = ("EVERY", "TRAINING/DAY", "STALENESS/DAY", "COST/DAY", "ABOVE THE BEST")
    money = ("training_per_day", "staleness_per_day", "cost_per_day", "extra_per_day")
    rows = [(_interval(row["interval_days"]), *(f"${row[part]:,.2f}" for part in money)) for row in d["table"]]
    output.show(table(headers, rows, right=headers[1:]))
    if d["closed_form"]:
        output.text("")
        output.text("T* = √(2K / (L r)), C* = √(2 K L r): K a run, L a point of decline a day, r points a day")


def _interval(days: float) -> str:
    return f"{days:.3g} d" if days >= 1 else f"{days:.3f} d ({24 * days:.2f} h)"


def _ends(option: str, text: str | None, value: float) -> list[float]:
    """The low and the high end around a value, or the value alone."""
    if text is None:
        return [value]
    parts = [given.money(option, part) for part in text.split(",")]
    if len(parts) != 2 or not parts[0] <= value <= parts[1]:
        raise UsageError("ST0389", f"{option} {text}: a low and a high end around {value:g}.", remedy=f"e.g. {option} "
                         f"{value * 0.8:g},{value * 1.2:g}")  # fmt: skip
    return parts


def _rates(text: str | None, degradation: str | None) -> list[Curve]:
    from seatrial.retrain.curve import straight

    if text is None:
        return []
    if degradation is None:
        raise UsageError("ST0389", "--degradation-range is around --degradation.",
                         remedy="A file's curve has columns lower and upper.")  # fmt: skip
    rate = given.rate(degradation)
    scale = rate / float(re.match(rf"\s*{given.NUMBER}", degradation)[1])  # type: ignore[index]
    return [
        straight(end) for end in (scale * v for v in _ends("--degradation-range", text.replace("%", ""), rate / scale))
    ]
