"""The way home when the control plane is down: kill, revive and rollback straight at the gateway.

A kill needs nothing but the disk: the latch is written first, and is in force at the next start whatever else fails.
Revive and rollback are recorded as well, so they need the store. Only the route of the one model is touched; where the
other versions listen is read from the gateway's own last table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from seatrial.control.clock import Clock, StoredClock, WallClock
from seatrial.control.gateway import gateway_of as gateway_of
from seatrial.control.journal import Homecoming, Journal
from seatrial.control.levels import fallbacks
from seatrial.control.levels.stand_ins import recorded_endpoints
from seatrial.control.moves import abort_of
from seatrial.control.project import Project
from seatrial.control.recorder import record, record_homecoming, record_revival
from seatrial.control.render import Desired, HostKey, Release, desired, route_table
from seatrial.control.states import decision_from_json, state_from_json
from seatrial.control.way_home.switched import Switched, require_another, shares
from seatrial.control.way_home.target import Target, answers, lift_limit, taken_back, target_of
from seatrial.errors import Conflict, IntegrityError, NotFound, SeatrialError, Unavailable, UsageError
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.kill import KillLatch, KillMode, apply_latches, read_latches, remove_latch, write_latch
from seatrial.gateway.routes import Endpoint, ModelRoute, RouteTable
from seatrial.ids import ModelName, VersionNumber
from seatrial.registry.fallback import host_name
from seatrial.store.db import Store

TRIES = 3
PATIENCE = timedelta(seconds=2)
STORE_DOWN = (Unavailable, IntegrityError, SQLAlchemyError, OSError)
"""What a store that is locked, gone or broken raises; a kill goes on without it."""

NEXT_START = "no gateway is running, so nothing is served now"


def clock_of(project: Project, store: Store) -> Clock:
    """The clock that the control plane would have."""
    return StoredClock(store) if project.config.clock == "replay" else WallClock()


def observed_weights(project: Project) -> dict[str, dict[str, int]]:
    """Weights that Envoy has in use now, by model (out of 10,000); empty when it does not answer."""
    try:
        return gateway_of(project).split() if project.gateway.is_dir() else {}
    except SeatrialError:
        return {}


def kill(project: Project, model: str, mode: KillMode, *, reason: str, actor: str) -> Switched:
    """Write the latch, then switch the gateway if it runs. Raises NotFound for a model that nobody knows."""
    if not reason.strip():
        raise UsageError("ST0318", f"kill of '{model}' without a reason.", remedy="Say why: --reason '...'.")
    began = time.perf_counter()
    envoy = gateway_of(project)
    _require_known(project, envoy, model)
    _require_level(project, envoy, model, mode)
    again = any(latch.model == model for latch in read_latches(project.kill_latches))
    write_latch(project.kill_latches, KillLatch(model, mode, actor, reason, datetime.now(UTC)))
    if envoy.pid is None:
        return _switched(
            envoy, model, mode, began, f"the latch is written and in force at the next start; {NEXT_START}"
        )

    def killed(table: RouteTable) -> RouteTable:
        if model in table.unavailable:
            return table
        route = _as_stored(project, table, model) if again else table.model(model)
        return _with_route(table, replace(route, killed=None))

    try:
        _apply(project, envoy, killed)
    except SeatrialError as error:
        raise Unavailable(
            "ST0820",
            f"model '{model}': the kill latch is written, but the gateway was not switched: {error.message}",
            remedy="The latch is in force when `seatrial up` starts; `seatrial down` stops all traffic now.",
        ) from error
    return _switched(envoy, model, mode, began, "killed")


def known_models(project: Project) -> list[str]:
    """Names of all models, as far as gateway and store can say: those in traffic, and those that may be put there."""
    table = gateway_of(project).table()
    names = {*(route.model for route in table.models), *table.unavailable}
    with suppress(*STORE_DOWN), Store.open(project.store_url, patience=PATIENCE) as store, store.read() as tx:
        names |= {want.model.name for want in desired(tx)}
    if not names:
        raise NotFound("ST0738", "there is no model to kill.", remedy="`seatrial model list`")
    return sorted(names)


def revive(project: Project, model: str, *, reason: str, actor: str) -> Switched:
    """Take the latch away, recorded first; the champion serves again where the gateway still knows its address."""
    began = time.perf_counter()
    envoy = gateway_of(project)
    with Store.open(project.store_url, patience=PATIENCE) as store:
        latch = next((latch for latch in read_latches(project.kill_latches) if latch.model == model), None)
        if latch is None:
            raise NotFound("ST0733", f"model '{model}' is not killed.", remedy="`seatrial model list` shows who is.")
        now = clock_of(project, store).now()
        with store.read() as tx:
            require_another(tx.models.get_model(model), [latch], actor, project.identities)
        with store.begin() as tx:
            record_revival(tx, latch, actor, reason, now)
        remove_latch(project.kill_latches, model)
        if envoy.pid is None:
            return _switched(envoy, model, "champion", began, f"the latch is removed; {NEXT_START}")
        route = _render(project, store, envoy.table(), model)
        if route is None:
            later = "the latch is removed; the routes change when `seatrial up` starts"
            return _switched(envoy, model, "champion", began, later)
        _apply(project, envoy, lambda table: _with_route(table, route))
    return _switched(envoy, model, "champion", began, "revived")


def rollback(
    project: Project, model: str, *, reason: str, actor: str, force: bool = False, undo: str | None = None
) -> Switched:
    """Abort the model's rollout; after a promotion bring its standby back; else change nothing.

    Routed first, then recorded. Raises Unavailable (ST0824) where the version to go back to does not answer and the
    present one does, and nothing can bring it up while the control plane is down; ``force`` goes there all the same.
    ``undo``: the rollout whose promotion is taken back; raises Conflict as ``way_back.taken_back`` does.
    """
    began = time.perf_counter()
    envoy = gateway_of(project)
    with Store.open(project.store_url, patience=PATIENCE) as store:
        want = _wanted(store, model)
        with store.read() as tx:
            done = "" if undo is None else taken_back(tx, undo)
            found = done or target_of(tx, model, undo=undo is not None)
        if isinstance(found, str):
            table = envoy.table()
            return Switched(model, "", 0.0, table.generation, _split(envoy, table, model), found, changed=False)
        home = found.home.number
        if envoy.pid is not None and not force:
            _require_answer(project, found)
        after = replace(want, champion=home, release=None, previous=None if want.release is None else want.previous)
        finish = _recording(project, store, want, home, reason or "rollback", actor)
        if envoy.pid is not None:
            _apply(project, envoy, lambda table: _with_route(table, _require_route(project, table, after)))
        took = time.perf_counter()
        finish()
    done = "rolled back" if envoy.pid is not None else f"rolled back in the store; {NEXT_START}"
    return _switched(envoy, model, f"v{home}", began, done, until=took)


def _require_answer(project: Project, found: Target) -> None:
    """Nobody is sent to a version that does not answer while the present one does. Its limit, if any, is lifted."""
    name, home = found.home.model, found.home.number
    lift_limit(project, name, home)
    if not answers(project, name, home) and answers(project, name, found.present):
        raise Unavailable(
            "ST0824", f"model '{name}' was not rolled back: v{home} does not answer, and v{found.present} does.",
            remedy=f"`seatrial up` brings v{home} up; --force goes there all the same.",
        )  # fmt: skip


# ── routes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _apply(project: Project, envoy: Envoy, change: Callable[[RouteTable], RouteTable]) -> None:
    """Change the table in force, kill latches last; somebody else's change in between is taken up, not undone."""
    for attempt in range(TRIES):
        table = envoy.table()
        wanted = apply_latches(change(table), read_latches(project.kill_latches))
        try:
            envoy.apply(replace(wanted, generation=table.generation + 1))
            return
        except Conflict:
            if attempt == TRIES - 1:
                raise


