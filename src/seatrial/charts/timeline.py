"""What every picture over time shares: the periods between moves, the moves themselves, and the time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import altair as alt

from seatrial.charts.style import AXIS_EXTENT, GREEN, INK, VERMILLION, Row
from seatrial.rollout.verdicts import Decision

MOVES: Final = ("advance", "step_back", "abort", "promote")
ENDS: Final = frozenset({"abort", "promote"})
_NAMES: Final = ("advance", "step back", "abort", "promote")
_STAR: Final = "M0,-1L0.24,-0.31L0.95,-0.31L0.37,0.12L0.59,0.81L0,0.4L-0.59,0.81L-0.37,0.12L-0.95,-0.31L-0.24,-0.31Z"
_X: Final = "M-.8,-.55L-.55,-.8L0,-.25L.55,-.8L.8,-.55L.25,0L.8,.55L.55,.8L0,.25L-.55,.8L-.8,.55L-.25,0Z"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_STEPS: Final = (
    *(timedelta(minutes=m) for m in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)),
    *(timedelta(days=d) for d in (1, 2, 4, 7, 14, 28, 91, 364)),
)
MOST_TICKS: Final = 9
_SHAPES: Final = ("triangle-up", "triangle-down", _X, _STAR)
_COLOURS: Final = (INK, VERMILLION, VERMILLION, GREEN)
TAIL: Final = 0.05
"""Share of the time span that the state after the last move is drawn on for, or it would have no width."""


@dataclass(frozen=True, slots=True)
class Period:
    """A span of one split, between two moves. ``weight`` and ``mirrored`` are out of 10,000."""

    start: datetime
    end: datetime
    name: str
    phase: int
    weight: int
    mirrored: int

    @property
    def short(self) -> str:
        """``canary 25%`` -> ``25%``."""
        return self.name.rpartition(" ")[2]


def span(decisions: Sequence[Decision]) -> tuple[datetime, datetime]:
    """The time axis: from the first decision to the last, and a little more once the rollout is over."""
    if not decisions:
        raise ValueError("a rollout without decisions has no time axis")
    first, last = decisions[0].at, decisions[-1].at
    last = max(last, first + timedelta(minutes=1))
    over = decisions[-1].action in ENDS
    return first, last + (last - first) * TAIL if over else last


def periods(decisions: Sequence[Decision]) -> tuple[Period, ...]:
    """The splits in order. A decision names the split that holds after it."""
    _, end = span(decisions)
    changes = [d for i, d in enumerate(decisions) if i == 0 or d.phase != decisions[i - 1].phase]
    ends = [d.at for d in changes[1:]] + [end]
    return tuple(
        Period(d.at, until, d.stage_name, d.phase, d.weight, d.mirrored) for d, until in zip(changes, ends, strict=True)
    )


def judged_in(decisions: Sequence[Decision], index: int) -> int:
    """The phase whose evidence decision ``index`` judged: the one before it, where it moved."""
    return decisions[max(index - 1, 0)].phase


def pixels(period: Period, decisions: Sequence[Decision], width: int) -> float:
    """How wide a period is drawn."""
    start, end = span(decisions)
    return width * ((period.end - period.start) / (end - start))


def iso(time: datetime) -> str:
    """A time as Vega reads it without asking where it runs: milliseconds since the epoch would do as well."""
    return time.isoformat()


def time_axis(decisions: Sequence[Decision]) -> alt.X:
    """The shared x of pictures of one rollout."""
    return axis_between(*span(decisions))


def axis_between(start: datetime, end: datetime, field: str = "at:T") -> alt.X:
    """Event time in UTC, with ticks at whole hours or days."""
    step = next((s for s in _STEPS if (end - start) / s <= MOST_TICKS), _STEPS[-1])
    first = _EPOCH + -((_EPOCH - start) // step) * step
    ticks = [first + i * step for i in range(int((end - first) / step) + 1)]
    return alt.X(
        field,
        title=f"event time (UTC), {start:{'%Y' if step >= _DAY else '%-d %b %Y'}}",
        scale=alt.Scale(type="utc", domain=[iso(start), iso(end)], nice=False),
        axis=alt.Axis(
            grid=False, values=[iso(t) for t in ticks], format=_format(step, end - start), labelOverlap="greedy"
        ),
    )


def _format(step: timedelta, length: timedelta) -> str:
    if step >= _DAY:
        return "%-d %b"
    return "%-d %b %H:%M" if length > _DAY else "%H:%M"


def value_axis(label: str | None = None, values: Sequence[float] | None = None) -> alt.Axis:
    """The shared y axis, of one width in all pictures over time; ``label`` is a Vega expression."""
    axis = alt.Axis(minExtent=AXIS_EXTENT, domain=False, ticks=False, labelPadding=8, tickCount=5)
    if label is not None:
        axis.labelExpr = label
    if values is not None:
        axis.values = list(values)
    return axis


def move_rows(decisions: Sequence[Decision]) -> list[Row]:
    """One row a move, for :func:`move_marks`."""
    return [
        {"at": iso(d.at), "move": _NAMES[MOVES.index(d.action)], "reason": d.reason}
        for d in decisions
        if d.action in MOVES
    ]


def move_scales(rows: Sequence[Row]) -> tuple[alt.Scale, alt.Scale]:
    """Colour and shape of the moves that occur."""
    present = {row["move"] for row in rows}
    kept = [i for i, name in enumerate(_NAMES) if name in present]
    names = [_NAMES[i] for i in kept]
    return (
        alt.Scale(domain=names, range=[_COLOURS[i] for i in kept]),
        alt.Scale(domain=names, range=[_SHAPES[i] for i in kept]),
    )
