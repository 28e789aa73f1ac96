"""What should be running and how traffic should flow, computed from the store: the desired state, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seatrial.control.journal import Entry, Homecoming, Move
from seatrial.control.project import Config
from seatrial.control.states import state_from_json
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable
from seatrial.ids import ModelName, VersionNumber
from seatrial.registry.version import Model
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
from seatrial.store.db import Transaction
from seatrial.store.plans import plan_from_json
from seatrial.store.rollouts import StoredRollout

VersionKey = tuple[ModelName, VersionNumber]


@dataclass(frozen=True, slots=True)
class Release:
    """One active rollout: as stored, with its plan and state."""

    stored: StoredRollout
    plan: Plan
    state: RolloutState


@dataclass(frozen=True, slots=True)
class Desired:
    """A model with the versions that matter now."""

    model: Model
    champion: VersionNumber
    previous: VersionNumber | None
    release: Release | None

    @property
    def plan(self) -> Plan | None:
        """Of the rollout."""
        return None if self.release is None else self.release.plan

    def versions(self) -> list[VersionKey]:
        """Versions that must be up: the champion, the standby, and the candidate of a rollout."""
        numbers = [self.champion, self.previous, self.release.state.candidate if self.release else None]
        return [(self.model.name, n) for n in dict.fromkeys(numbers) if n is not None]


def active_release(tx: Transaction, model: str) -> Release | None:
    """The model's active rollout, if there is one."""
    found = tx.rollouts.list(model, active=True)
    if not found:
        return None
    stored = found[0]
    return Release(stored, plan_from_json(json.loads(stored.plan)), state_from_json(stored.state))


def desired(tx: Transaction) -> list[Desired]:
    """All models that have a champion. A model without one has no traffic yet."""
    wanted = []
    for model in tx.models.list_models():
        pointers = tx.models.pointers(model.name)
        if (champion := pointers.get("champion")) is not None:
            wanted.append(Desired(model, champion, pointers.get("previous"), active_release(tx, model.name)))
    return wanted


def moved(wanted: list[Desired], moves: Sequence[Entry]) -> list[Desired]:
    """The desired state with the protective moves that are not recorded yet: they are in force all the same."""
    for move in moves:
        wanted = [_moved(want, move) for want in wanted]
    return wanted


def _moved(want: Desired, move: Entry) -> Desired:
    if isinstance(move, Homecoming):
        pending = (want.model.name, want.champion, want.previous) == (move.model, move.champion, move.home)
        return replace(want, champion=VersionNumber(move.home), previous=None) if pending else want
    if want.release is None or not is_pending(move, want.release.stored):
        return want
    state = state_from_json(move.state)
    return replace(want, release=None if state.over else replace(want.release, state=state))


def is_pending(move: Move, stored: StoredRollout) -> bool:
    """Whether a journalled move is still to be recorded."""
    return (move.rollout, move.revision) == (stored.id, stored.revision) and stored.active


def route_table(
    wanted: list[Desired], endpoints: Mapping[VersionKey, Endpoint], config: Config, *, generation: int
) -> RouteTable:
    """Routes for every model.

    Where the champion has no host, the standby answers in its place and says so (level *previous*), as it would for a
    champion that died; where there is no standby either, the model is unavailable.
    """
    whole, attempt = config.timeouts.request.seconds, config.timeouts.attempt.seconds
    routes = [(want.model.name, _route(want, endpoints)) for want in wanted]
    return RouteTable(
        generation,
        tuple(replace(route, timeout_s=whole, try_timeout_s=attempt) for _, route in routes if route is not None),
        config.clock == "replay",
        tuple(name for name, route in routes if route is None),
    )


def _route(want: Desired, endpoints: Mapping[VersionKey, Endpoint]) -> ModelRoute | None:
    name = want.model.name
    previous = want.previous
    fallback = None
    if previous is not None and (name, previous) in endpoints:
        fallback = Backend(str(previous), endpoints[name, previous], "previous")
    if (name, want.champion) in endpoints:
        champion = Backend(str(want.champion), endpoints[name, want.champion], "primary")
    elif fallback is not None:
        champion, fallback = fallback, None
    else:
        return None
    if want.release is None:
        return ModelRoute(
            model=name, salt=name, unit_header=want.model.unit_header, champion=champion, fallback=fallback
        )
    state = want.release.state
    candidate = endpoints.get((name, state.candidate))
    phase = state.phase
    canary = None if candidate is None else Backend(str(state.candidate), candidate, "primary")
    shadow = None if candidate is None else Backend(str(state.candidate), candidate, "shadow")
    return ModelRoute(
        model=name,
        salt=state.salt,
        unit_header=want.model.unit_header,
        champion=champion,
        canary=canary if phase.weight else None,
        shadow=shadow if phase.mirrored else None,
        canary_weight=phase.weight if canary else 0,  # without a host nobody is sent there; the sample ratio will tell
        mirrored=phase.mirrored if shadow else 0,
        rollout=state.rollout,
        phase=phase.number,
        withdrawn=tuple(one.unit for one in state.withdrawn),
        fallback=fallback,
    )
