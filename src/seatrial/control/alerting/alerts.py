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


def of_takeover(before: str, holder: str, fence: int, at: datetime) -> Alert:
    """The control plane before this one did not give its lease back: it crashed, or stood still for too long."""
    text = f"{holder} has taken over control from {before}, which had not given it back"
    return _alert("controller.takeover", "controller", str(fence), at, text, detail={"from": before, "to": holder})


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
