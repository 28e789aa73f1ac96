"""What becomes an alert: its kind, how serious it is, and what it says.

A decision that moves a release is told once, by its number. A state that lasts (a deadline that has passed, an outage)
is told when it begins, and at most once an hour of event time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from seatrial.gateway.kill import KillLatch
from seatrial.retrain.manager import Event
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision
from seatrial.store.alert import Alert, Severity
from seatrial.store.canonical import iso_z

KINDS: Final[Mapping[str, Severity]] = MappingProxyType({
    "rollout.start": "info",
    "rollout.promote": "info",
    "rollout.step_back": "warning",
    "rollout.abort": "critical",
    "rollout.deadline": "warning",
    "rollout.shared_outage": "critical",
    "rollout.capture_loss": "warning",
    "rollout.reconciled_harm": "critical",
    "rollout.standby": "warning",
    "model.kill": "critical",
    "model.revive": "info",
    "model.rollback": "warning",
    "drill.missed": "warning",
    "drill.time": "info",
    "gateway.down": "critical",
    "gateway.back": "info",
    "host.down": "critical",
    "host.back": "info",
    "disk.low": "warning",
    "disk.back": "info",
    "review.waiting": "warning",
    "review.drained": "info",
    "controller.takeover": "warning",
    "ci.failed": "warning",
    "retrain.missed": "warning",
    "retrain.blocked": "critical",
    "retrain.failed": "warning",
    "retrain.ready": "info",
    "approval.requested": "info",
    "approval.late": "warning",
    "approval.review_overdue": "warning",
    "audit.broken": "critical",
    "audit.unanchored": "warning",
    "mlflow.request": "info",
    "mlflow.refused": "warning",
    "mlflow.moved": "warning",
    "mlflow.down": "warning",
    "mlflow.back": "info",
})  # fmt: skip

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")

_MOVES: Final = {
    "start": "starts against v{champion}: {reason}",
    "promote": "is the champion now: {reason}",
    "step_back": "goes back to {stage}: {reason}",
    "abort": "is out of traffic: {reason}",
}
_LASTING: Final = ("deadline", "shared_outage", "capture_loss")


def of_decision(decision: Decision, state: RolloutState, number: int, rule_before: str | None) -> Alert | None:
    """The alert of a decision that is stored under ``number``; None for most."""
    if decision.action in _MOVES:
        said = _MOVES[decision.action].format(
            champion=state.champion, stage=decision.stage_name, reason=decision.reason
        )
        return _of_rollout(decision.action, str(number), decision, state, said)
    if decision.rule in _LASTING and decision.rule != rule_before:
        return _of_rollout(decision.rule, f"{decision.at:%Y-%m-%dT%H}", decision, state, f"waits: {decision.reason}")
    return None


def _of_rollout(kind: str, nth: str, decision: Decision, state: RolloutState, said: str) -> Alert:
    detail = {
        "candidate": state.candidate,
        "champion": state.champion,
        "action": decision.action,
        "rule": decision.rule,
        "reason": decision.reason,
        "actor": decision.actor,
        "stage": decision.stage_name,
        "weight": decision.weight / 100,
        "look": decision.look,
        "strikes": decision.strikes,
    }
    return _alert(
        f"rollout.{kind}", state.rollout, nth, decision.at,
        f"{state.model} v{state.candidate} {said}", model=state.model, detail=detail,
    )  # fmt: skip


def of_incident(id: str, state: RolloutState, document: Mapping[str, Any], at: datetime) -> Alert:
    """Harm that was found after everybody had the candidate: somebody has to choose."""
    text = f"{document['text']}. Roll back, hold or fix forward: `seatrial incidents show {id}`"
    told = {name: document[name] for name in ("metric", "effect", "exposed", "daysSince", "lossPerDay")}
    detail = {"incident": id, "candidate": state.candidate, "champion": state.champion, **told}
    return _alert("rollout.reconciled_harm", state.rollout, id, at, text, model=state.model, detail=detail)


def of_standby(state: RolloutState, warning: str, at: datetime) -> Alert:
    """The way home of a release that was just promoted is not sure for as long as it is followed."""
    detail = {"standby": state.champion, "candidate": state.candidate}
    text = f"{state.model}: {warning}"
    return _alert("rollout.standby", state.rollout, f"v{state.champion}", at, text, model=state.model, detail=detail)


def of_kill(latch: KillLatch) -> Alert:
    text = f"{latch.model} is killed ({latch.mode}) by {latch.actor}: {latch.reason}"
    detail = {"mode": latch.mode, "actor": latch.actor, "reason": latch.reason}
    return _alert("model.kill", latch.model, iso_z(latch.time), latch.time, text, model=latch.model, detail=detail)


def of_revival(latch: KillLatch, actor: str, reason: str, at: datetime) -> Alert:
    """``latch``: the kill that is over."""
    text = f"{latch.model} is revived by {actor}: {reason}"
    detail = {"actor": actor, "reason": reason}
    return _alert("model.revive", latch.model, iso_z(latch.time), at, text, model=latch.model, detail=detail)


def of_homecoming(model: str, champion: int, home: int, actor: str, reason: str, at: datetime) -> Alert:
    """A model without a rollout went back to the champion before."""
    text = f"{model} is back on v{home}, v{champion} is out of traffic ({actor}): {reason}"
    detail = {"champion": home, "archived": champion, "actor": actor, "reason": reason}
    return _alert("model.rollback", model, f"v{champion}-v{home}", at, text, model=model, detail=detail)


def of_missed_drill(model: str, text: str, due: datetime, at: datetime) -> Alert:
    """A drill that was not made in time; told once for each date that it was due at."""
    detail = {"due": iso_z(due)}
    return _alert("drill.missed", model, iso_z(due), at, f"{model}: {text}", model=model, detail=detail)


def of_drill_time(model: str, planned: datetime, at: datetime) -> Alert:
    """The time of an unannounced drill has come."""
    text = f"{model}: now is the time of its unannounced drill: `seatrial drill run {model}`"
    return _alert("drill.time", model, iso_z(planned), at, text, model=model, detail={"planned": iso_z(planned)})


def of_approval_request(model: str, request: str, asks: str, at: datetime) -> Alert:
    """People are asked for their approval of a release."""
    text = f"{asks}: `seatrial approvals show {request}`"
    return _alert("approval.requested", request, "1", at, text, model=model, detail={"request": request})


def of_late_approval(model: str, request: str, asks: str, at: datetime) -> Alert:
    """They have had the time that the policy gives them."""
    text = f"{asks} is late: `seatrial approvals show {request}`"
    return _alert("approval.late", request, "1", at, text, model=model, detail={"request": request})


def of_review_overdue(model: str, request: str, by: str, due: datetime, at: datetime) -> Alert:
    """An emergency release that nobody looked at in time: the model's next release waits for that."""
    text = f"{model}: the emergency release {request} by {by} was to be reviewed by {due:%Y-%m-%d %H:%M}"
    detail = {"request": request, "by": by, "due": iso_z(due)}
    return _alert("approval.review_overdue", request, iso_z(due), at, text, model=model, detail=detail)


