"""Every kind of release that is simulated. Margins are what the traffic can tell by its end, unless said."""

from __future__ import annotations

import math

from benchmarks.calibration.errors import Failing
from benchmarks.calibration.ramp import Ramp
from benchmarks.calibration.split import Split
from benchmarks.calibration.strikes import Struck
from benchmarks.calibration.traffic import Schedule
from benchmarks.calibration.verdict import Cell

STAGES = ((0.01, 2.0), (0.10, 2.0), (0.25, 2.0), (0.50, 2.0))
WAITING = (*STAGES[:-1], (0.50, 4.0))
"""The same, with two more days in which it may be promoted at every look."""

PATIENT = ((0.01, 8.0), *WAITING[1:])
"""A first stage of eight days: most of a later canary was the champion's for longer than it has been its own."""

LARGE = 2_000_000


def _week(share: float, *, looks: int = 200) -> Schedule:
    return Schedule(((share, 7.0),), looks=looks)


RAMPS: tuple[Ramp, ...] = (
    Ramp("s1k", "1,000 units, 10% for a week: 100 canary units", 1_000, _week(0.10), 0.40, (0.30,)),
    Ramp("tiny", "10,000 units, 1% for a week: 100 canary units", 10_000, _week(0.01), 0.40, (0.30,)),
    Ramp("s10k", "10,000 units, 10% for a week", 10_000, _week(0.10), 0.16, (0.10,)),
    Ramp("t10", "50,000 units, 10% for a week", 50_000, _week(0.10), 0.073, (0.03, 0.10)),
    Ramp("t25", "50,000 units, 25% for a week", 50_000, _week(0.25), 0.051, (0.03,)),
    Ramp("staged", "50,000 units; 1, 10, 25, 50%, two days each", 50_000, Schedule(STAGES), 0.051, (0.10,)),
    Ramp("L10", "2 million units, 10% for a week", LARGE, _week(0.10), 0.0119, (0.01, 0.03), gaussian=True),
    Ramp("L25", "2 million units, 25% for a week", LARGE, _week(0.25), 0.0084, (0.01,), gaussian=True),
    Ramp("Lstaged", "2 million units; 1, 10, 25, 50%", LARGE, Schedule(STAGES), 0.0092, (0.01,), gaussian=True),
    Ramp(
        "LstagedTrend",
        "the same while the click rate rises by 10%",
        LARGE,
        Schedule(STAGES, trend=0.10),
        0.0092,
        (0.01,),
        gaussian=True,
    ),
    Ramp(
        "overrun",
        "L10 with twice the margin: four times the planned information comes",
        LARGE,
        _week(0.10, looks=100),
        0.0238,
        gaussian=True,
    ),
    Ramp(
        "plan x0.5",
        "L10 with half the information planned",
        LARGE,
        _week(0.10, looks=100),
        0.0119 * math.sqrt(2),
        (0.01,),
        gaussian=True,
    ),
    Ramp(
        "plan x2",
        "L10 with twice the information planned",
        LARGE,
        _week(0.10, looks=100),
        0.0119 / math.sqrt(2),
        (0.01,),
        gaussian=True,
    ),
    Ramp("three", "t10 with three correlated guardrails", 50_000, _week(0.10, looks=100), 0.073, (0.10,), "three"),
    Ramp(
        "late",
        "t10 for nine days; labels of the canary are written sooner",
        50_000,
        Schedule(((0.10, 9.0),), looks=90),
        0.08,
        (0.10,),
        "late",
    ),
    Ramp("revenue", "t10, value of orders, heavy tail", 50_000, _week(0.10, looks=100), 0.18, (0.10,), "revenue"),
    Ramp("capped", "the same, orders capped", 50_000, _week(0.10, looks=100), 0.12, (0.10,), "capped revenue"),
)

OTHERS: tuple[Cell, ...] = (
    Failing(
        "failing units",
        "20,000 units on a ramp, 0.5% of them fail at every visit; margin 1pp",
        20_000,
        Schedule(WAITING, looks=30),
        0.005,
        0.01,
    ),
    Failing(
        "sporadic errors",
        "20,000 units on a ramp that begins slowly, errors now and then, in two days to 0.5% of the units; margin 1pp",
        20_000,
        Schedule(PATIENT, looks=48, exposures=16),
        0.005,
        0.01,
        every_visit=False,
    ),
    Split("sample ratio", "60,000 units on a ramp; alpha .001", 60_000, Schedule(STAGES, looks=40), (0.10,)),
    Struck(
        "two strikes",
        "50,000 units, 10% and 50% by the real decisions; a fault of 30% at first",
        50_000,
        ((0.10, 2.0), (0.50, 2.0)),
        0.06,
        Schedule(((0.10, 12.0),), looks=36, exposures=17),
    ),
)

CELLS: dict[str, Cell] = {cell.name: cell for cell in (*RAMPS, *OTHERS)}
