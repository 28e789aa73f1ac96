"""The steps of a drill, in their order, and which of them may be taken now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from seatrial.errors import Conflict

StepName = Literal["ready", "inject", "detect", "rollback", "verify", "restore"]
STEPS: Final[tuple[StepName, ...]] = get_args(StepName)

Status = Literal["running", "aborted", "passed", "failed"]

ABOUT: Final[dict[StepName, str]] = {
    "ready": "nothing else is going on; who answers, the split and the pointers are written down",
    "inject": "a version that answers every request with an error becomes the canary, at the drill's share",
    "detect": "requests are sent until the gates find it, or the time is up",
    "rollback": "nobody is on the faulty version any more, by Envoy's own word and counters",
    "verify": "the version from before answers, the standby serves, nothing was lost",
    "restore": "the faulty version is archived, and everything is as it was",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a drill has come: the steps that are done, oldest first."""

    drill: str
    status: Status
    done: tuple[StepName, ...] = ()

    @property
    def next(self) -> StepName | None:
        """None when all steps are done, or the drill is over."""
        over = self.status != "running" or len(self.done) == len(STEPS)
        return None if over else STEPS[len(self.done)]

    def require(self, number: int) -> StepName:
        """The step of this number (from 1), if it is its turn. ``Conflict``: no step is skipped or taken twice."""
        if self.next is None:
            raise Conflict("ST0366", f"drill {self.drill} is {self.status}: it has no step {number} left.",
                           remedy="`seatrial drill run` begins another one.")  # fmt: skip
        if number != len(self.done) + 1:
            raise Conflict(
                "ST0366", f"drill {self.drill}: step {number} is not next; step {len(self.done) + 1} ({self.next}) is.",
                remedy="Steps are taken in order, each once; `seatrial drill abort` ends a drill at any of them.",
            )  # fmt: skip
        return self.next


def progress(drill: str, status: Status, done: Sequence[StepName]) -> Progress:
    """Raises ValueError for steps that are not the first ones in their order."""
    if tuple(done) != STEPS[: len(done)]:
        raise ValueError(f"steps of drill {drill} are out of order: {', '.join(done)}")
    return Progress(drill, status, tuple(done))