def of_takeover(before: str, holder: str, fence: int, at: datetime) -> Alert:
    """The control plane before this one did not give its lease back: it crashed, or stood still for too long."""
    text = f"{holder} has taken over control from {before}, which had not given it back"
    return _alert("controller.takeover", "controller", str(fence), at, text, detail={"from": before, "to": holder})


def of_broken_audit(entry: int | None, text: str, at: datetime) -> Alert:
    """The audit log is not what was written; told once a day."""
    told = f"{text}; nothing is anchored until somebody has looked: `seatrial audit verify`"
    return _alert("audit.broken", "audit", f"{at:%Y-%m-%d}", at, told, detail={"entry": entry})


def of_unanchored(target: str, text: str, at: datetime) -> Alert:
    """A target does not take the audit log's anchors; told once a day."""
    return _alert("audit.unanchored", "audit", f"{target}/{at:%Y-%m-%d}", at, text, detail={"target": target})


def of_mlflow_request(model: str, seq: int, number: int, state: str, text: str, at: datetime) -> Alert:
    """What came of a request in MLflow; one that waits is told once, however often it is asked again."""
    kind = "mlflow.refused" if state == "refused" else "mlflow.request"
    detail = {"request": seq, "version": number, "state": state}
    told = f"{model}: what was asked for version {number} in MLflow: {text}"
    return _alert(kind, model, f"{seq}/{state}", at, told, model=model, detail=detail)


def of_mlflow_move(
    model: str, registered: str, alias: str, before: int | None, moved: int | None, truth: int | None, at: datetime
) -> Alert:
    """Somebody else moved an alias of MLflow; it is put back."""
    was, now, back = (f"version {number}" if number else "nothing" for number in (before, moved, truth))
    text = f"{model}: somebody moved @{alias} of '{registered}' from {was} to {now}; it is put back to {back}"
    detail = {"alias": alias, "from": before, "to": moved, "truth": truth}
    return _alert("mlflow.moved", model, f"{alias}/{iso_z(at)}", at, text, model=model, detail=detail)


def of_mlflow_health(trouble: str, since: str, at: datetime) -> Alert:
    """MLflow is not told what happens, or is again; ``trouble``: what is in the way, empty once nothing is."""
    kind = "mlflow.down" if trouble else "mlflow.back"
    text = f"MLflow: {trouble}; what is published there waits" if trouble else "MLflow is told again what happens here"
    return _alert(kind, "mlflow", since, at, text, detail={"since": since})


def of_trigger(model: str, event: Event) -> Alert | None:
    """Schedules that nobody was there for, and data that must not be trained on; nothing else a manager does."""
    kind = {"missed": "retrain.missed", "paged": "retrain.blocked"}.get(event.what)
    if kind is None:
        return None
    text = f"{model}: {event.trigger}: {event.reason}"
    return _alert(kind, model, iso_z(event.at), event.at, text, model=model, detail={"trigger": event.trigger})


def of_training(run: str, model: str, status: str, reason: str, at: datetime) -> Alert | None:
    """A training run that failed, or one whose rollout a person has to start."""
    kind = {"failed": "retrain.failed", "requested": "retrain.ready"}.get(status)
    if kind is None:
        return None
    text = f"{model}: training run {run} {'failed' if status == 'failed' else 'waits for a person'}: {reason}"
    return _alert(kind, run, status, at, text, model=model, detail={"run": run, "reason": reason})


def of_condition(kind: str, object: str, text: str, since: datetime, at: datetime) -> Alert:
    """A part of the system went down, or is back; ``since`` is when it went down."""
    return _alert(kind, object, iso_z(since), at, text, detail={"since": iso_z(since)})


def _alert(
    kind: str, object: str, nth: str, at: datetime, text: str, *, model: str | None = None, detail: Mapping[str, Any]
) -> Alert:
    return Alert(
        key=f"{object}/{kind}/{nth}", kind=kind, severity=KINDS[kind], object=object, text=text, at=at,
        model=model, detail=detail,
    )  # fmt: skip
