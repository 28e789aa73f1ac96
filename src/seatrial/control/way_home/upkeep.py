"""Keeping the way home proven: measured at each promotion and start, released when its time is over.

Nothing here holds the controller's locks while a standby is asked.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from seatrial.control.clock import Clock
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.control.way_home.probe import is_ready
from seatrial.control.way_home.proof import (
    Occasion,
    StandbyProof,
    prove_standby,
    record_proof,
    running_host,
    served,
    served_document,
    standby_of,
)
from seatrial.errors import Conflict, PlanError, UsageError
from seatrial.registry.lifecycle import Stage
from seatrial.registry.version import Model, ModelVersion
from seatrial.rollout.plan import Plan
from seatrial.rollout.standby import Served, too_slow, unproven
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store, Transaction
from seatrial.store.leases import LeaseLost

log = logging.getLogger("seatrial.control")

ACTOR = "seatrial"
PAUSE_S = 5.0
TRY_AGAIN_S = 60.0
PROBE_S = 1.0


class Standbys:
    """The standbys of one project, on a thread of their own while the ``with`` block lasts."""

    def __init__(self, project: Project, store: Store, clock: Clock) -> None:
        self._project, self._store, self._clock = project, store, clock
        self._one_at_a_time = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Standbys:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="standbys")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        """Until told to stop. In a replay nobody's time is measured: its clock is not the one that standbys run on."""
        pause = PAUSE_S
        while self._project.config.clock != "replay" and not self._stopping.wait(pause):
            pause = PAUSE_S
            try:
                self.take()
            except LeaseLost:
                return
            except Exception:  # a store that is away: it is tried again
                log.exception("standbys could not be looked after; it is tried again in %g s", TRY_AGAIN_S)
                pause = TRY_AGAIN_S

    def take(self) -> None:
        """Measure every standby that came to be since the last time, and release those whose time is over."""
        with self._store.read() as tx:
            models = [model.name for model in tx.models.list_models()]
        for name in models:
            self._release_if_over(name)
            with self._store.read() as tx:
                found = standby_of(tx, name)
                new = found is not None and _is_new(tx, *found)
            if new and found is not None:
                self._measure(*found, "promotion", actor=ACTOR)

    def measure(self, model: str, *, load_s: float = 0.0, occasion: Occasion = "by hand", actor: str) -> StandbyProof:
        """Measure now; without a standby the champion, which will stand by after the next promotion. Conflict."""
        with self._store.read() as tx:
            known, version = _to_be_proven(tx, model)
        return self._measure(known, version, occasion, load_s=load_s, actor=actor)

    def require(self, model: str, plan: Plan, *, actor: str) -> None:
        """Before a rollout whose plan says ``backWithin``: measured now, if that was not done lately.

        Raises PlanError (ST0350) where the way home is slower than the plan allows.
        """
        if plan.back_within is None:
            return
        within = plan.back_within.seconds
        with self._store.read() as tx:
            found = served(tx, self._project, tx.models.get_model(model))
        _refuse(plan, too_slow(found, within))
        if not found.measured or found.expired(self._clock.now()):
            self.measure(model, occasion="start", actor=actor)
            with self._store.read() as tx:
                _refuse(plan, too_slow(served(tx, self._project, tx.models.get_model(model)), within))

    def _measure(
        self, model: Model, version: ModelVersion, occasion: Occasion, *, load_s: float = 0.0, actor: str
    ) -> StandbyProof:
        with self._one_at_a_time:
            proof = prove_standby(self._project, model, version, load_s=load_s)
            with self._store.begin() as tx:
                record_proof(tx, proof, self._clock.now(), occasion, actor=actor)
        if not proof.ready:
            log.error("the way home is not sure: %s", proof.text)
        return proof

    def _release_if_over(self, model: str) -> None:
        retention = self._project.config.standby.retention
        if retention is None:
            return
        with self._store.read() as tx:
            since = _standby_since(tx, model)
        now = self._clock.now()
        if since is not None and now - since > retention.delta:
            with self._store.begin() as tx:
                release(tx, model, f"kept for {retention}", actor=ACTOR, now=now)


