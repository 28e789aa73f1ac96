"""What a run of the pipeline found, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Literal, get_args

from seatrial.ci.pipeline import GROUPS, Event, Group
from seatrial.values import to_camel

Status = Literal["passed", "failed", "skipped", "left_out"]
STATUSES: tuple[Status, ...] = get_args(Status)

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """``reason``: why it failed or was skipped, in a sentence. ``detail``: what a check measured.

    *skipped*: asked for, and this machine could not; *left_out*: not asked for by the event. Neither is a pass.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    group: Group
    status: Status
    reason: str = ""
    blocking: bool = True
    gpu: bool = False
    seconds: float = 0.0
    cost: float = 0.0
    log: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {to_camel(f.name): getattr(self, f.name) for f in fields(self)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> StepResult:
        """Inverse of ``document``."""
        return cls(**{f.name: document[to_camel(f.name)] for f in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. ``digest``: of the model it was about; without a model its results hold for none."""

    id: str
    event: Event
    started_at: datetime
    actor: str
    model: str | None = None
    version: int | None = None
    digest: str | None = None
    commit: str | None = None
    steps: tuple[StepResult, ...] = ()

    @property
    def status(self) -> Literal["passed", "failed"]:
        """*failed* as soon as a blocking step did, or when nothing passed at all."""
        failed = any(step.status == "failed" and step.blocking for step in self.steps)
        return "failed" if failed or not any(step.status == "passed" for step in self.steps) else "passed"

    def counts(self) -> dict[str, int]:
        found = Counter(step.status for step in self.steps)
        return {status: found[status] for status in STATUSES}

    def groups(self) -> dict[str, str]:
        """Of code, data and model each: failed, passed, skipped (nothing ran), or absent."""
        return {group: _together([s for s in self.steps if s.group == group]) for group in GROUPS}


def _together(steps: Sequence[StepResult]) -> str:
    found = {step.status for step in steps}
    return next((status for status in ("failed", "passed", "skipped", "left_out") if status in found), "absent")


def run_document(run: Run, last_gpu: StepResult | None = None) -> dict[str, Any]:
    """A run as JSON (``seatrial.ci_run.v1``). ``last_gpu``: the latest step that ran on an accelerator, of any run."""
    return {
        "schema": "seatrial.ci_run.v1",
        "id": run.id,
        "event": run.event,
        "startedAt": run.started_at.isoformat(),
        "actor": run.actor,
        "model": run.model,
        "version": run.version,
        "digest": run.digest,
        "commit": run.commit,
        "status": run.status,
        "counts": run.counts(),
        "groups": run.groups(),
        "lastGpu": None if last_gpu is None else {"seconds": last_gpu.seconds, "cost": last_gpu.cost},
        "steps": [step.document() for step in run.steps],
    }


def run_of(document: Mapping[str, Any]) -> Run:
    """Inverse of :func:`run_document`."""
    return Run(
        id=document["id"],
        event=document["event"],
        started_at=datetime.fromisoformat(document["startedAt"]),
        actor=document["actor"],
        model=document["model"],
        version=document["version"],
        digest=document["digest"],
        commit=document["commit"],
        steps=tuple(StepResult.of(step) for step in document["steps"]),
    )
