"""What each step of a drill does on the running system; each checks that it can, and returns its evidence."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seatrial.control.drills.asking import Asker, Told
from seatrial.control.drills.scene import Scene, wait_for
from seatrial.control.levels import fallbacks
from seatrial.control.way_home.proof import prove_standby, record_proof, standby_of
from seatrial.errors import Conflict, Unavailable
from seatrial.governance.drills.steps import StepName
from seatrial.registry.fallback import stand_ins

Evidence = dict[str, Any]

BATCH: Final = 40
PAUSE_S: Final = 0.1
POLL_S: Final = 0.02
AFTER: Final = 100
"""Requests that are sent once everybody is home."""

REST_S: Final = 0.5
PATIENCE_S: Final = 30.0
LEAST_LIMIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """One drill, as a step needs it. ``done``: the evidence of the steps before; ``aborted``: whether it was ended."""

    id: str
    scene: Scene
    share: int
    target_s: float
    actor: str
    asker: Asker
    done: Mapping[StepName, Evidence]
    version: int
    rollout: str
    aborted: Callable[[], bool]
    roll_back: Callable[[str], object]

    def ask(self, count: int) -> Told:
        return self.asker.batch(count, self.scene.now() if self.scene.replay else None)


def ready(run: Run) -> Evidence:
    """Nothing else is going on, and users are served by the champion."""
    scene = run.scene
    require_idle(scene)
    told = run.ask(BATCH)
    champion = scene.pointers()["champion"]
    if told.user_errors or set(told.by) != {str(champion)}:
        raise Conflict(
            "ST0375", f"model '{scene.model}' is not well: {told.user_errors} of {told.requests} requests failed, "
            f"answered by {dict(told.by) or 'nobody'} instead of v{champion} alone.",
            remedy="A drill begins where everything works: see `seatrial doctor`.",
        )  # fmt: skip
    return {
        **told.document(), "champion": champion, "pointers": scene.pointers(), "split": scene.split(scene.model),
        "auditWhole": scene.audit_whole(),
    }  # fmt: skip


def require_idle(scene: Scene) -> None:
    """Raises Conflict (ST0375): a drill does not come on top of anything."""
    if (rollout := scene.running()) is not None:
        raise Conflict("ST0375", f"model '{scene.model}' is in rollout {rollout}.", remedy="Wait for it to be over.")
    if scene.killed():
        raise Conflict("ST0375", f"model '{scene.model}' is killed.", remedy=f"`seatrial revive {scene.model}` first.")


def inject(run: Run) -> Evidence:
    """The faulty version has been started as a canary; its share is in force when Envoy says so."""
    scene = run.scene
    if scene.running() != run.rollout:
        raise Conflict("ST0375", f"drill {run.id}: rollout {run.rollout} is not running.",
                       remedy=f"`seatrial drill abort {run.id}` puts everything back.")  # fmt: skip
    if not wait_for(lambda: scene.weight() == run.share, PATIENCE_S):
        raise Unavailable("ST0376", f"drill {run.id}: Envoy has {scene.weight()} of 10,000 on the canary, not "
                          f"{run.share}.", remedy=f"`seatrial drill abort {run.id}` puts everything back.")  # fmt: skip
    return {"version": run.version, "rollout": run.rollout, "weight": scene.weight(), "split": scene.split(scene.model)}


@dataclass(slots=True)
class _Watch:
    """When the gates had found it, and when Envoy had nobody on it any more (monotonic seconds)."""

    scene: Scene
    rollout: str
    weight: int = 0
    decided: float | None = None
    zero: float | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """A way home is routed first and recorded second: 0% is the word of a decision that was taken."""
        while not self.stopping.wait(POLL_S):
            try:
                weight, running = self.scene.weight(), self.scene.running() == self.rollout
            except Exception:  # the gateway or the store takes its time: the next glance will tell
                continue
            now = time.monotonic()
            self.weight = max(self.weight, weight)
            if self.decided is None and (not running or not weight):
                self.decided = now
            if self.zero is None and not weight:
                self.zero = now


def detect(run: Run) -> Evidence:
    """Ask until the gates have found it and taken it out, or the time is up; that they did not is evidence, too."""
    scene = run.scene
    if scene.running() != run.rollout or scene.weight() != run.share:
        raise Conflict("ST0375", f"drill {run.id}: the faulty version is not in traffic.",
                       remedy=f"`seatrial drill abort {run.id}` puts everything back.")  # fmt: skip
    watch, told = _Watch(scene, run.rollout, scene.weight()), Told()
    thread = threading.Thread(target=watch.run, name=f"drill {run.id}", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + max(2 * run.target_s, LEAST_LIMIT_S)
        while watch.zero is None and time.monotonic() < deadline:
            if run.aborted():
                raise Conflict("ST0372", f"drill {run.id} was aborted meanwhile.")
            _add(told, run.ask(BATCH))
            scene.settle()
            time.sleep(PAUSE_S)
    finally:
        watch.stopping.set()
        thread.join()
    return {
        **told.document(),
        "weight": watch.weight,
        "detectedAfter": _since(told.first_fault, watch.decided),
        "zeroAfter": _since(told.first_fault, watch.zero),
        "rule": _rule(scene, run.rollout),
    }


def _add(told: Told, more: Told) -> None:
    told.requests += more.requests
    told.user_errors += more.user_errors
    for mine, theirs in ((told.by, more.by), (told.levels, more.levels), (told.arms, more.arms)):
        mine.update(theirs)
    told.first_fault = more.first_fault if told.first_fault is None else told.first_fault


def _since(first: float | None, then: float | None) -> float | None:
    """Seconds from the first faulty answer that came back; one that nobody was told of in time counts from zero."""
    if then is None:
        return None
    return 0.0 if first is None else round(max(then - first, 0.0), 4)


def _rule(scene: Scene, rollout: str) -> str | None:
    """Of the decision that took it out."""
    with scene.controller.store.read() as tx:
        last = tx.decisions.last(rollout)
    return last.rule if last is not None and last.action == "abort" else None


def rollback(run: Run) -> Evidence:
    """Nobody is on it: where the gates did not see to that, by hand. Nobody gets there any more."""
    scene = run.scene
    if by_hand := scene.running() == run.rollout:
        run.roll_back(f"drill {run.id}: the gates did not find it")
    if not wait_for(lambda: scene.weight() == 0, PATIENCE_S):
        raise Unavailable("ST0376", f"drill {run.id}: Envoy still has {scene.weight()} of 10,000 on the canary.",
                          remedy=f"`seatrial kill {scene.model} --mode champion --reason drill`")  # fmt: skip
    before = _at_rest(scene, run.rollout)
    told = run.ask(AFTER)
    return {
        **told.document(), "zeroAfter": run.done["detect"]["zeroAfter"], "byHand": by_hand, "weight": scene.weight(),
        "canaryRequests": before, "canaryRequestsAfter": scene.counted(run.rollout, "canary") - before,
    }  # fmt: skip


def _at_rest(scene: Scene, rollout: str) -> int:
    """Requests of the canary, once those that were under way have ended."""
    seen = [-1]

    def still() -> bool:
        seen.append(scene.counted(rollout, "canary"))
        return seen[-1] == seen[-2]

    wait_for(still, PATIENCE_S, pause=REST_S)
    return seen[-1]


def verify(run: Run) -> Evidence:
    """The version from before answers, the standby serves, and nothing was lost."""
    scene = run.scene
    if scene.weight() or scene.running() is not None:
        raise Conflict("ST0375", f"drill {run.id}: the faulty version is still in traffic.",
                       remedy=f"`seatrial drill abort {run.id}` puts everything back.")  # fmt: skip
    told = run.ask(AFTER)
    counted, logged = _settled(scene, run.rollout)
    return {
        **told.document(), "split": scene.split(scene.model), "pointers": scene.pointers(),
        "standby": _standby(run), "fallback": _fallback(run), "counted": counted, "logged": logged,
        "auditWhole": scene.audit_whole(),
    }  # fmt: skip


def _settled(scene: Scene, rollout: str) -> tuple[int, int]:
    """Requests that Envoy counted and that are in the log, when both agree or the time is up."""
    scene.settle()
    wait_for(lambda: scene.counted(rollout) == scene.logged(rollout), PATIENCE_S, pause=0.2)
    return scene.counted(rollout), scene.logged(rollout)


def _standby(run: Run) -> Evidence | None:
    """Asked at its host, past the gateway, with what users sent; kept as a measurement like any other."""
    controller = run.scene.controller
    with controller.store.read() as tx:
        found = standby_of(tx, run.scene.model)
    if found is None:
        return None
    proof = prove_standby(controller.project, *found)
    with controller.store.begin() as tx:
        record_proof(tx, proof, run.scene.now(), "drill", actor=run.actor)
    why = "" if proof.answered == "prediction" else "it gave no valid prediction"
    text = proof.text if proof.ready and not why else f"v{proof.version} does not serve: {proof.why or why}"
    return {
        "version": proof.version, "policy": proof.policy, "seconds": proof.seconds, "answered": proof.answered,
        "serves": proof.answered == "prediction", "text": text,
    }  # fmt: skip


def _fallback(run: Run) -> list[Evidence]:
    """The levels below the standby, each asked at its host with what users sent: rules, and a queue or a banner."""
    project, sample = run.scene.controller.project, run.asker.sample
    with run.scene.controller.store.read() as tx:
        model = tx.models.get_model(run.scene.model)
    body = json.dumps(sample["body"]).encode()
    asked = fallbacks.probe(project, model, body, path=sample["path"], content_type="application/json")
    below = {one.level for one in stand_ins(model.safety.fallback)}
    return [
        {"level": line["level"], "answers": line["ok"], "problem": line["problem"]}
        for line in asked["levels"]
        if line["level"] in below
    ]


def restore(run: Run) -> Evidence:
    """The faulty version is archived, and its host is ended."""
    scene = run.scene
    if scene.running() == run.rollout:
        raise Conflict("ST0375", f"drill {run.id}: rollout {run.rollout} still runs.",
                       remedy=f"`seatrial drill abort {run.id}` ends it.")  # fmt: skip
    stage = scene.archive(run.version, run.actor, f"drill {run.id}")
    scene.controller.reconcile()
    return {"stage": str(stage), "pointers": scene.pointers(), "split": scene.split(scene.model)}


DO: Final[Mapping[StepName, Callable[[Run], Evidence]]] = {
    "ready": ready, "inject": inject, "detect": detect, "rollback": rollback, "verify": verify, "restore": restore,
}  # fmt: skip
