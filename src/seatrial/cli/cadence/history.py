"""A backtest that the user's own command runs: which options it has, and the history that it goes through."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli import amounts, output
from seatrial.cli.cadence import given
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.control.analyses.backtests import Command, Scored
    from seatrial.retrain.backtest import Period
    from seatrial.retrain.policy import Training

_PANEL = "History run again"

Run = Annotated[
    str | None,
    typer.Option(metavar="COMMAND", help="Trains and scores for a cut-off, as told in its environment.",
                 rich_help_panel=_PANEL),
]  # fmt: skip
Since = Annotated[str | None, typer.Option("--from", metavar="TIME", help="The first cut-off.", rich_help_panel=_PANEL)]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="The end of the last period.", rich_help_panel=_PANEL)
]
Timeout = Annotated[str, typer.Option(metavar="DURATION", help="Of each training.", rich_help_panel=_PANEL)]
Keep = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write what was trained on which rows, and each loss (CSV).",
                 rich_help_panel=_PANEL),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """A command and the stretch of time that it is asked about."""

    command: Command
    since: datetime
    until: datetime

    def periods(self, every: timedelta) -> tuple[Period, ...]:
        """Raises UsageError (ST1352) for a stretch that has none, or far too many."""
        from seatrial.retrain.backtest import periods

        try:
            return periods(self.since, self.until, every)
        except ValueError as error:
            raise UsageError("ST1352", f"{error}.", remedy="Move --from or --until.") from None


def history(run: str, since: str | None, until: str | None, timeout: str) -> History:
    """Raises UsageError (ST1352, ST1353) for what is missing or not understood."""
    from seatrial.control.analyses.backtests import Command

    if since is None or until is None:
        raise UsageError("ST1352", "--run: through which history?", remedy="e.g. --from 2026-01-01 --until 2026-07-01")
    try:
        arguments = tuple(shlex.split(run))
    except ValueError as error:
        raise UsageError("ST1353", f"--run: {error}.", remedy="Quote the command as in a shell.") from None
    if not arguments:
        raise UsageError("ST1353", "--run: no command.", remedy="e.g. --run 'python train.py'")
    command = Command(arguments, 86_400 * given.days("--timeout", timeout), output.note)
    return History(command, given.moment("--from", since), given.moment("--until", until))


def training(text: str) -> Training:
    """``60d`` slides, ``all`` expands, ``decay:60d`` halves the weight of a row with every 60 days."""
    from seatrial.retrain.policy import Training
    from seatrial.values import Duration

    if text == "all":
        return Training(mode="expanding")
    mode, _, length = text.rpartition(":")
    if mode not in ("", "decay"):
        raise UsageError("ST1352", f"--window {text}: no such window.", remedy="60d, all, or decay:60d")
    given.days("--window", length)
    duration = amounts.read("--window", length, Duration.parse, "60d")
    return Training(window=duration, mode="decay" if mode else "sliding")


def keep(path: Path | None, scored: Sequence[tuple[str, Scored]]) -> None:
    """Each as (window, scored)."""
    from seatrial.control.analyses.backtests import HEADER, row

    if path is not None:
        given.write(path, HEADER, [row(one, window) for window, one in scored])
