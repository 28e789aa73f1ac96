"""What a drill sees of the running system, and what it changes there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from seatrial.control.analyses.interventions import DRILL_TAG
from seatrial.control.controller import Controller
from seatrial.control.launch import Launch, begin
from seatrial.control.render import active_release
from seatrial.engines.spans import logged
from seatrial.ids import RolloutId, VersionNumber
from seatrial.registry.lifecycle import Stage
from seatrial.registry.version import Serving
from seatrial.rollout.plan import Plan
from seatrial.store.db import Transaction
from seatrial.store.plans import parse_plan

LOOK: Final = timedelta(seconds=1)


def plan_of(share: int) -> Plan:
    """The release of the faulty version: one stage at ``share`` (out of 10,000), errors alone, never promoted."""
    return parse_plan(
        "name: drill\nlookEvery: 1s\ntimeBucket: 1h\ndeadline: 1d\nonDeadline: abort\n"
        "metrics:\n  - {name: errors, kind: error_rate, margin: 1pp}\n"
        f"steps:\n  - setWeight: {share / 100:g}%\n  - pause: {{duration: 12h}}\n  - pause: {{}}\n",
        source="drill",
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """One model on the running system. ``split``: share of traffic by version, in Envoy's own words."""

    controller: Controller
    model: str
    split: Callable[[str], dict[str, float]]

    @property
    def replay(self) -> bool:
        return self.controller.replay

    def now(self) -> datetime:
        return self.controller.clock.now()

    def pointers(self) -> dict[str, int]:
        with self.controller.store.read() as tx:
            return {name: int(version) for name, version in sorted(tx.models.pointers(self.model).items())}

    def weight(self) -> int:
        """The canary's, out of 10,000."""
        return self.controller.envoy.split().get(self.model, {}).get("canary", 0)

    def running(self) -> str | None:
        """The model's active rollout."""
        with self.controller.store.read() as tx:
            release = active_release(tx, self.model)
        return None if release is None else str(release.state.rollout)

    def killed(self) -> bool:
        return any(latch.model == self.model for latch in self.controller.latches())

    def register(self, tx: Transaction, url: str, drill: str, actor: str) -> VersionNumber:
        """The faulty version, marked as what it is."""
        made = tx.models.register_version(
            self.model, Serving(kind="url", url=url), None,
            actor=actor, now=self.now(), source="adopted", tags={DRILL_TAG: drill},
        )  # fmt: skip
        return made.number

    def begin(self, tx: Transaction, version: int, share: int, actor: str) -> RolloutId:
        champion = tx.models.pointers(self.model)["champion"]
        asked = Launch(model=self.model, version=version, plan=plan_of(share), actor=actor)
        return begin(tx, asked, champion, self.now())

    def settle(self) -> None:
        """In a replay, event time goes on and the looks that are due are taken; on the wall clock they are anyway."""
        if self.replay:
            self.controller.advance(self.now() + LOOK)

    def counted(self, rollout: str, arm: str | None = None) -> int:
        """Requests of a rollout that Envoy has finished, of all arms or of one."""
        counters = self.controller.envoy.counters()
        return sum(n for (r, _, found), n in counters.items() if r == rollout and arm in (None, found))

    def logged(self, rollout: str) -> int:
        """Requests of a rollout that are in the event log."""
        controller = self.controller
        with controller.store.read() as tx:
            since = tx.rollouts.get(rollout).created_at
        return logged(controller.project.events, self.model, rollout, since)

    def archive(self, version: int, actor: str, reason: str) -> Stage:
        """The faulty version may never be released. Where it stands afterwards."""
        with self.controller.store.begin() as tx:
            stage = tx.models.get_version(self.model, version).stage
            if stage is not Stage.ARCHIVED:
                tx.models.set_stage(
                    self.model, version, Stage.ARCHIVED, actor=actor, now=self.now(), reason=reason
                )  # fmt: skip
            return tx.models.get_version(self.model, version).stage

    def audit_whole(self) -> bool:
        with self.controller.store.read() as tx:
            return tx.audit.verify().ok


def wait_for(done: Callable[[], Any], seconds: float, *, pause: float = 0.05) -> bool:
    """Until it is so; False if the time is up first."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True