def release(tx: Transaction, model: str, reason: str, *, actor: str, now: datetime) -> None:
    """The standby is not the way home any more: archived, and its host ends. Conflict where there is none."""
    found = standby_of(tx, model)
    if found is None:
        raise _none(model)
    _, version = found
    tx.models.move_pointer(
        model, "previous", expected=version.number, to=None, actor=actor, now=now, reason=f"released: {reason}"
    )
    tx.models.set_stage(model, version.number, Stage.ARCHIVED, actor=actor, now=now, reason=f"released: {reason}")


def holds(tx: Transaction, project: Project, model: str, plan: Plan, now: datetime) -> str:
    """Why the next stage waits for the way home; empty where the plan does not ask, or it is proven."""
    if plan.back_within is None:
        return ""
    return unproven(served(tx, project, tx.models.get_model(model)), plan.back_within.seconds, now)


def standby_document(tx: Transaction, project: Project, model: str, now: datetime) -> Document:
    """``seatrial.standby.v1``: the way home now, and after a promotion.

    ``ready``: whether the version that users would be sent back to now answers: in a rollout and before one the
    champion, after a promotion the standby; None for a standby that is kept cold.
    """
    known = tx.models.get_model(model)
    found = served(tx, project, known)
    pointers = tx.models.pointers(model)
    in_rollout = bool(tx.rollouts.list(model, active=True))
    previous = pointers.get("previous")
    home = pointers.get("champion") if in_rollout or previous is None else previous
    cold = home == previous and home is not None and found.policy == "cold"
    ready = None if home is None or cold else _is_up(project, model, home)
    since = _standby_since(tx, model)
    retention = project.config.standby.retention
    return {
        "schema": "seatrial.standby.v1",
        "model": model,
        "policy": found.policy,
        "version": previous,
        "home": home,
        "ready": ready,
        **served_document(found),
        "expired": found.expired(now),
        "until": None if since is None or retention is None else iso_z(since + retention.delta),
        "warning": _warning(model, home, ready, found, now),
    }


def _warning(model: str, home: int | None, ready: bool | None, found: Served, now: datetime) -> str:
    """What is said before a rollout begins."""
    if home is None:
        return ""
    if ready is False:
        return f"the fast way home is not available: the host of {model} v{home} does not answer"
    if found.measured and found.seconds is None:
        return f"the fast way home is not available: the standby of '{model}' gave no answer when it was measured"
    if found.policy == "cold":
        return f"after a promotion the way home is slow: {found.text}"
    return f"{found.text}: too long ago to rely on" if found.expired(now) else ""


def _is_up(project: Project, model: str, number: int) -> bool:
    host = running_host(project, model, number)
    return host is not None and is_ready(host[1], PROBE_S)


def _to_be_proven(tx: Transaction, model: str) -> tuple[Model, ModelVersion]:
    found = standby_of(tx, model)
    if found is not None:
        return found
    champion = tx.models.pointers(model).get("champion")
    if champion is None:
        raise _none(model)
    return tx.models.get_model(model), tx.models.get_version(model, champion)


def _none(model: str) -> Conflict:
    return Conflict(
        "ST0828", f"model '{model}' has no standby.", remedy="A promotion makes the champion before it the standby."
    )


def _is_new(tx: Transaction, model: Model, standby: ModelVersion) -> bool:
    """Whether it came to stand by, or its policy changed, after it was measured."""
    last = tx.homecomings.latest(model.name, model.safety.standby, standby.number)
    since = _standby_since(tx, model.name)
    return last is None or (since is not None and last.at < since)


def _standby_since(tx: Transaction, model: str) -> datetime | None:
    """When the present standby became it."""
    moves = tx.models.pointer_history(model, "previous")
    return moves[-1].at if moves and moves[-1].to_version is not None else None


def _refuse(plan: Plan, why: str) -> None:
    if why:
        raise PlanError(
            "ST0350", f"plan '{plan.name}': backWithin: {why}.",
            remedy="Keep the standby hotter (`seatrial model safety NAME --standby warm`), or ask for less.",
        )  # fmt: skip


def check_load(seconds: float) -> None:
    """Of each step of a ramp. Raises UsageError."""
    if not 0 <= seconds <= 60:
        raise UsageError("ST0829", f"--load {seconds:g}: a step lasts up to 60 s.", remedy="e.g. --load 2")
