"""What became of the units of a rollout by one horizon, by the arm of their first exposure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seatrial.evidence.tally import Tally
from seatrial.ids import Arm


@dataclass(frozen=True, slots=True)
class CohortCount:
    """Units of one arm whose first exposure was on one day of the canary (from 1), and how many have matured."""

    day: int
    arm: Arm
    units: int
    matured: int


@dataclass(frozen=True)
class FollowUp:
    """One metric of one rollout, by intention to treat: a unit is its first arm's, whatever it met afterwards.

    ``tally``: units with a value, their sums, in the stratum of their first exposure; ``missing``: mature units without
    a value (in ``tally`` only where the metric counts them). ``crossed``: mature units that met the other version
    within their horizon; ``after``: mature units that met it after the rollout was over.
    """

    tally: Tally = field(default_factory=Tally)
    cohorts: tuple[CohortCount, ...] = ()
    missing: Mapping[Arm, int] = field(default_factory=dict)
    crossed: Mapping[Arm, int] = field(default_factory=dict)
    after: Mapping[Arm, int] = field(default_factory=dict)

    def units(self, arm: Arm) -> int:
        """Units of an arm that were first exposed during the canary."""
        return sum(cohort.units for cohort in self.cohorts if cohort.arm == arm)

    def matured(self, arm: Arm) -> int:
        """Those whose horizon has passed."""
        return sum(cohort.matured for cohort in self.cohorts if cohort.arm == arm)


@dataclass(frozen=True)
class Reach:
    """Units that have met the candidate at all, and how many a day do so lately (mean of the last seven days)."""

    exposed: int = 0
    daily: float = 0.0
