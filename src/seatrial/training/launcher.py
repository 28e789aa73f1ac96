"""What a training run is asked of whoever runs it, and what comes back: the protocol that every launcher fulfils."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Status = Literal["running", "succeeded", "failed", "cancelled", "timed_out", "lost"]
"""``lost``: it began, and nobody can say how it ended (the machine went down, the job is unknown to its cluster)."""

RESULT_FILE = "result.json"
LOG_FILE = "output.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training run. It is made anew from what is stored whenever it is needed; its identity is ``run``.

    ``directory``: the run's own, made by the launcher if it is not there; log, result and artifact lie in it.
    ``environment``: added to what the launcher passes on by itself. ``timeout_s``: seconds from its start.
    """

    run: str
    model: str
    command: tuple[str, ...]
    directory: Path
    timeout_s: float
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def result(self) -> Path:
        """Where the command writes its result; the command knows it as ``SEATRIAL_RESULT``."""
        return self.directory / RESULT_FILE

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment that every command gets, wherever it runs."""
        told = {"SEATRIAL_RUN": self.run, "SEATRIAL_MODEL": self.model, "SEATRIAL_RESULT": str(self.result)}
        return {**self.environment, **told}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands. ``progress``: 0 to 1 as the command told it, None where it did not.

    ``reason``: why it did not succeed, in words; ``seconds``: how long it ran, as far as it is known.
    """

    status: Status
    progress: float | None = None
    message: str = ""
    reason: str = ""
    seconds: float | None = None

    @property
    def ended(self) -> bool:
        return self.status != "running"


class Launcher(Protocol):
    """Runs training commands. Nothing of it is kept in memory: another process goes on where this one died.

    Every call takes the whole ``Job``. A launcher that does not answer for the moment raises ``Unavailable``: the
    caller asks again, and nothing is concluded from it.
    """

    def start(self, job: Job) -> None:
        """Begin. A run that has begun already, whether by this process or by one that crashed, is not begun again.

        Raises UsageError for a job that can never begin here (no such program).
        """
        ...

    def poll(self, job: Job) -> Standing:
        """How it stands. A run that ``start`` was never called for is ``lost``."""
        ...

    def cancel(self, job: Job) -> None:
        """Ask it to end, with everything it began; ``poll`` says when it has. One that has ended stays as it is."""
        ...

    def log(self, job: Job, *, last: int | None = None) -> str:
        """What it printed, both streams; ``last``: that many lines at its end. Empty where there is nothing."""
        ...