def _with_route(table: RouteTable, route: ModelRoute) -> RouteTable:
    """The table with one model's route in place of the old one."""
    return replace(table, models=tuple(route if old.model == route.model else old for old in table.models))


def _as_stored(project: Project, table: RouteTable, model: str) -> ModelRoute:
    """The route before any kill, from the store; the one in force if the store does not answer."""
    with suppress(*STORE_DOWN), Store.open(project.store_url, patience=PATIENCE) as store:
        return _render(project, store, table, model) or table.model(model)
    return table.model(model)


def _render(project: Project, store: Store, table: RouteTable, model: str) -> ModelRoute | None:
    """The model's route as the store wants it; None where the champion's address is not in the table any more."""
    return _route(project, table, _wanted(store, model))


def _route(project: Project, table: RouteTable, want: Desired) -> ModelRoute | None:
    endpoints = {**recorded_endpoints(project), **_endpoints(table)}  # a kill may have taken addresses out of the table
    if (want.model.name, want.champion) not in endpoints:
        return None
    return route_table([want], endpoints, project.config, generation=0).models[0]


def _require_route(project: Project, table: RouteTable, want: Desired) -> ModelRoute:
    route = _route(project, table, want)
    if route is None:
        raise Unavailable(
            "ST0821",
            f"the gateway does not know where {want.model.name} v{want.champion} listens.",
            remedy="`seatrial up` brings it up; `seatrial kill` needs no other version.",
        )
    return route


