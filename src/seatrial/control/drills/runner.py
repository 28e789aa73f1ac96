"""Running drills: begun, taken step by step, and ended; at every step everything can be put back as it was.

What was done and seen is stored after each step, so a drill is gone on with after a restart. Users are never at risk:
what the faulty version does not answer, its champion does.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from seatrial.control.drills.asking import Asker, bodies_of
from seatrial.control.drills.documents import drill_document, evidence_of, review_of
from seatrial.control.drills.fault import FaultServer
from seatrial.control.drills.scene import Scene
from seatrial.control.drills.steps import DO, Run, require_idle
from seatrial.errors import Conflict
from seatrial.governance.drills.judge import judge
from seatrial.governance.drills.policy import DrillPolicy
from seatrial.governance.drills.review import Review, carried, require_complete, require_open
from seatrial.governance.drills.steps import StepName
from seatrial.store.canonical import iso_z
from seatrial.store.drills import StoredDrill

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

Document = dict[str, Any]


class Drills:
    """Of one project. One step at a time; aborting needs to wait for none."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._stepping = threading.Lock()
        self._faults: dict[str, FaultServer] = {}

    @property
    def policy(self) -> DrillPolicy:
        """As configured; the defaults where there is no schedule."""
        return self._operations.project.config.drills or DrillPolicy()

    def begin(self, model: str, requests: Sequence[Any] = (), *, actor: str) -> Document:
        """A new drill, or the one that the model is in. Nothing in traffic changes yet.

        ``requests``: bodies to ask; what users sent last, unless given. Raises NotFound, and Conflict where the model
        is in a rollout, killed, without a champion, or has nothing to be asked.
        """
        scene, now = self._scene(model), datetime.now(UTC)
        with self._operations.store.read() as tx:
            tx.models.get_model(model)
            pointers = tx.models.pointers(model)
            going_on = [drill for drill in tx.drills.list(model) if drill.status == "running"]
            before = {d.id: review_of(d) for d in tx.drills.list(model) if d.status in ("passed", "failed")}
        if going_on:
            return drill_document(going_on[0])
        if "champion" not in pointers:
            raise Conflict("ST0375", f"model '{model}' has no champion.", remedy="There is nothing to go home to yet.")
        require_idle(scene)
        bodies = bodies_of(self._operations.project, model, pointers["champion"], requests)
        policy = self.policy
        review = Review(participants=policy.participants, actions=carried(before, ""))
        document = {
            "actor": actor, "owner": policy.owner, "participants": list(policy.participants),
            "unannounced": policy.unannounced, "share": policy.share.per_10k,
            "targets": {"detect": policy.targets.detect.seconds, "zero": policy.targets.zero.seconds},
            "bodies": bodies, "version": None, "rollout": None, "steps": [], "endedAt": None, "closed": None,
            "review": asdict(review),
        }  # fmt: skip
        with self._operations.store.begin() as tx:
            drill = tx.drills.create(model, document, now)
            told = {"model": model, "share": policy.share.per_10k, "unannounced": policy.unannounced}
            tx.audit.append(actor, "drill.start", drill.id, told, scene.now())
        return drill_document(drill)

    def step(self, id: str, number: int, *, actor: str) -> Document:
        """Take the step of this number; after the last one the drill is judged. ``Conflict`` if it is not its turn."""
        if not self._stepping.acquire(blocking=False):
            raise Conflict("ST0377", "another step of a drill is under way.", remedy="Wait for it, or abort its drill.")
        try:
            return self._step(id, number, actor)
        finally:
            self._stepping.release()

    def _step(self, id: str, number: int, actor: str) -> Document:
        drill = self._get(id)
        name = drill.progress.require(number)
        if name == "inject":
            drill = self._inject(drill, actor)
        began = datetime.now(UTC)
        evidence = DO[name](self._run(drill, actor))
        step = {"number": number, "name": name, "startedAt": iso_z(began), "endedAt": iso_z(datetime.now(UTC)),
                "evidence": evidence}  # fmt: skip
        document = {**drill.document, "steps": [*drill.document["steps"], step]}
        with self._operations.store.begin() as tx:
            saved = tx.drills.save(drill, document)
            tx.audit.append(actor, "drill.step", id, {"number": number, "name": name}, self._operations.clock.now())
        return drill_document(self._finish(saved, actor) if saved.progress.next is None else saved)

    def _inject(self, drill: StoredDrill, actor: str) -> StoredDrill:
        """Begin the rollout of a version that fails; once, also where the step is taken again."""
        if drill.document["rollout"] is not None:
            return drill
        scene, controller = self._scene(drill.model), self._operations.running()
        require_idle(scene)
        fault = self._faults[drill.id] = FaultServer()
        with self._operations.store.begin() as tx:
            number = scene.register(tx, fault.url, drill.id, actor)
            drill = tx.drills.save(drill, {**drill.document, "version": number})
            version = tx.models.get_version(drill.model, number)
        with controller.candidate_up(version), controller.quiet:
            with self._operations.store.begin() as tx:
                rollout = scene.begin(tx, number, int(drill.document["share"]), actor)
                drill = tx.drills.save(drill, {**drill.document, "rollout": rollout})
            controller.reconcile()
        return drill

    def _finish(self, drill: StoredDrill, actor: str) -> StoredDrill:
        """Judge the evidence, exactly as `drill judge` does from a file of it."""
        verdict = judge(evidence_of(drill))
        self._end_fault(drill.id)
        with self._operations.store.begin() as tx:
            done = tx.drills.save(
                drill, {**drill.document, "endedAt": iso_z(self._operations.clock.now())},
                "passed" if verdict.passed else "failed",
            )  # fmt: skip
            told = {"model": drill.model, "passed": verdict.passed, "failed": [c.name for c in verdict.failed]}
            tx.audit.append(actor, "drill.finish", drill.id, told, self._operations.clock.now())
        return done

    def abort(self, id: str, *, reason: str, actor: str) -> Document:
        """End a drill at whatever step it is, and put everything back. Of one that is over, nothing is left to do."""
        drill = self._get(id)
        if drill.status != "running":
            return drill_document(drill)
        with self._operations.store.begin() as tx:
            drill = tx.drills.save(tx.drills.get(id), tx.drills.get(id).document, "aborted")
            tx.audit.append(actor, "drill.abort", id, {"reason": reason}, self._operations.clock.now())
        scene = self._scene(drill.model)
        rollout, version = drill.document["rollout"], drill.document["version"]
        if rollout is not None and scene.running() == rollout:
            self._operations.rollback(drill.model, reason=f"drill {id} aborted: {reason}", actor=actor)
        if version is not None:
            scene.archive(version, actor, f"drill {id} aborted")
            scene.controller.reconcile()
        self._end_fault(id)
        return drill_document(drill)

    # ── the review ─────────────────────────────────────────────────────────────────────────────────────────────────

    def review(self, id: str, review: Review, *, actor: str) -> Document:
        """Fill in what people learned. Actions that were carried on stay in it, done or not."""
        drill = self._get(id)
        require_open(id, drill.document["closed"])
        kept = {action.text for action in review.actions}
        left_out = [action for action in review_of(drill).actions if action.since and action.text not in kept]
        whole = replace(review, actions=(*left_out, *review.actions))
        with self._operations.store.begin() as tx:
            saved = tx.drills.save(drill, {**drill.document, "review": asdict(whole)})
            tx.audit.append(actor, "drill.review", id, {"actions": len(whole.actions)}, self._operations.clock.now())
        return drill_document(saved)

    def close(self, id: str, *, actor: str) -> Document:
        """The review is complete and stays as it is. Raises UsageError that names what is missing."""
        drill = self._get(id)
        require_open(id, drill.document["closed"])
        if drill.status == "running":
            raise Conflict("ST0366", f"drill {id} still runs.", remedy="Finish it, or abort it, first.")
        failed = [] if drill.status == "aborted" else [c.name for c in judge(evidence_of(drill)).failed]
        require_complete(id, review_of(drill), failed)
        now = self._operations.clock.now()
        with self._operations.store.begin() as tx:
            saved = tx.drills.save(drill, {**drill.document, "closed": f"{iso_z(now)} {actor}"})
            tx.audit.append(actor, "drill.close", id, {"status": drill.status}, now)
        return drill_document(saved)

    # ── internals ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, drill: StoredDrill, actor: str) -> Run:
        document, scene = drill.document, self._scene(drill.model)
        done: dict[StepName, Document] = {step["name"]: step["evidence"] for step in document["steps"]}
        with self._operations.store.read() as tx:
            header = tx.models.get_model(drill.model).unit_header
        return Run(
            id=drill.id, scene=scene, share=document["share"], target_s=document["targets"]["detect"], actor=actor,
            asker=Asker(self._operations.project, drill.model, header, document["bodies"]), done=done,
            version=document["version"] or 0, rollout=document["rollout"] or "",
            aborted=lambda: self._get(drill.id).status != "running",
            roll_back=lambda why: self._operations.rollback(drill.model, reason=why, actor=actor),
        )  # fmt: skip

    def _scene(self, model: str) -> Scene:
        return Scene(self._operations.running(), model, self._operations.split)

    def _get(self, id: str) -> StoredDrill:
        with self._operations.store.read() as tx:
            return tx.drills.get(id)

    def _end_fault(self, id: str) -> None:
        if (fault := self._faults.pop(id, None)) is not None:
            fault.close()
