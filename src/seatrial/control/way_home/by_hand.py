"""The way home by hand: its end is proven to serve before traffic moves, and what was done is measured.

Asking hosts takes time, so it is done without the controller's lock; what was found is looked at again under it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from seatrial.control.controller import Controller
from seatrial.control.documents.views import plain
from seatrial.control.documents.ways_home import parts_text
from seatrial.control.journal import Entry, Homecoming
from seatrial.control.moves import abort_of
from seatrial.control.way_home.proof import running_host
from seatrial.control.way_home.switched import Switched, shares
from seatrial.control.way_home.target import Target, answers, taken_back, target_of
from seatrial.errors import Conflict, SeatrialError, Unavailable
from seatrial.rollout.standby import seconds_text
from seatrial.rollout.way_home import Times

log = logging.getLogger("seatrial.control")

BRING_UP_S = 60.0
COME_BACK_S = 5.0
"""How long one that runs and does not answer is waited for: Envoy would not wait for it at all."""

POLL_S = 0.05


def rollback(
    controller: Controller,
    model: str,
    *,
    reason: str,
    actor: str,
    force: bool = False,
    since: datetime | None = None,
    undo: bool = False,
) -> Switched:
    """Abort the model's rollout if there is one; after a promotion bring the Standby back; else change nothing.

    Traffic moves first, then it is recorded. ``since``: when the harm began, for the record; ``undo``: see
    ``target_of``. Raises Unavailable (ST0824) where the version to go back to does not answer and the present one does;
    ``force`` moves all the same.
    """
    began = time.perf_counter()
    with controller.store.read() as tx:
        found = target_of(tx, model, undo=undo)
    if isinstance(found, str):
        return unchanged(controller, model, found)
    with _brought_up(controller, found, force) as proven, controller.lock:
        with controller.store.read() as tx:
            again = target_of(tx, model, undo=undo)
        if isinstance(again, str):  # somebody else was faster, and did the same
            return unchanged(controller, model, again)
        if found.gist != again.gist:
            raise Conflict(
                "ST0824", f"model '{model}' was changed by somebody else meanwhile.",
                remedy="Look at what changed (`seatrial model show`), then decide again.",
            )  # fmt: skip
        way = controller.protect(_move(model, again, reason, actor, controller.clock.now()), began=began, since=since)
        took = time.perf_counter() - began
        controller.finish()
        controller.reconcile()
    times = controller.homecomings.drained(way)
    return _switched(controller, model, found.home.number, took, times, proven)


def undo(controller: Controller, rollout: str, *, reason: str, actor: str, force: bool = False) -> Switched:
    """Take back what a rollout did: abort it while it runs; after its promotion bring the former champion back.

    Nothing where that was done already. Raises Conflict where another release has come since (ST0881), or the former
    champion does not stand by any more (ST0825).
    """
    with controller.store.read() as tx:
        done = taken_back(tx, rollout)
        model = tx.rollouts.get(rollout).model
    if done:
        return unchanged(controller, model, done)
    return rollback(controller, model, reason=reason or f"undo {rollout}", actor=actor, force=force, undo=True)


def unchanged(controller: Controller, model: str, why: str) -> Switched:
    """Nothing was done, and traffic is as it was."""
    table = controller.envoy.table()
    return Switched(model, "", 0.0, table.generation, shares(controller.envoy, table, model), why, changed=False)


@contextmanager
def _brought_up(controller: Controller, found: Target, force: bool) -> Iterator[str]:
    """The version to go back to is up at full size meanwhile; yields how that was proven."""
    home, hosts = found.home, controller.hosts
    key = (home.model, home.number)
    try:
        with hosts.held(key):
            fresh = running_host(controller.project, home.model, home.number) is None
            with controller.lock:
                _bring_up(controller, found, force)
            yield "not at all (--force)" if force else _require(controller, found, fresh)
    finally:
        with controller.lock:
            controller.reconcile()


def _bring_up(controller: Controller, found: Target, force: bool) -> None:
    """Start it, or lift its limit. Where it cannot even be started, the chain decides once nobody else answers."""
    try:
        controller.traffic.bring_up(found.home)
    except (SeatrialError, OSError) as error:
        if not force and answers(controller.project, found.home.model, found.present):
            raise
        log.error("%s cannot be brought up, and neither does v%s answer: %s", found.home.name, found.present, error)


def _require(controller: Controller, found: Target, fresh: bool) -> str:
    """Wait until it answers, for as long as the present version does; then it would only make things worse to go."""
    home = found.home
    began, patience = time.perf_counter(), BRING_UP_S if fresh else COME_BACK_S
    while not answers(controller.project, home.model, home.number):
        if not answers(controller.project, home.model, found.present):
            return f"not at all: neither v{home.number} nor v{found.present} answers, so the chain decides"
        if time.perf_counter() - began > patience:
            raise Unavailable(
                "ST0824",
                f"model '{home.model}' was not rolled back: v{home.number} does not answer, and v{found.present} does.",
                remedy=f"See `seatrial logs {home.model}-{home.number}`; --force goes there all the same, and "
                f"`seatrial kill {home.model} --mode off` lets nobody answer.",
            )
        time.sleep(POLL_S)
    return f"v{home.number} answered after {seconds_text(time.perf_counter() - began)}"


def _move(model: str, found: Target, reason: str, actor: str, now: datetime) -> Entry:
    if found.release is not None:
        return abort_of(found.release, reason or "rollback", actor, now)
    return Homecoming(model, found.present, found.home.number, actor, reason, now.isoformat())


def _switched(controller: Controller, model: str, home: int, took: float, times: Times | None, proven: str) -> Switched:
    table = controller.envoy.table()
    split = shares(controller.envoy, table, model)
    told = ", ".join(f"{version} {share:.2%}" for version, share in split.items())
    text = (
        f"{model} rolled back in {took * 1000:.1f} ms{times_text(times)}; Envoy now sends {told} "
        f"(generation {table.generation})"
    )
    return Switched(model, f"v{home}", took * 1000, table.generation, split, text, times=times, proven=proven)


def times_text(times: Times | None) -> str:
    """``: detection unknown, decision 12 ms, switch 3 ms, drain 5 ms``."""
    return "" if times is None else f": {parts_text(plain(times))}"
