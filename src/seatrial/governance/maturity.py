"""How far the way from training to users is automated: a level from 0 to 3, by practices that leave evidence.

==  =======================================================================================================
0   by hand: versions are put into service as somebody sees fit
1   repeatable: what serves is known by code, data and model, and was tested by machines
2   delivered by rule: plans decide releases on evidence, and the way home is rehearsed
3   closed loop: what becomes of predictions is measured, and triggers train, test and release anew
==  =======================================================================================================

A level is reached with all its practices and those below it; half of a practice is none, because the model without it
is the one that fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Level = Literal[0, 1, 2, 3]
NAMES: Final = ("by hand", "repeatable", "delivered by rule", "closed loop")


@dataclass(frozen=True, slots=True)
class Practice:
    """``having``: models that follow it; ``lacking``: those that do not. ``remedy``: how to begin, as a command."""

    name: str
    level: Literal[1, 2, 3]
    what: str
    having: tuple[str, ...]
    lacking: tuple[str, ...]
    remedy: str

    @property
    def found(self) -> bool:
        """Of every model, and of at least one."""
        return bool(self.having) and not self.lacking

    @property
    def evidence(self) -> str:
        """What was seen, in a sentence."""
        total = len(self.having) + len(self.lacking)
        if not total:
            return f"{self.what}: no model is in service"
        told = f"{self.what}: {len(self.having)} of {total} models"
        return f"{told}, not {', '.join(self.lacking[:3])}{' ...' * (len(self.lacking) > 3)}" if self.lacking else told


@dataclass(frozen=True, slots=True)
class Maturity:
    """``improvements``: the two missing practices that raise the level most."""

    level: Level
    practices: tuple[Practice, ...]
    improvements: tuple[Practice, ...]


def judge(practices: Sequence[Practice]) -> Maturity:
    """The level, and what to do next.

    A missing practice of a lower level holds back all levels above it, so the lowest ones come first; among those of
    one level, the one that fewest models lack, which is done soonest.
    """
    missing = sorted((p for p in practices if not p.found), key=lambda p: (p.level, len(p.lacking)))
    level: Level = 3
    if missing:
        level = {1: 0, 2: 1, 3: 2}[missing[0].level]  # type: ignore[assignment]  # a level less than the lowest missing
    return Maturity(level, tuple(practices), tuple(missing[:2]))


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a version of such a model is best brought to users, and why."""

    first: str
    then: str
    why: str


STRATEGIES: Final = {
    "ordinary": Strategy(
        "canary", "blue-green where all it can break is seen at once",
        "a mistake can be made good, so a few per cent of the units, measured, are enough",
    ),
    "immediate": Strategy(
        "shadow", "canary",
        "each decision acts at once: what it would decide is compared before it decides, then few units feel it; "
        "blue-green lets everybody feel it first",
    ),
    "irreversible": Strategy(
        "shadow", "a small canary with an approval at each step",
        "no rollback takes a decision back, so as few as possible are made before the evidence is there; never "
        "blue-green",
    ),
    "clinical": Strategy(
        "shadow", "canary by site or reader, each step by named people",
        "patients are not randomised one by one, and nobody is treated by what was not compared; never blue-green",
    ),
}  # fmt: skip
"""By the impact of a model's decisions (``seatrial model safety --impact``)."""
