"""What should be running and how traffic should flow, computed from the store: the desired state, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seatrial.control.holdouts import Holdout, standing
from seatrial.control.journal import Entry, Homecoming, Move
from seatrial.control.project import Config
from seatrial.control.shadows.standing import StandingShadow, standing_shadows
from seatrial.control.states import state_from_json
from seatrial.gateway.routes import PRIMARY, Backend, Endpoint, ModelRoute, RouteTable, Standing
from seatrial.ids import ModelName, StandInName, VersionNumber
from seatrial.registry.fallback import StandIn, stand_ins
from seatrial.registry.version import Model
from seatrial.rollout.holdout import beside
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import RolloutState
from seatrial.store.db import Transaction
from seatrial.store.plans import plan_from_json
from seatrial.store.rollouts import StoredRollout

VersionKey = tuple[ModelName, VersionNumber]
HostKey = tuple[ModelName, VersionNumber | StandInName]
"""What runs in a process of its own: a version, or what stands in for all of them."""


@dataclass(frozen=True, slots=True)
class Release:
    """One active rollout: as stored, with its plan and state."""

    stored: StoredRollout
    plan: Plan
    state: RolloutState


@dataclass(frozen=True, slots=True)
class Desired:
    """A model with the versions that matter now. ``kept``: the holdout that a promotion left behind."""

    model: Model
    champion: VersionNumber
    previous: VersionNumber | None
    release: Release | None
    standing: tuple[StandingShadow, ...] = ()
    kept: Holdout | None = None

    @property
    def holdout(self) -> tuple[VersionNumber, int] | None:
        """Who answers the units that are held out, and for how many points: of the rollout, or of one before it."""
        if self.plan is not None and self.plan.holdout is not None:
            return self.champion, self.plan.holdout.per_10k
        return None if self.kept is None else (self.kept.version, self.kept.held)

    @property
    def shadows(self) -> list[StandingShadow]:
        """Standing shadows that get copies now: whoever answers users, or is the candidate, rests."""
        busy = {self.champion, self.release.state.candidate if self.release else None}
        return [one for one in self.standing if one.version not in busy]

    @property
    def plan(self) -> Plan | None:
        """Of the rollout."""
        return None if self.release is None else self.release.plan

    def versions(self) -> list[VersionKey]:
        """Versions that must be up: the champion, the standby unless it is kept cold, the candidate of a rollout, who
        answers a holdout, and standing shadows."""
        standby = None if self.model.safety.standby == "cold" else self.previous
        candidate = self.release.state.candidate if self.release else None
        held = None if self.holdout is None else self.holdout[0]
        numbers = [self.champion, standby, candidate, held, *(one.version for one in self.shadows)]
        return [(self.model.name, n) for n in dict.fromkeys(numbers) if n is not None]

    def stand_ins(self) -> list[StandIn]:
        """What answers when no version does, in the order of the chain."""
        return stand_ins(self.model.safety.fallback)

    def hosts(self) -> list[HostKey]:
        """Everything of this model that must be up."""
        return [*self.versions(), *((self.model.name, one.name) for one in self.stand_ins())]


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
            release, shadows = active_release(tx, model.name), standing_shadows(tx, model.name)
            kept = standing(tx, model.name)
            wanted.append(Desired(model, champion, pointers.get("previous"), release, shadows, kept))
    return wanted


def moved(wanted: list[Desired], moves: Sequence[Entry]) -> list[Desired]:
    """The desired state with the protective moves that are not recorded yet: they are in force all the same."""
    for move in moves:
        wanted = [_moved(want, move) for want in wanted]
    return wanted


def _moved(want: Desired, move: Entry) -> Desired:
    if isinstance(move, Homecoming):
        pending = (want.model.name, want.champion, want.previous) == (move.model, move.champion, move.home)
        return replace(want, champion=VersionNumber(move.home), previous=None, kept=None) if pending else want
    if want.release is None or not is_pending(move, want.release.stored):
        return want
    state = state_from_json(move.state)
    return replace(want, release=None if state.over else replace(want.release, state=state))


def is_pending(move: Move, stored: StoredRollout) -> bool:
    """Whether a journalled move is still to be recorded."""
    return (move.rollout, move.revision) == (stored.id, stored.revision) and stored.active


def route_table(
    wanted: list[Desired], endpoints: Mapping[HostKey, Endpoint], config: Config, *, generation: int
) -> RouteTable:
    """Routes for every model.

    Where the champion has no host, the next level answers in its place and says so (*previous*, *rules*), as it would
    for a champion that died; where there is none either, the model is unavailable.
    """
    whole, attempt = config.timeouts.request.seconds, config.timeouts.attempt.seconds
    routes = [(want.model.name, _route(want, endpoints)) for want in wanted]
    return RouteTable(
        generation,
        tuple(replace(route, timeout_s=whole, try_timeout_s=attempt) for _, route in routes if route is not None),
        config.clock == "replay",
        tuple(name for name, route in routes if route is None),
    )


def _route(want: Desired, endpoints: Mapping[HostKey, Endpoint]) -> ModelRoute | None:
    name = want.model.name
    below = ((one.name, one.level) for one in want.stand_ins())
    levels = [(want.champion, PRIMARY), (want.previous, "previous"), *below]
    chain = [
        Backend(str(number), endpoints[name, number], level)
        for number, level in levels
        if number is not None and (name, number) in endpoints
    ]
    if not chain:
        return None
    holdout = _holdout(want, endpoints)
    held = 0 if holdout is None else holdout[1]
    plain = ModelRoute(
        model=name,
        salt=name if want.kept is None else want.kept.salt,
        unit_header=want.model.unit_header,
        champion=chain[0],
        fallbacks=tuple(chain[1:]),
        lowered=None if chain[0].level == PRIMARY else "unavailable",
        standing=tuple(
            Standing(Backend(str(one.version), endpoints[name, one.version], "shadow"), one.share.per_10k)
            for one in want.shadows
            if (name, one.version) in endpoints
        ),
        holdout=None if holdout is None else holdout[0],
        held=held,
    )
    if want.release is None:
        return plain
    state = want.release.state
    candidate = endpoints.get((name, state.candidate))
    phase = state.phase
    canary = None if candidate is None else Backend(str(state.candidate), candidate, "primary")
    shadow = None if candidate is None else Backend(str(state.candidate), candidate, "shadow")
    return replace(
        plain,
        salt=state.salt,
        canary=canary if phase.weight else None,
        shadow=shadow if phase.mirrored else None,
        # Without a host nobody is sent there; the sample ratio will tell.
        canary_weight=beside(phase.weight, held) if canary else 0,
        mirrored=beside(phase.mirrored, held) if shadow else 0,
        mirrored_by=_mirrored_by(want.release, held) if shadow else (),
        segment_header=None if (segment := want.release.plan.gateway_segment) is None else segment.header,
        rollout=state.rollout,
        phase=phase.number,
        withdrawn=tuple(one.unit for one in state.withdrawn),
    )


def _holdout(want: Desired, endpoints: Mapping[HostKey, Endpoint]) -> tuple[Backend, int] | None:
    """Who answers the points that are held out, and how many; without its host they are everybody's."""
    if want.holdout is None or (want.model.name, want.holdout[0]) not in endpoints:
        return None
    version, points = want.holdout
    return Backend(str(version), endpoints[want.model.name, version]), points


def _mirrored_by(release: Release, held: int) -> tuple[tuple[str, int], ...]:
    """Shares of segments in the present phase."""
    phase = release.state.phase
    shares = compile_stages(release.plan)[phase.stage].mirrored_by if phase.mirrored else ()
    return tuple((value, beside(points, held)) for value, points in shares)
