"""``seatrial cadence window``: on how much history to train, by backtest."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.cadence import given, history
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.retrain.window import Choice

Losses = dict[float, dict[str, float]]


def window(
    backtest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV of period,window_days,loss; a window of `all` there is."),
    ] = None,
    run: history.Run = None,
    windows: Annotated[
        list[str] | None,
        typer.Option("--window", metavar="DURATION|all", help="A candidate; repeat it.",
                     rich_help_panel="History run again"),
    ] = None,
    since: history.Since = None,
    until: history.Until = None,
    every: Annotated[
        str, typer.Option(metavar="DURATION", help="Between trainings.", rich_help_panel="History run again")
    ] = "7d",
    timeout: history.Timeout = "1h",
    keep: history.Keep = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0, metavar="LOSS", help="What may be lost: a larger loss has to be excluded."),
    ] = None,
    season: Annotated[
        str | None, typer.Option(metavar="DURATION", help="The longest cycle; shorter windows are warned of.")
    ] = None,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """The shortest training window that is not significantly worse than the best, by losses paired by period."""
    from seatrial.retrain.window import choose

    if (backtest is None) == (run is None):
        raise UsageError("ST1350", "losses of which windows?", remedy="--backtest FILE, or --run COMMAND")
    if run is not None:
        of = history.history(run, since, until, timeout)
        losses = _again(of, windows or [], timedelta(days=given.days("--every", every)), keep)
    else:
        losses = _from_file(backtest or Path())
    try:
        found = choose(losses, margin)
    except ValueError as error:
        raise UsageError("ST1350", f"{error}.", remedy="At least two windows, in the same three periods.") from None
    document = _document(found, margin, None if season is None else given.days("--season", season))
    if as_json:
        output.data(document)
    else:
        _tell(document)


def _from_file(path: Path) -> Losses:
    losses: Losses = {}
    for row in given.rows(path, ("period", "window_days", "loss"), "period,window_days,loss"):
        try:
            days, loss = (math.inf if row["window_days"] == "all" else float(row["window_days"])), float(row["loss"])
            if not (days > 0 and math.isfinite(loss)):
                raise ValueError(f"period {row['period']}: a window is longer than nothing, and a loss finite")
        except ValueError as error:
            raise UsageError("ST1350", f"'{path}': {error}.", remedy="Days, or all; losses as numbers.") from None
        if row["period"] in losses.setdefault(days, {}):
            raise UsageError("ST1350", f"'{path}': period {row['period']} has two losses of one window.",
                             remedy="One row for each period and window.")  # fmt: skip
        losses[days][row["period"]] = loss
    return losses


def _again(of: history.History, windows: list[str], every: timedelta, keep: Path | None) -> Losses:
    """Every candidate trained at every cut-off, and scored until the next one."""
    from seatrial.retrain.backtest import trained

    trainings = [history.training(text) for text in windows]
    if any(one.mode == "decay" for one in trainings):
        raise UsageError("ST1352", "a window that decays has no length to choose by.",
                         remedy="Candidates are durations, or all.")  # fmt: skip
    asked = list(trained(of.periods(every), every))
    losses: Losses = {}
    scored = []
    for training in trainings:
        days = math.inf if training.window is None else training.window.seconds / 86_400
        found = of.command.backtest(training, asked)
        scored += [("all" if math.isinf(days) else f"{days:g}", one) for one in found]
        losses[days] = {one.period.start.isoformat(): one.loss for one in found}
    history.keep(keep, scored)
    return losses


def _document(found: Choice, margin: float | None, season: float | None) -> dict[str, Any]:
    short = season is not None and found.chosen < season
    return {
        "schema": "seatrial.training-window.v1",
        "periods": found.periods,
        "window_days": _days(found.chosen),
        "best_days": _days(found.best),
        "margin": margin,
        "season_days": season,
        "warning": f"{_name(found.chosen)} are shorter than one season, {season:g} d" if short else None,
        "windows": [
            {
                "window_days": _days(one.days),
                "loss": one.loss,
                "difference": None if one.worse is None else one.worse.mean,
                "interval": None if one.worse is None else list(one.worse.interval),
                "enough": one.enough,
            }
            for one in found.candidates
        ],
    }


def _tell(d: dict[str, Any]) -> None:
    from seatrial.cli.tables import table

    allowed = "not significantly worse" if d["margin"] is None else f"surely not worse by more than {d['margin']:g}"
    output.text(f"Train on {_name(d['window_days'])}: the shortest that is {allowed} than the best, over "
                f"{d['periods']} periods.")  # fmt: skip
    if d["warning"]:
        output.text(f"⚠ ST1357 {d['warning']}")
    output.text("")
    headers = ("WINDOW", "LOSS", "ABOVE THE BEST", "95%", "")
    rows = [(_name(one["window_days"]), f"{one['loss']:.5g}", *_worse(one), "✔" if one["enough"] else "✖")
            for one in d["windows"]]  # fmt: skip
    output.show(table(headers, rows, right=headers[:4]))


def _worse(one: dict[str, Any]) -> tuple[str, str]:
    if one["interval"] is None:
        return "the best", ""
    low, high = one["interval"]
    return f"{one['difference']:+.4g}", f"[{low:+.4g}, {high:+.4g}]"


def _days(days: float) -> float | str:
    return "all" if math.isinf(days) else days


def _name(days: float | str) -> str:
    return "all there is" if days in ("all", math.inf) else f"{days:g} d"