def _endpoints(table: RouteTable) -> dict[HostKey, Endpoint]:
    return {
        (ModelName(route.model), host_name(backend.version)): backend.endpoint
        for route in table.models
        for backend in (route.champion, route.canary, route.shadow, *route.fallbacks)
        if backend is not None
    }


# ── store ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wanted(store: Store, model: str) -> Desired:
    with store.read() as tx:
        tx.models.get_model(model)
        for want in desired(tx):
            if want.model.name == model:
                return want
    raise Conflict("ST0822", f"model '{model}' has no champion, so it has no traffic.")


def _recording(
    project: Project, store: Store, want: Desired, home: VersionNumber, reason: str, actor: str
) -> Callable[[], None]:
    """What records the rollback. It is journalled now, so that a crash before the record is made good later."""
    now = clock_of(project, store).now()
    if want.release is None:
        move = Homecoming(want.model.name, want.champion, home, actor, reason, now.isoformat())
        Journal(project.run / "journal.jsonl").write(move)

        def roll_back() -> None:
            with store.begin() as tx:
                record_homecoming(tx, move)

        return roll_back
    return _abort(project, store, want.release, reason, actor, now)


def _abort(
    project: Project, store: Store, release: Release, reason: str, actor: str, now: datetime
) -> Callable[[], None]:
    move = abort_of(release, reason, actor, now)
    Journal(project.run / "journal.jsonl").write(move)
    decision, state = decision_from_json(move.decision), state_from_json(move.state)

    def abort() -> None:
        with store.begin() as tx:
            record(tx, decision, state, revision=move.revision, digest=None, store_decision=True, given=move.given)

    return abort


def _require_known(project: Project, envoy: Envoy, model: str) -> None:
    """A misspelt kill must not look like one that worked. Where neither gateway nor store can say, it is written."""
    table = envoy.table()
    known = {*(route.model for route in table.models), *table.unavailable}
    if model in known:
        return
    with suppress(*STORE_DOWN), Store.open(project.store_url, patience=PATIENCE) as store, store.read() as tx:
        tx.models.get_model(model)
        return
    if known:
        raise NotFound(
            "ST0702", f"the gateway has no model '{model}'.", remedy=f"It knows: {', '.join(sorted(known))}."
        )


def _require_level(project: Project, envoy: Envoy, model: str, mode: KillMode) -> None:
    """The store is asked only about a level that is not in force: it may be slow to say that it is down."""
    in_force = {
        backend.level
        for route in envoy.table().models
        if route.model == model
        for backend in (route.champion, *route.fallbacks)
    }
    if mode in fallbacks.NOT_CHAINED or mode in in_force:
        return
    with suppress(*STORE_DOWN), Store.open(project.store_url, patience=PATIENCE) as store, store.read() as tx:
        fallbacks.require_level(model, mode, tx.models.get_model(model).safety.fallback)


# ── result ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _switched(envoy: Envoy, model: str, to: str, began: float, done: str, *, until: float | None = None) -> Switched:
    took = ((until or time.perf_counter()) - began) * 1000
    table = envoy.table()
    split = _split(envoy, table, model)
    sent = ", ".join(f"{version} {share:.2%}" for version, share in split.items())
    told = f" in {took:.1f} ms; Envoy now sends {sent} (generation {table.generation})" if split else ""
    return Switched(model, to, took, table.generation, split, f"{model} {done}{told}" if split else f"{model}: {done}")


def _split(envoy: Envoy, table: RouteTable, model: str) -> dict[str, float]:
    """Share by version as Envoy has it; empty when there is no Envoy."""
    if envoy.pid is None:
        return {}
    with suppress(NotFound):
        return shares(envoy, table, model)
    return {}
