"""Retraining as JSON: how each model stands, its runs, and one timeline of triggers, runs and rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, get_args

from seatrial.control.retraining.policies import Kept, load
from seatrial.control.retraining.runs import Underway
from seatrial.control.retraining.sensing import Sensed
from seatrial.retrain.manager import Reading, checked, observed, step, wakes
from seatrial.retrain.policy import Policy
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.training import StoredEvent, StoredPolicy, StoredRun
from seatrial.values import to_camel

Document = dict[str, Any]

UNDERWAY: frozenset[str] = frozenset(get_args(Underway))
MOST_EVENTS = 500


def run_document(stored: StoredRun) -> Document:
    """``seatrial.training-run.v1``"""
    return {"schema": "seatrial.training-run.v1", "id": stored.id, **_camel(stored.document)}


def runs_document(tx: Transaction, model: str | None = None) -> Document:
    """``seatrial.training-runs.v1``: oldest first, with what they cost together."""
    if model is not None:
        tx.models.get_model(model)
    found = tx.training.runs(model)
    costs = [run.document["cost"] for run in found if run.document["cost"] is not None]
    return {
        "schema": "seatrial.training-runs.v1",
        "runs": [run_document(run) for run in found],
        "cost": round(sum(costs), 6) if costs else None,
    }


def status_document(tx: Transaction, now: datetime, model: str | None = None) -> Document:
    """``seatrial.retraining.v1``: every model with a policy, or one."""
    names = [stored.model for stored in tx.training.policies()] if model is None else [tx.models.get_model(model).name]
    return {"schema": "seatrial.retraining.v1", "now": iso_z(now), "models": [_status(tx, name, now) for name in names]}


def policies_document(tx: Transaction) -> Document:
    """``seatrial.trigger-policies.v1``"""
    kept = [load(tx, stored.model) for stored in tx.training.policies()]
    return {"schema": "seatrial.trigger-policies.v1", "policies": [_policy(one) for one in kept]}


def policy_document(tx: Transaction, model: str) -> Document:
    """``seatrial.trigger-policy.v1``: with its text as somebody wrote it."""
    tx.models.get_model(model)
    kept = load(tx, model)
    return {"schema": "seatrial.trigger-policy.v1", **_policy(kept), "text": kept.stored.policy}


def test_document(kept: Kept, sensed: Sensed, now: datetime) -> Document:
    """``seatrial.trigger-test.v1``: what is measured now, and what the manager would do about it."""
    policy, reading = kept.policy, sensed.reading
    state = checked(observed(policy, kept.state, reading), sensed.failure)
    _, events = step(policy, state, max(now, state.looked))
    return {
        "schema": "seatrial.trigger-test.v1",
        "model": policy.model,
        "at": iso_z(now),
        "reading": _reading(reading),
        "dataFailure": sensed.failure,
        "would": [
            {
                "what": e.what,
                "trigger": e.trigger,
                "reason": e.reason,
                "until": _iso(e.until),
                "moved": None if e.moved is None else e.moved.document(),
            }
            for e in events
        ],
        "unmeasured": _unmeasured(policy, reading),
    }


def timeline(tx: Transaction, model: str) -> Document:
    """``seatrial.retraining-timeline.v1``: what happened, in order of time.

    ``lane``: triggers, runs or rollouts; ``end``: None for what is a moment, or goes on; ``until``: of what waits;
    ``moved``: what Kolmogorov and Smirnov's test found.
    """
    tx.models.get_model(model)
    entries = [*_events(tx.training.events(model, last=MOST_EVENTS)), *_runs(tx.training.runs(model))]
    entries += [*_rollouts(tx, model)]
    return {
        "schema": "seatrial.retraining-timeline.v1",
        "model": model,
        "entries": sorted(entries, key=lambda entry: (entry["start"], entry["lane"])),
    }


def _status(tx: Transaction, model: str, now: datetime) -> Document:
    known = [stored for stored in tx.training.policies() if stored.model == model]
    runs = tx.training.runs(model)
    document: Document = {"model": model, "policy": None, **age(tx, model, now)}
    document["runs"] = len(runs)
    document["lastRun"] = run_document(runs[-1]) if runs else None
    if known:
        document |= _managed(load(tx, model), known[0])
    return document


def _managed(kept: Kept, stored: StoredPolicy) -> Document:
    state, due = kept.state, wakes(kept.policy, kept.state)
    return {
        "policy": {"setAt": iso_z(stored.set_at), "setBy": stored.set_by, "primary": kept.policy.primary},
        "running": None if state.running is None else state.running.number,
        "dataFailure": state.checks_failed,
        "waiting": [
            {"trigger": one.signal.trigger, "detail": one.signal.detail, "until": _iso(one.until)}
            for one in state.latched
        ],
        "readings": {name: {"at": iso_z(reading.at), **_reading(reading)} for name, reading in state.readings.items()},
        "nextDue": _iso(due),
    }


def _reading(reading: Reading) -> Document:
    ks = {
        name: {"distance": one.value, "pValue": one.p_value, "nRef": one.n_ref, "nCur": one.n_cur}
        for name, one in reading.ks.items()
    }
    return {"since": _iso(reading.since), "psi": dict(reading.psi), "ks": ks, "loss": reading.loss,
            "mature": reading.mature, "rows": reading.rows}  # fmt: skip


def _unmeasured(policy: Policy, reading: Reading) -> list[Document]:
    """Features that a trigger names and nothing was measured of: not captured, or no numbers where distances are."""
    measured = {"psi": reading.psi, "ks": reading.ks}
    return [
        {"trigger": trigger.name, "feature": name, "measure": trigger.drift_measure}
        for trigger in policy.triggers
        if trigger.drift_measure is not None and reading.since is not None
        for name in trigger.features
        if name not in measured[trigger.drift_measure]
    ]


def age(tx: Transaction, model: str, now: datetime) -> Document:
    """How old the champion is: since it serves, and since the end of the data that it learned from (seconds)."""
    number = tx.models.pointers(model).get("champion")
    if number is None:
        return {"champion": None, "servesFor": None, "dataAge": None}
    moves = tx.models.pointer_history(model, "champion")
    lineage = tx.models.get_version(model, number).lineage
    end = None if lineage is None or lineage.data is None else lineage.data.end
    return {
        "champion": number,
        "servesFor": _seconds(now - moves[-1].at) if moves else None,
        "dataAge": None if end is None else _seconds(now - end),
    }


def _policy(kept: Kept) -> Document:
    policy, stored = kept.policy, kept.stored
    command = policy.run
    return {
        "model": policy.model,
        "description": policy.description,
        "primary": policy.primary,
        "triggers": [{"name": one.name, "kind": one.kind, "measure": one.drift_measure} for one in policy.triggers],
        "interval": str(policy.interval),
        "command": [] if command is None else list(command.command),
        "launcher": None if command is None else command.launcher,
        "plan": policy.release.plan,
        "setAt": iso_z(stored.set_at),
        "setBy": stored.set_by,
    }


def _entry(lane: str, start: str, what: str, name: str, text: str, **known: Any) -> Document:
    entry = {"lane": lane, "start": start, "end": None, "what": what, "name": name, "text": text}
    return {**entry, "until": None, "run": None, "version": None, "moved": None, **known}


def _events(events: tuple[StoredEvent, ...]) -> Iterator[Document]:
    for event in events:
        told = event.document
        known = {"run": told["run"], "until": told["until"], "moved": told.get("moved")}
        yield _entry("triggers", iso_z(event.at), event.what, told["trigger"], told["reason"], **known)


def _runs(runs: tuple[StoredRun, ...]) -> Iterator[Document]:
    for run in runs:
        told = run.document
        end = _z(told["steps"][-1]["at"]) if run.status not in UNDERWAY else None
        known = {"end": end, "run": run.number, "version": told["version"]}
        yield _entry("runs", iso_z(run.started_at), run.status, run.id, told["reason"] or told["message"], **known)


def _rollouts(tx: Transaction, model: str) -> Iterator[Document]:
    for one in tx.rollouts.list(model):
        known = {"end": None if one.active else iso_z(one.updated_at), "version": one.candidate}
        text = f"v{one.candidate} against v{one.champion}"
        yield _entry("rollouts", iso_z(one.created_at), one.status, one.id, text, **known)


def _camel(document: Mapping[str, Any]) -> Document:
    """Fields of stored values, in the words of JSON; what people named is left alone."""
    return {to_camel(name): value for name, value in document.items()}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso_z(moment)


def _z(text: str) -> str:
    return iso_z(datetime.fromisoformat(text))


def _seconds(span: timedelta) -> float:
    return round(max(span.total_seconds(), 0.0), 3)
