"""History run again: the user's own command trains at each cut-off and is scored on the periods after it.

The command is told in its environment what it may see, and answers in a file what it saw: an answer with rows from
after the cut-off is refused.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError, UsageError
from seatrial.instants import instant
from seatrial.retrain.backtest import Period
from seatrial.retrain.policy import Training
from seatrial.retrain.window import Span, span

_SHOWN = 5
"""Last lines of a command that failed that are shown."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A model and what it lost in one period. ``known``: when the latest outcome it was trained on became known."""

    span: Span
    rows: int
    last: datetime
    known: datetime
    period: Period
    loss: float

    @property
    def age_hours(self) -> float:
        """Of the model in the middle of the period: a period of 7 days right after training is 84 hours old."""
        return (self.period.start + (self.period.end - self.period.start) / 2 - self.span.cutoff) / timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Command:
    """``arguments``: program and arguments, without a shell. ``timeout_s``: of each training."""

    arguments: tuple[str, ...]
    timeout_s: float
    said: Callable[[str], None] = lambda _: None

    def backtest(self, training: Training, asked: Iterable[tuple[datetime, Period]]) -> tuple[Scored, ...]:
        """One training for each cut-off, scored on all of its periods; periods without a loss are left out.

        Raises UsageError (ST1353) for a program that is not there, SeatrialError (ST1354) for one that fails or takes
        too long, (ST1355) for an answer that cannot be read, (ST1356) for rows from after the cut-off.
        """
        by_cutoff: dict[datetime, set[Period]] = {}
        for cutoff, period in asked:
            by_cutoff.setdefault(cutoff, set()).add(period)
        found: list[Scored] = []
        for number, (cutoff, periods) in enumerate(sorted(by_cutoff.items()), start=1):
            self.said(f"training {number} of {len(by_cutoff)}: until {cutoff:%Y-%m-%d %H:%M}")
            found += self._train(span(training, cutoff), sorted(periods))
        return tuple(found)

    def _train(self, over: Span, periods: Sequence[Period]) -> list[Scored]:
        with tempfile.TemporaryDirectory(prefix="seatrial-backtest-") as scratch:
            result = Path(scratch) / "result.json"
            told = {
                "SEATRIAL_TRAIN_FROM": "" if over.start is None else over.start.isoformat(),
                "SEATRIAL_TRAIN_UNTIL": over.cutoff.isoformat(),
                "SEATRIAL_PERIODS": json.dumps([[p.start.isoformat(), p.end.isoformat()] for p in periods]),
                "SEATRIAL_RESULT": str(result),
            }
            self._run(told, over)
            return _answer(result, over, periods)

    def _run(self, told: dict[str, str], over: Span) -> None:
        name = self.arguments[0]
        try:
            done = subprocess.run(
                self.arguments, env={**os.environ, **told}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=self.timeout_s, check=False,
            )  # fmt: skip
        except (FileNotFoundError, PermissionError) as error:
            raise UsageError(
                "ST1353", f"--run '{name}' cannot be started: {error.strerror}.", remedy="Give a program and arguments."
            ) from None
        except subprocess.TimeoutExpired:
            raise SeatrialError(
                "ST1354", f"'{name}' did not end within {self.timeout_s:g} s for {over.cutoff.isoformat()}.",
                remedy="Give it longer with --timeout.",
            ) from None  # fmt: skip
        if done.returncode:
            last = " | ".join(done.stdout.decode(errors="replace").strip().splitlines()[-_SHOWN:])
            raise SeatrialError(
                "ST1354", f"'{name}' ended with {done.returncode} for {over.cutoff.isoformat()}: {last}",
                remedy="Run it by hand with SEATRIAL_TRAIN_UNTIL set to that.",
            )  # fmt: skip


def _answer(path: Path, over: Span, periods: Sequence[Period]) -> list[Scored]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows, losses = int(found["rows"]), [None if x is None else float(x) for x in found["losses"]]
        first, last, known = (_moment(found[name]) for name in ("first", "last", "known"))
        if len(losses) != len(periods) or any(x is not None and not math.isfinite(x) for x in losses):
            raise ValueError(
                f"it has losses of {len(losses)} periods, finite or null, and {len(periods)} were asked for"
            )
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise SeatrialError(
            "ST1355", f"the command's answer for {over.cutoff.isoformat()} cannot be read: {reason}.",
            remedy='To $SEATRIAL_RESULT it writes {"losses": [...], "rows": n, "first": .., "last": .., "known": ..}.',
        ) from None  # fmt: skip
    _in_time(over, first, last, known)
    return [Scored(over, rows, last, known, period, loss)
            for period, loss in zip(periods, losses, strict=True) if loss is not None]  # fmt: skip


def _in_time(over: Span, first: datetime, last: datetime, known: datetime) -> None:
    """Raises SeatrialError (ST1356) unless everything happened in the span and was known before its end."""
    late = {"last": last, "known": known}
    wrong = [f"{name} is {at.isoformat()}" for name, at in late.items() if at >= over.cutoff]
    if over.start is not None and first < over.start:
        wrong.append(f"first is {first.isoformat()}, before {over.start.isoformat()}")
    if wrong:
        raise SeatrialError(
            "ST1356", f"the model of {over.cutoff.isoformat()} was trained on rows outside its window: "
            f"{'; '.join(wrong)}.",
            remedy="Train on rows that happened, and whose outcome was known, before SEATRIAL_TRAIN_UNTIL.",
        )  # fmt: skip


def _moment(text: Any) -> datetime:
    return instant(str(text))


HEADER = (
    "cutoff",
    "train_from",
    "train_last",
    "train_known",
    "train_rows",
    "period",
    "age_hours",
    "window_days",
    "loss",
)


def row(one: Scored, window: str) -> tuple[object, ...]:
    """A line of the table that is kept, by `HEADER`: what was trained on what, and its loss."""
    start = "" if one.span.start is None else one.span.start.isoformat()
    return (one.span.cutoff.isoformat(), start, one.last.isoformat(), one.known.isoformat(), one.rows,
            one.period.start.isoformat(), f"{one.age_hours:g}", window, repr(one.loss))  # fmt: skip
