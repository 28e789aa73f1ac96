"""The operations every face calls: the CLI, the HTTP API and Python do the same things in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from seatrial.ci.results import Run
from seatrial.control import closing, holdouts, interventions
from seatrial.control.anchors import anchor_document, set_anchor
from seatrial.control.approvals import gate, steps
from seatrial.control.approvals.desk import Desk, Signer
from seatrial.control.capture.housekeeping import Compacted, Erased
from seatrial.control.changes.desk import ChangeDesk
from seatrial.control.changes.gate import require_declared
from seatrial.control.clock import Clock, StoredClock, WallClock, aware
from seatrial.control.controller import Controller
from seatrial.control.documents import catalog
from seatrial.control.drills.runner import Drills
from seatrial.control.feedback import KnownModels
from seatrial.control.launch import Launch, begin, can_start, once_more
from seatrial.control.levels import fallbacks, reviews
from seatrial.control.mlflow.sync import Sync
from seatrial.control.moves import move_of
from seatrial.control.project import Project
from seatrial.control.quality import record_run, require_green
from seatrial.control.recorder import record, record_revival
from seatrial.control.render import active_release
from seatrial.control.retention.keeping import keeping
from seatrial.control.shadows import moves as shadow_moves
from seatrial.control.signatures import check_signature
from seatrial.control.traffic import STORE_DOWN
from seatrial.control.way_home import by_hand as homecoming
from seatrial.control.way_home.proof import StandbyProof
from seatrial.control.way_home.switched import Switched, require_another, shares
from seatrial.control.way_home.upkeep import check_load
from seatrial.errors import Conflict, SeatrialError, Unavailable, UsageError
from seatrial.events.outcomes import Outcome, OutcomeLog
from seatrial.gateway.kill import KillLatch, KillMode, remove_latch, write_latch
from seatrial.ids import ModelName, RolloutId
from seatrial.registry.contract import Contract
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.people import Role
from seatrial.registry.safety import Safety
from seatrial.registry.version import Model, ModelVersion, Serving
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import Verb, by_hand
from seatrial.rollout.verdicts import Decision
from seatrial.store import releases
from seatrial.store.db import Store, Transaction
from seatrial.store.leases import LeaseLost
from seatrial.values import Share

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
        self.drills = Drills(self)
        self.mlflow = Sync(self)
        self.approvals = Desk(project, self.store, self.clock.now)
        self.changes = ChangeDesk(project, self.store, self.clock.now)
        self.followers: list[Callable[[], None]] = []  # called after every move of a replay's clock

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
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """Make what already serves at ``url`` the first champion. ``Conflict`` if the model has one."""
        now = self.clock.now()
        with self.store.begin() as tx:
            self._create_if_new(tx, Model(ModelName(model), owner, purpose, unit_header), contract, actor, now)
            version = tx.models.register_version(
                model, Serving(kind="url", url=url), None, actor=actor, now=now, source="adopted", tags=tags
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
        signature: str = "",
    ) -> ModelVersion:
        """Add a version with its lineage; the first version of a name makes the model. ``contract``: as configured."""
        now = self.clock.now()
        with self.store.begin() as tx:
            self._create_if_new(tx, Model(ModelName(model), unit_header=unit_header), contract, actor, now)
            version = tx.models.register_version(
                model, serving, lineage, actor=actor, now=now, tags=tags, signature=signature
            )
            check_signature(self.project.config.signing, version, tx.models.get_model(model).safety.tier)
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
            fallbacks.check_of(self.project, tx, model, safety.fallback, actor)
            secured = tx.models.secure(model, safety, actor=actor, now=self.clock.now())
            keeping(tx, self.project, secured).require()
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
        configured = tx.models.configure(model, contract, actor=actor, now=now)
        keeping(tx, self.project, configured).require()
        return configured

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

    def release_holdout(self, model: str, *, reason: str, actor: str) -> dict[str, Any]:
        """Units that were held out are everybody's from now on (control.holdouts)."""
        with self.store.begin() as tx:
            holdouts.release(tx, model, reason=reason, actor=actor, now=self.clock.now())
            document = holdouts.holdout_document(tx, model)
        if self.controller is not None:
            self.controller.reconcile()
        return document

    def add_shadow(self, model: str, version: int, share: Share, *, actor: str) -> dict[str, Any]:
        """Copies of a share of the units' requests to a version (control.shadow_moves)."""
        return shadow_moves.add_shadow(self.store, self.controller, self.clock, model, version, share, actor=actor)

    def remove_shadow(self, model: str, version: int, *, actor: str) -> dict[str, Any]:
        """No more copies to a version."""
        return shadow_moves.remove_shadow(self.store, self.controller, self.clock, model, version, actor=actor)

    # ── rollouts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start_rollout(
        self, model: str, version: int, plan: Plan, *, actor: str, salt: str | None = None, override: str = ""
    ) -> RolloutId:
        """Begin a rollout: the candidate's host answers first, then the plan, then the traffic.

        ``override``: why a plan may do what validation refuses and a person can answer for; audited.
        Raises PlanError for a plan that cannot be honoured, Conflict if the model is in a rollout or killed, and
        Unavailable if the candidate does not come up; then nothing has changed.
        """
        return self._launch(Launch(model=model, version=version, plan=plan, actor=actor, salt=salt, override=override))

    def retry(self, rollout: str, *, reason: str = "", override: str = "", actor: str) -> RolloutId:
        """Try the version of a rollout that is over once more, by the same plan, with units that are drawn anew.

        Raises Conflict while it is not over, and what ``start_rollout`` raises.
        """
        with self.store.read() as tx:
            asked = once_more(tx, rollout, reason=reason, override=override, actor=actor)
        return self._launch(asked)

    def _launch(self, asked: Launch) -> RolloutId:
        controller = self._running()
        with self.store.read() as tx:
            can_start(tx, asked, self._killed())
            candidate = tx.models.get_version(asked.model, asked.version)
            passed = require_green(tx, self.project, candidate, self.clock.now(), override=asked.override)
            require_declared(tx, candidate)
        gate.require(self.project, self.store, self.approvals, asked, self.clock.now())
        controller.standbys.require(asked.model, asked.plan, actor=asked.actor)
        with controller.candidate_up(candidate), controller.quiet:  # no line is read in between by the old plan
            with self.store.begin() as tx:
                champion = can_start(tx, asked, self._killed())  # again: the host took its time
                rollout = begin(tx, asked, champion, self.clock.now())
                gate.begun(tx, self.project, asked, rollout, self.clock.now())
                if passed:
                    told = {"reason": asked.override, "passed": passed}
                    tx.audit.append(asked.actor, "rollout.override", rollout, told, self.clock.now())
            controller.reconcile()
        return rollout

    def by_hand(self, rollout: str, verb: Verb, *, full: bool = False, reason: str = "", actor: str) -> Decision:
        """Pause, resume, promote or abort. ``promote --full`` overrides the gates and needs a reason."""
        if full and not reason.strip():
            raise UsageError("ST0316", "promote --full overrides the gates.", remedy="Say why: --reason '...'.")
        controller = self._running()
        with controller.lock:
            with self.store.read() as tx:
                release = catalog.load(tx.rollouts.get(rollout))
                if full:
                    gate.require_now(tx, self.project, rollout, self.clock.now())
            decision, after = by_hand(
                release.plan, release.state, verb,
                full=full, reason=reason, actor=actor, now=self.clock.now(), same=self.project.identities.same,
            )  # fmt: skip
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

    def approve(self, rollout: str, *, reason: str = "", actor: str, role: Role, own: bool = True) -> Decision:
        """One approval of the stage that a rollout is in, on the record; who may is said by its plan."""
        return steps.approve(self._running(), rollout, Signer(actor, role, own), reason=reason)

    def reject(self, rollout: str, *, reason: str, actor: str, role: Role, own: bool = True) -> Decision:
        """No to the stage that a rollout is in: it pauses."""
        return steps.reject(self._running(), rollout, Signer(actor, role, own), reason=reason)

    def withdraw(self, rollout: str, unit: str, *, reason: str = "", actor: str) -> Decision:
        """One unit leaves a rollout: on the champion at once, everybody else where they are."""
        return interventions.withdraw(self._running(), rollout, unit, reason=reason, actor=actor)

    def alert(self, rollout: str, text: str, *, severity: interventions.Severity = "critical", actor: str) -> Decision:
        """Something outside found harm: a *critical* alert ends the rollout at once, a *warning* pauses it."""
        return interventions.alert(self._running(), rollout, text, severity=severity, actor=actor)

    def record_ci(self, run: Run, *, actor: str) -> Run:
        """Keep what a run of ML CI found; releases of its version are held to it."""
        return record_run(self.store, run, actor=actor)

    # ── switches ───────────────────────────────────────────────────────────────────────────────────────────────────

    def rollback(
        self, model: str, *, reason: str = "", actor: str, force: bool = False, since: datetime | None = None
    ) -> Switched:
        """The way home: abort the model's rollout if there is one; after a promotion bring the Standby champion back.

        Nothing is to be done, and nothing is wrong, where everybody is home already. See ``control.way_home.by_hand``.
        """
        return homecoming.rollback(self._running(), model, reason=reason, actor=actor, force=force, since=since)

    def undo(self, rollout: str, *, reason: str = "", actor: str, force: bool = False) -> Switched:
        """Take back what a rollout did, also after its promotion, for as long as its champion stands by."""
        return homecoming.undo(self._running(), rollout, reason=reason, actor=actor, force=force)

    def prove_standby(self, model: str, *, load_s: float = 0.0, actor: str) -> StandbyProof:
        """Measure how fast the model's standby serves, and with ``load_s`` how much it can take; recorded."""
        check_load(load_s)
        return self._running().standbys.measure(model, load_s=load_s, actor=actor)

    def kill(self, model: str, *, mode: KillMode = "previous", reason: str, actor: str) -> Switched:
        """Latch the model: in force before anything is recorded, and until somebody revives it."""
        if not reason.strip():
            raise UsageError("ST0318", f"kill of '{model}' without a reason.", remedy="Say why: --reason '...'.")
        controller = self._running()
        began = time.perf_counter()
        with suppress(*STORE_DOWN), self.store.read() as tx:
            known = tx.models.get_model(model)  # a misspelt kill must not look like one that worked
            fallbacks.require_level(model, mode, known.safety.fallback)
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
            with self.store.read() as tx:
                require_another(tx.models.get_model(model), controller.latches(), actor, self.project.identities)
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

    def decide_review(
        self, id: str, decision: str, *, reason: str, actor: str, outcome: tuple[str, float] | None = None
    ) -> dict[str, Any]:
        """What a person decided about a request that no version answered; ``outcome``: its name and value, if it is
        one."""
        now = self.clock.now()
        document = reviews.decide(self.project, self.store, id, decision, reason=reason, actor=actor, now=now)
        if outcome is not None:
            self.ingest([Outcome(document["model"], id, *outcome, now)])
        return document

    def advance(self, to: str | datetime) -> dict[str, Any]:
        """Move the clock of a replay, after everything that was sent is captured, and take the looks due."""
        controller = self._running()
        if not controller.replay:
            raise UsageError("ST0319", "this project runs on the wall clock.", remedy="Set 'clock: replay'.")
        controller.advance(aware(to) if isinstance(to, str) else to)
        for follow in self.followers:
            follow()
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
        """Do what was chosen, and record why: ``roll_back`` brings the former champion back, routed first."""

        def go_home(model: str, why: str) -> Switched:
            return self.rollback(model, reason=why, actor=actor)

        return closing.close(self.store, incident, choice, reason, actor=actor, now=self.clock.now, go_home=go_home)

    # ── internals ──────────────────────────────────────────────────────────────────────────────────────────────────

    def running(self) -> Controller:
        """The controller. Raises Unavailable while none runs."""
        return self._running()

    def _running(self) -> Controller:
        if self.controller is None:
            raise Unavailable(
                "ST0800",
                f"the control plane of '{self.project.config.project}' is not running.",
                remedy="`seatrial up`",
            )
        return self.controller

    def _killed(self) -> frozenset[str]:
        return frozenset(latch.model for latch in self._running().latches())


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
