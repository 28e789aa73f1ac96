"""A training run from its trigger to its rollout, as it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from seatrial.retrain.manager import Cause, Run
from seatrial.retrain.policy import Mode, Policy
from seatrial.store.db import Transaction
from seatrial.store.training import StoredRun

Underway = Literal["recorded", "training", "trained", "registered", "checked", "compared"]
Ending = Literal["released", "requested", "registered_only", "kept", "failed", "cancelled"]
Status = Literal[Underway, Ending]
"""``kept``: the champion is, and the candidate is rejected; ``requested``: a person has to start the rollout."""

ENDINGS: frozenset[str] = frozenset(get_args(Ending))


@dataclass(frozen=True, slots=True)
class Step:
    """When a run came to a status, and what is to be said of it."""

    at: datetime
    status: Status
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """``since``, ``until``: event time of the rows that may be trained on; ``since`` None: all there are.

    ``window``: how the rows are chosen and weighed; ``half_life_s``: of their weights, where they decay.
    ``moved``: what a trigger by Kolmogorov and Smirnov's test found, a document.
    ``seconds`` and ``cost`` are of the training alone; ``comparison`` is a document; ``cancelled_by``: who wants it to
    end. ``reason``: how it ended, in words.
    """

    model: str
    number: int
    started: datetime
    trigger: str
    cause: Cause
    detail: str
    evidence: tuple[str, ...] = ()
    moved: Mapping[str, Any] | None = None
    bypassed: bool = False
    launcher: str
    command: tuple[str, ...]
    timeout_s: float
    since: datetime | None = None
    until: datetime
    window: Mode = "sliding"
    half_life_s: float | None = None
    status: Status = "recorded"
    progress: float | None = None
    message: str = ""
    seconds: float | None = None
    cost: float | None = None
    version: int | None = None
    ci: tuple[str, ...] = ()
    comparison: Mapping[str, Any] | None = None
    rollout: str | None = None
    cancelled_by: str = ""
    reason: str = ""
    steps: tuple[Step, ...] = field(default=())

    @property
    def over(self) -> bool:
        return self.status in ENDINGS

    def to(self, status: Status, at: datetime, text: str = "", **changes: Any) -> TrainingRun:
        """The run at another status; at its end the text is its reason."""
        reason = text if status in ENDINGS else ""
        return replace(self, status=status, steps=(*self.steps, Step(at, status, text)), reason=reason, **changes)


@cache
def _adapter() -> TypeAdapter[TrainingRun]:
    return TypeAdapter(TrainingRun)


def new_run(policy: Policy, run: Run) -> TrainingRun:
    """What the manager started. Rows of the holdout, and those whose outcomes are not known yet, are not trained on."""
    command, training = policy.run, policy.training
    assert command is not None, "a policy that is in force says what trains"
    until = run.started - policy.watch.horizon.delta - policy.release.holdout.delta
    since = until - training.window.delta if training.window is not None and training.mode == "sliding" else None
    half_life = training.window.seconds if training.window is not None and training.mode == "decay" else None
    return TrainingRun(
        model=policy.model, number=run.number, started=run.started, trigger=run.trigger.trigger, cause=run.cause,
        detail=run.trigger.detail, evidence=tuple(f"{s.trigger}: {s.detail}" for s in run.evidence),
        moved=None if run.trigger.moved is None else run.trigger.moved.document(),
        bypassed=run.bypassed, launcher=command.launcher, command=command.command,
        timeout_s=command.timeout.seconds, since=since, until=until, window=training.mode,
        half_life_s=half_life, steps=(Step(run.started, "recorded"),),
    )  # fmt: skip


def run_to_json(run: TrainingRun) -> dict[str, Any]:
    document: dict[str, Any] = _adapter().dump_python(run, mode="json")
    return document


def run_of(stored: StoredRun) -> TrainingRun:
    return _adapter().validate_python(stored.document)


def save(tx: Transaction, stored: StoredRun, run: TrainingRun) -> StoredRun:
    """Raises Conflict (ST1302) if somebody else saved it since it was read."""
    return tx.training.save_run(stored, run.status, run_to_json(run))
