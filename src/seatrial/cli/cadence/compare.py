"""``seatrial cadence compare``: what training more seldom saves, and what it loses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.cadence import given, history
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.retrain.backtest import Paired


def compare(
    shorter: Annotated[str, typer.Argument(metavar="SHORTER", help="An interval, e.g. 1h.")],
    longer: Annotated[str, typer.Argument(metavar="LONGER", help="Another, e.g. 4h.")],
    cost: given.Cost,
    staleness: Annotated[
        float | None,
        typer.Option(min=0, metavar="MONEY", help="What an hour costs for each hour of the model's age, if known."),
    ] = None,
    backtest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV of period,age_hours,loss: what models of each age lost in each period."),
    ] = None,
    run: history.Run = None,
    since: history.Since = None,
    until: history.Until = None,
    window: Annotated[
        str,
        typer.Option(metavar="DURATION|all|decay:DURATION", help="What each model is trained on.",
                     rich_help_panel="History run again"),
    ] = "all",
    timeout: history.Timeout = "1h",
    keep: history.Keep = None,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """What training more seldom saves, and from which staleness on it is no saving; measured by a backtest."""
    from seatrial.retrain import cadence

    hours = (24 * given.days("SHORTER", shorter), 24 * given.days("LONGER", longer))
    each = given.money("--cost", cost)
    try:
        found = cadence.compare(each, hours)
    except ValueError as error:
        raise UsageError("ST0389", f"{shorter} and {longer}: {error}.", remedy="e.g. cadence compare 1h 4h") from None
    if backtest is not None and run is not None:
        raise UsageError("ST1350", "--backtest is what --run measures.", remedy="Give one of them.")
    measured: Paired | None = None
    if backtest is not None:
        measured = _from_file(backtest, hours)
    elif run is not None:
        measured = _again(history.history(run, since, until, timeout), hours, window, keep)
    document = {
        "schema": "seatrial.cadence-comparison.v1",
        "intervals_hours": list(hours),
        "runs_per_month": list(found.runs),
        "cost_per_month": [each * runs for runs in found.runs],
        "saved_per_month": found.saved,
        "extra_age_hours": found.extra_age,
        "break_even_per_hour_of_age": found.break_even,
        "staleness_per_hour_of_age": staleness,
        "cheaper": None if staleness is None else shorter if staleness > found.break_even else longer,
        "backtest": None if measured is None else measured.document(),
    }
    if as_json:
        output.data(document)
    else:
        _tell(document, shorter, longer)


def _from_file(path: Path, hours: tuple[float, float]) -> Paired:
    """Paired by period: the mean loss at ages up to each interval."""
    from seatrial.retrain.backtest import paired

    rows = given.rows(path, ("period", "age_hours", "loss"), "period,age_hours,loss")
    try:
        return paired([(row["period"], float(row["age_hours"]), float(row["loss"])) for row in rows], hours)
    except ValueError as error:
        raise UsageError("ST0388", f"'{path}': {error}.", remedy="Every period needs models of both ages.") from None


def _again(of: history.History, hours: tuple[float, float], window: str, keep: Path | None) -> Paired:
    """Trained at both intervals through the history, scored on the same periods, each as long as the shorter one."""
    from seatrial.retrain.backtest import compared, trained

    training = history.training(window)
    short, long = (timedelta(hours=value) for value in hours)
    over = of.periods(short)
    try:
        asked = [pair for every in (short, long) for pair in trained(over, every)]
    except ValueError as error:
        raise UsageError("ST1352", f"{error}.", remedy="The longer interval is a multiple of the shorter.") from None
    scored = of.command.backtest(training, asked)
    history.keep(keep, [(window, one) for one in scored])
    try:
        return compared(over, {(one.span.cutoff, one.period): one.loss for one in scored}, (short, long))
    except ValueError as error:
        raise UsageError("ST1352", f"{error}.", remedy=f"A history of at least three times {long}.") from None


def _tell(d: dict[str, Any], shorter: str, longer: str) -> None:
    often, seldom = d["cost_per_month"]
    output.text(
        f"Every {shorter} ${often:,.0f}/month, every {longer} ${seldom:,.0f}/month: ${d['saved_per_month']:,.0f} less."
    )
    output.text(
        f"A model is then {d['extra_age_hours']:g} h older on average; the shorter interval pays from "
        f"${d['break_even_per_hour_of_age']:,.2f}/h for each hour of age."
    )
    if d["cheaper"]:
        output.text(
            f"At ${d['staleness_per_hour_of_age']:,.2f}/h for each hour of age, every {d['cheaper']} is cheaper."
        )
    if (b := d["backtest"]) is not None:
        low, high = b["interval"]
        sure = (
            "no difference is shown"
            if low <= 0 <= high
            else "the longer is worse"
            if low > 0
            else "the longer is better"
        )
        blocks = "" if b["blocks"] == b["periods"] else f" in {b['blocks']} blocks"
        output.text(
            f"Backtest over {b['periods']} periods{blocks}: loss {b['difference']:+.5g} [{low:+.5g}, {high:+.5g}] at "
            f"the longer interval, paired, 95%: {sure}."
        )
