"""What is asked in MLflow, and what comes of it: a rollout by the model's plan, never a flip.

A request names what it was made of: the champion that its author saw. If another one serves by then, it lost (that is
the compare-and-swap that MLflow does not have), and its author is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from seatrial.control.alerting import alerts
from seatrial.control.mlflow.linking import register
from seatrial.errors import ApprovalNeeded, Conflict, SeatrialError, Unavailable
from seatrial.integrations.mlflow.tracking import Tracking
from seatrial.registry.lifecycle import Stage
from seatrial.registry.version import ModelVersion
from seatrial.store.db import Transaction
from seatrial.store.mlflow import Link, MlflowRequest, RequestState
from seatrial.store.plans import read_plan

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

ACTOR = "mlflow"
"""Who asks there is not on MLflow's record: an alias has no author."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    state: RequestState
    text: str
    rollout: str | None = None


def heed(operations: Operations, tracking: Tracking, link: Link, request: MlflowRequest) -> Answer:
    """Answer a request, and write the answer down; those that wait are asked again at the next look."""
    try:
        answer = _answer(operations, tracking, link, request)
    except (ApprovalNeeded, Unavailable) as error:
        answer = Answer("waiting", f"waits: {error.message} {error.remedy}".strip())
    except SeatrialError as error:
        answer = Answer("refused", f"refused: {error.message} {error.remedy}".strip())
    now = operations.clock.now()
    with operations.store.begin() as tx:
        if tx.mlflow.answer(request, answer.state, answer.text, rollout=answer.rollout, now=now):
            _tell(tx, link, request, answer, now)
    return answer


def _answer(operations: Operations, tracking: Tracking, link: Link, request: MlflowRequest) -> Answer:
    with operations.store.read() as tx:
        _require_current(tx, link, request)
    uri = f"models:/{link.registered}/{request.number}"
    version, remark = register(operations, tracking, link.model, uri, actor=ACTOR)
    with operations.store.read() as tx:
        done = _already(tx, version)
    return done or _start(operations, version, remark)


def _require_current(tx: Transaction, link: Link, request: MlflowRequest) -> None:
    """Raises Conflict (``ST1544``) if somebody was first. Of a champion that MLflow does not know, nobody can say."""
    if request.via != "alias":
        return
    champion = tx.models.pointers(link.model).get("champion")
    number = next((n for n, v in tx.mlflow.numbers(link.registered).items() if v == champion), None)
    if number is not None and number != request.expected:
        raise Conflict(
            "ST1544", f"it was meant to follow {_said(request.expected)}, and version {number} is the champion since.",
            remedy="Look at what changed, and ask again.",
        )  # fmt: skip


def _already(tx: Transaction, version: ModelVersion) -> Answer | None:
    """The answer for a version that is on its way or has been; None for one that can be tried."""
    model = version.model
    running = [one for one in tx.rollouts.list(model, active=True) if one.candidate == version.number]
    if running:
        return Answer("started", f"is in rollout {running[0].id}", running[0].id)
    match version.stage:
        case Stage.PRODUCTION:
            return Answer("refused", f"refused: {version.name} is the champion already.")
        case Stage.STANDBY:
            return Answer(
                "refused", f"refused: {version.name} is the standby; the way home is `seatrial rollback {model}`."
            )
        case Stage.ARCHIVED:
            return Answer(
                "refused", f"refused: {version.name} is archived. Log the model again: a new version can be tried."
            )
        case _:
            return None


def _start(operations: Operations, version: ModelVersion, remark: str) -> Answer:
    model, project = version.model, operations.project
    path = project.config.mlflow.plan_of(model)
    if not path:
        command = f"seatrial rollout start {model} {version.number} --plan PLAN.yaml"
        return Answer(
            "waiting", f"waits: no plan is named for it (mlflow.plan in seatrial.yaml): `{command}`. {remark}".strip()
        )
    rollout = operations.start_rollout(model, version.number, read_plan(project.at(path)), actor=ACTOR)
    return Answer("started", f"{version.name} is in rollout {rollout} by {path}. {remark}".strip(), rollout)


def _tell(tx: Transaction, link: Link, request: MlflowRequest, answer: Answer, now: datetime) -> None:
    tx.alerts.put(alerts.of_mlflow_request(link.model, request.seq, request.number, answer.state, answer.text, now))


def _said(number: int | None) -> str:
    return "no version of MLflow" if number is None else f"version {number}"
