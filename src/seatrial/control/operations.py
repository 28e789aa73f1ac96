"""The operations every face calls: the CLI, the HTTP API and Python do the same things in the same way."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from seatrial.control import interventions
from seatrial.control.anchors import anchor_document, set_anchor
from seatrial.control.clock import Clock, StoredClock, WallClock, aware
from seatrial.control.controller import Controller
from seatrial.control.documents import catalog, incidents
from seatrial.control.feedback import KnownModels
from seatrial.control.housekeeping import Compacted, Erased
from seatrial.control.journal import Entry, Homecoming
from seatrial.control.moves import abort_of, move_of
from seatrial.control.project import Project
from seatrial.control.recorder import record, record_revival
from seatrial.control.render import active_release
from seatrial.control.states import state_to_json
from seatrial.control.switched import Switched, shares
from seatrial.control.traffic import STORE_DOWN
from seatrial.errors import Conflict, SeatrialError, Unavailable, UsageError
from seatrial.events.outcomes import Outcome, OutcomeLog
from seatrial.gateway.kill import KillLatch, KillMode, remove_latch, write_latch
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.registry.contract import Contract
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.people import Role
from seatrial.registry.safety import Safety
from seatrial.registry.version import Model, ModelVersion, Serving
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import Verb, by_hand, start
from seatrial.rollout.verdicts import Decision
from seatrial.store import releases
from seatrial.store.canonical import canonical
from seatrial.store.db import Store, Transaction
from seatrial.store.leases import LeaseLost
from seatrial.store.plans import agreement, check_plan, overridden, plan_to_json

KILL_WAITS_S = 2.0
"""How long a kill that is in force waits for its entry in the audit log."""


class Operations:
    """Registry, rollouts and switches of one project. ``controller`` is None while nothing runs."""

    def __init__(self, project: Project, store: Store, controller: Controller | None = None) -> None:
        self.project, self.controller = project, controller
        self.store = controller.store if controller else store  # a controller that lost its lease writes nothing
        replay = project.config.clock == "replay"
        self.clock: Clock = controller.clock if controller else StoredClock(store) if replay else WallClock()
        self._outcomes = controller.outcomes if controller else OutcomeLog(project.outcomes, clock=self.clock.now)
        self._known = KnownModels(self.store)

    # ── registry ───────────────────────────────────────────────────────────────────────────────────────────────────

    def adopt(
        self,
        model: str,
        url: str,
        *,
        unit_header: str = "x-unit-id",
        contract: Contract | None = None,
        actor: str,
        owner: str = "",
        purpose: str = "",
    ) -> ModelVersion:
        """Make what already serves at ``url`` the first champion. ``Conflict`` if the model has one."""
        now = self.clock.now()
        with self.store.begin() as tx:
            self._create_if_new(tx, Model(ModelName(model), owner, purpose, unit_header), contract, actor, now)
            version = tx.models.register_version(
                model, Serving(kind="url", url=url), None, actor=actor, now=now, source="adopted"
            )
            adopted = releases.adopt_champion(tx.models, model, version.number, actor=actor, now=now)
        if self.controller is not None:
            self.controller.bring_up(adopted)
            self.controller.reconcile()
        return adopted

    def register(
        self,
        model: str,
        serving: Serving,
        lineage: ArtifactLineage | None,
        *,
        tags: Mapping[str, str] | None = None,
        actor: str,
        unit_header: str = "x-unit-id",
        contract: Contract | None = None,
    ) -> ModelVersion:
        """Add a version with its lineage; the first version of a name makes the model. ``contract``: as configured."""
        now = self.clock.now()
        with self.store.begin() as tx:
            self._create_if_new(tx, Model(ModelName(model), unit_header=unit_header), contract, actor, now)
            version = tx.models.register_version(model, serving, lineage, actor=actor, now=now, tags=tags)
        if contract is not None and self.controller is not None:
            self.controller.reconcile()
        return version

    def configure(self, model: str, contract: Contract, *, actor: str) -> Model:
        """Agree on how bodies are read and what is kept of them; in force at once where the control plane runs.

        ``Conflict`` while a rollout is active and the reading would change: its evidence would be of two kinds.
        """
        with self.store.begin() as tx:
            configured = self._agree(tx, model, contract, actor, self.clock.now())
        if self.controller is not None:
            self.controller.reconcile()
        return configured

    def secure(self, model: str, safety: Safety, *, actor: str) -> Model:
        """Treat a model more or less carefully, from its next release, switch or drill on."""
        with self.store.begin() as tx:
            secured = tx.models.secure(model, safety, actor=actor, now=self.clock.now())
        if self.controller is not None:
            self.controller.reconcile()
        return secured

    def _agree(self, tx: Transaction, model: str, contract: Contract, actor: str, now: datetime) -> Model:
        known = tx.models.get_model(model)
        running = active_release(tx, model)
        if running is not None and known.contract.reading() != contract.reading():
            rollout = running.state.rollout
            raise Conflict(
                "ST0761", f"model '{model}' is in rollout {rollout}, whose evidence is read by the present contract.",
                remedy=f"Wait for it, or `seatrial rollout abort {rollout}`; features and retention may change now.",
            )  # fmt: skip
        return tx.models.configure(model, contract, actor=actor, now=now)

    def _create_if_new(
        self, tx: Transaction, model: Model, contract: Contract | None, actor: str, now: datetime
    ) -> None:
        """The model as given, if there is none of its name; of one that is there, the contract, if one is given."""
        if all(known.name != model.name for known in tx.models.list_models()):
            tx.models.create_model(replace(model, contract=contract or Contract()), actor=actor, now=now)
        elif contract is not None:
            self._agree(tx, model.name, contract, actor, now)

    def anchor(self, model: str, version: int, *, reason: str, actor: str) -> dict[str, Any]:
        """Hold the model's releases against another version from now on (control.anchors)."""
        with self.store.begin() as tx:
            set_anchor(tx, model, version, reason=reason, actor=actor, now=self.clock.now())
            return anchor_document(tx, model)

    # ── rollouts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start_rollout(
        self, model: str, version: int, plan: Plan, *, actor: str, salt: str | None = None, override: str = ""
    ) -> RolloutId:
        """Begin a rollout: the candidate's host answers first, then the plan, then the traffic.

        ``override``: why a plan may do what validation refuses and a person can answer for; audited.
        Raises PlanError for a plan that cannot be honoured, Conflict if the model is in a rollout or killed, and
        Unavailable if the candidate does not come up; then nothing has changed.
        """
        controller = self._running()
        check_plan(plan, override=override)
        with self.store.read() as tx:
            self._can_start(tx, model, version, plan)
            candidate = tx.models.get_version(model, version)
        with controller.candidate_up(candidate), controller.quiet:  # no line is read in between by the old plan
            now = self.clock.now()
            with self.store.begin() as tx:
                champion = self._can_start(tx, model, version, plan)  # again: the host took its time
                rollout = tx.rollouts.next_id()
                decision, state = start(
                    plan, rollout, ModelName(model), champion, VersionNumber(version),
                    salt or f"{rollout}-{secrets.token_hex(4)}", now, actor,
                )  # fmt: skip
                text = canonical(plan_to_json(plan))
                stored = tx.rollouts.create(rollout, model, version, champion, text, state_to_json(state), now)
                record(
                    tx, decision, state,
                    revision=stored.revision, digest=None, store_decision=True, agreed=agreement(plan),
                )  # fmt: skip
                if override and (passed := overridden(plan)):
                    tx.audit.append(actor, "rollout.override", rollout, {"reason": override, "passed": passed}, now)
            controller.reconcile()
        return rollout

    def _can_start(self, tx: Transaction, model: str, version: int, plan: Plan) -> VersionNumber:
        known = tx.models.get_model(model)
        candidate = tx.models.get_version(model, version)
        champion = tx.models.pointers(model).get("champion")
        if champion is None:
            raise Conflict(
                "ST0311", f"model '{model}' has no champion to compare with.",
                remedy=f"`seatrial model adopt {model} --url URL` makes what serves today the champion.",
            )  # fmt: skip
        if candidate.stage not in (Stage.NONE, Stage.STAGING):
            raise Conflict(
                "ST0312", f"{candidate.name} is in {candidate.stage}: only a new or staged version can start."
            )
        if (running := active_release(tx, model)) is not None:
            raise Conflict(
                "ST0313", f"model '{model}' is in rollout {running.state.rollout}.",
                remedy=f"Wait for it, or `seatrial rollout abort {running.state.rollout}`.",
            )  # fmt: skip
        if plan.unit is not None and plan.unit.header.lower() != known.unit_header.lower():
            raise UsageError(
                "ST0314",
                f"plan '{plan.name}' randomises by '{plan.unit.header}', model '{model}' by '{known.unit_header}'.",
                remedy="The unit belongs to the model: remove it from the plan or register the model with it.",
            )  # fmt: skip
        if any(latch.model == model for latch in self._latches()):
            raise Conflict("ST0315", f"model '{model}' is killed.", remedy=f"`seatrial revive {model}` first.")
        return champion

    def by_hand(self, rollout: str, verb: Verb, *, full: bool = False, reason: str = "", actor: str) -> Decision:
        """Pause, resume, promote or abort. ``promote --full`` overrides the gates and needs a reason."""
        if full and not reason.strip():
            raise UsageError("ST0316", "promote --full overrides the gates.", remedy="Say why: --reason '...'.")
        controller = self._running()
        with controller.lock:
            with self.store.read() as tx:
                release = catalog.load(tx.rollouts.get(rollout))
            decision, after = by_hand(
                release.plan, release.state, verb, full=full, reason=reason, actor=actor, now=self.clock.now()
            )
            move = move_of(release, decision, after)
            if verb == "abort":
                controller.protect(move)
                controller.finish()
            else:
                with self.store.begin() as tx:
                    record(
                        tx, decision, after,
                        revision=move.revision, digest=None, store_decision=True, given=move.given,
                    )  # fmt: skip
            controller.reconcile()
        return decision

    def approve(self, rollout: str, *, reason: str = "", actor: str, role: Role) -> Decision:
        """One approval of the stage that a rollout is in, on the record; who may is said by its plan."""
        return interventions.approve(self._running(), rollout, reason=reason, actor=actor, role=role)

    def withdraw(self, rollout: str, unit: str, *, reason: str = "", actor: str) -> Decision:
        """One unit leaves a rollout: on the champion at once, everybody else where they are."""
        return interventions.withdraw(self._running(), rollout, unit, reason=reason, actor=actor)

    def alert(self, rollout: str, text: str, *, severity: interventions.Severity = "critical", actor: str) -> Decision:
        """Something outside found harm: a *critical* alert ends the rollout at once, a *warning* pauses it."""
        return interventions.alert(self._running(), rollout, text, severity=severity, actor=actor)

    # ── switches ───────────────────────────────────────────────────────────────────────────────────────────────────

    def rollback(self, model: str, *, reason: str = "", actor: str) -> Switched:
        """The way home: abort the model's rollout if there is one, else bring the Standby champion back.

        Traffic moves first, then it is recorded. Without a rollout and without a Standby nothing changes (Conflict).
        """
        controller = self._running()
        began = time.perf_counter()
        with controller.lock:
            with self.store.read() as tx:
                tx.models.get_model(model)
                release = active_release(tx, model)
                pointers = tx.models.pointers(model)
            now = self.clock.now()
            move: Entry
            if release is not None:
                home = release.state.champion
                move = abort_of(release, reason or "rollback", actor, now)
            else:
                home = self._standby(model, pointers.get("previous"))
                move = Homecoming(model, pointers["champion"], home, actor, reason, now.isoformat())
            controller.protect(move)
            took = _ms_since(began)
            controller.finish()
            controller.reconcile()
        return self._switched(model, f"v{home}", took, "rolled back")

    def _standby(self, model: str, previous: VersionNumber | None) -> VersionNumber:
        if previous is None:
            raise Conflict(
                "ST0317", f"model '{model}' has neither a rollout nor a previous champion: nothing to roll back.",
                remedy=f"`seatrial kill {model}` takes it out of traffic.",
            )  # fmt: skip
        return previous

    def kill(self, model: str, *, mode: KillMode = "previous", reason: str, actor: str) -> Switched:
        """Latch the model: in force before anything is recorded, and until somebody revives it."""
        if not reason.strip():
            raise UsageError("ST0318", f"kill of '{model}' without a reason.", remedy="Say why: --reason '...'.")
        controller = self._running()
        began = time.perf_counter()
        with suppress(*STORE_DOWN), self.store.read() as tx:
            tx.models.get_model(model)  # a misspelt kill must not look like one that worked
        write_latch(self.project.kill_latches, KillLatch(model, mode, actor, reason, datetime.now(UTC)))
        try:
            controller.switch_killed()
        except SeatrialError as error:
            raise Unavailable(
                "ST0820",
                f"model '{model}': the kill latch is written, but the gateway was not switched: {error.message}",
                remedy="It is tried again until it is; `seatrial down` stops all traffic now.",
            ) from error
        took = _ms_since(began)
        if controller.lock.acquire(timeout=KILL_WAITS_S):  # else a round waits for the store, and heeds it after that
            with ExitStack() as held, suppress(*STORE_DOWN, LeaseLost):
                held.callback(controller.lock.release)
                controller.reroute_killed()  # a round that had begun before may have put its own routes over the kill
                controller.heed_kills()
                controller.reconcile()
        return self._switched(model, mode, took, "killed")

    def revive(self, model: str, *, reason: str, actor: str) -> Switched:
        """Take the latch away; the champion serves again."""
        controller = self._running()
        began = time.perf_counter()
        with controller.lock:
            latch = remove_latch(self.project.kill_latches, model)
            controller.reroute()
            took = _ms_since(began)
            with self.store.begin() as tx:
                record_revival(tx, latch, actor, reason, self.clock.now())
        return self._switched(model, "champion", took, "revived")

    def split(self, model: str) -> dict[str, float]:
        """Share of traffic by version, as Envoy has it in use now."""
        envoy = self._running().envoy
        return shares(envoy, envoy.table(), model)

    def _switched(self, model: str, to: str, took_ms: float, done: str) -> Switched:
        split = self.split(model)
        generation = self._running().envoy.table().generation
        told = ", ".join(f"{version} {share:.2%}" for version, share in split.items())
        text = f"{model} {done} in {took_ms:.1f} ms; Envoy now sends {told} (generation {generation})"
        return Switched(model, to, took_ms, generation, split, text)

    # ── what is kept ───────────────────────────────────────────────────────────────────────────────────────────────

    def compact(self, model: str | None = None) -> Compacted:
        """Merge small parts of what was captured into large ones, of one model or of all."""
        return self._running().housekeeping.compact(model)

    def erase(self, model: str, unit: str, *, actor: str) -> Erased:
        """Take a unit's predictions and their outcomes out of everything that is kept of a model."""
        return self._running().housekeeping.erase(model, unit, actor=actor)

    # ── outcomes and replay ────────────────────────────────────────────────────────────────────────────────────────

    def ingest(self, outcomes: Sequence[Outcome]) -> int:
        """Store outcomes; they are on disk when this returns. The same ones again change nothing.

        Raises UsageError, and keeps nothing, if one is about a model that does not exist.
        """
        self._known.require(outcome.model for outcome in outcomes)
        return self._outcomes.append(outcomes)

    def advance(self, to: str | datetime) -> dict[str, Any]:
        """Move the clock of a replay, after everything that was sent is captured, and take the looks due."""
        controller = self._running()
        if not controller.replay:
            raise UsageError("ST0319", "this project runs on the wall clock.", remedy="Set 'clock: replay'.")
        controller.advance(aware(to) if isinstance(to, str) else to)
        with self.store.read() as tx:
            return {
                "now": self.clock.now().isoformat(),
                "rollouts": {r.id: r.status for r in tx.rollouts.list()},
            }

    # ── after a rollout ────────────────────────────────────────────────────────────────────────────────────────────

    def reconcile(self, rollout: str, at: str | None = None, *, actor: str) -> dict[str, Any]:
        """What a rollout did to the metrics that outlast it, as of a time (now, unless given); recorded and audited.

        Raises UsageError where nothing outlasts it or the time does not fit, Conflict where there was no canary.
        """
        return self._running().reconciler.by_hand(rollout, None if at is None else aware(at), actor=actor)

    def close_incident(self, incident: str, choice: str, *, reason: str, actor: str) -> dict[str, Any]:
        """Record what was chosen, and why. It moves no traffic: `rollback` does."""
        return incidents.close(self.store, incident, choice, reason, actor=actor, now=self.clock.now())

    # ── internals ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _running(self) -> Controller:
        if self.controller is None:
            raise Unavailable(
                "ST0800",
                f"the control plane of '{self.project.config.project}' is not running.",
                remedy="`seatrial up`",
            )
        return self.controller

    def _latches(self) -> tuple[KillLatch, ...]:
        return self._running().latches()


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
