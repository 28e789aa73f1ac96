"""One round with MLflow: look, put down what was seen, put back, answer, publish.

What is about to be written is in the store before it is written, and what was seen is on record before it is written
over. A round that is cut off anywhere is finished by the next one. Nothing here depends on a clock or on the order in
which MLflow's versions were made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from seatrial.control.alerting import alerts
from seatrial.control.mlflow import evidence
from seatrial.control.mlflow.alias import NEVER, Look, look, written
from seatrial.control.mlflow.linking import link, tracking_of, unlinked
from seatrial.control.mlflow.requests import heed
from seatrial.control.mlflow.truth import ASKED, REQUEST, pointers_of, tags_of
from seatrial.control.mlflow.view import View
from seatrial.errors import SeatrialError, Unavailable
from seatrial.integrations.mlflow.tracking import Tracking
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.mlflow import Link

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

log = logging.getLogger("seatrial.mlflow")

HEALTH_KEY = "mlflow.health"
ACTOR = "seatrial"


@dataclass(slots=True)
class Round:
    """What one round did."""

    written: int = 0
    asked: int = 0
    tags: int = 0
    evidence: int = 0
    troubles: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """``seatrial.mlflow-sync.v1``"""
        return {
            "schema": "seatrial.mlflow-sync.v1", "aliases": self.written, "requests": self.asked, "tags": self.tags,
            "evidence": self.evidence, "troubles": self.troubles,
        }  # fmt: skip


class Sync:
    """Keeps MLflow's view of a project, and heeds what is asked there. Only the holder of the lease has one."""

    def __init__(self, operations: Operations) -> None:
        self._operations, self._project = operations, operations.project
        self._store, self._clock = operations.store, operations.clock
        self._one_at_a_time = threading.Lock()
        self._client: Tracking | None = None

    def round(self, *, full: bool = False) -> Round:
        """``full``: write every tag anew. Raises Unavailable (``ST1533``) while MLflow does not answer."""
        with self._one_at_a_time:
            try:
                done = self._round(full)
            except SeatrialError as error:
                self._note(error.message)
                raise
            self._note("; ".join(done.troubles))
            return done

    def _round(self, full: bool) -> Round:
        done, tracking = Round(), self._tracking()
        self._link(tracking, done)
        links = self._links()
        if not links:
            return done
        observed, asking = tracking.aliases(), tracking.tagged(REQUEST, ASKED)
        for one in links:
            if (aliases := observed.get(one.registered)) is None:
                done.troubles.append(f"MLflow has no registered model '{one.registered}' ({one.model})")
                continue
            numbers = {version.number for version in asking if version.name == one.registered}
            self._put(tracking, one, self._look(one, aliases, numbers, full, done), done)
        for one in links:
            if one.registered in observed:
                self._answer(tracking, one)
                self._publish(tracking, one, done)
        self._deliver(tracking, done)
        return done

    # ── looking ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(
        self, one: Link, observed: Mapping[str, int], asking: Collection[int], full: bool, done: Round
    ) -> dict[str, Look]:
        """What is to be written over what, by alias; everything that was seen is on record when this returns."""
        published, now = self._project.config.mlflow.published, self._clock.now()
        looks: dict[str, Look] = {}
        with self._store.begin() as tx:
            before = View.of(tx.mlflow.view(one.model))
            view = replace(before, tags={} if full else before.tags, heeded=before.heeded & set(asking))
            for pointer, truth in pointers_of(tx, one, published).items():
                alias = str(published[pointer])
                found = look(truth, observed.get(alias), view.aliases.get(alias, NEVER))
                view = view.remembering(alias, found.memory)
                if found.write:
                    looks[alias] = found
                if found.moved is not None:
                    done.asked += self._heed_move(tx, one, alias, pointer == "champion", found)
            for number in sorted(set(asking) - view.heeded):
                view = view.asked(number)
                tx.mlflow.ask(one.model, number, "tag", expected=None, now=now)
                done.asked += 1
            if view != before:
                tx.mlflow.publish(one.model, view.document())
        return looks

    def _heed_move(self, tx: Transaction, one: Link, alias: str, champion: bool, found: Look) -> bool:
        """A move by another hand is told; one of the champion's alias to a version is a request."""
        moved, now = found.moved, self._clock.now()
        assert moved is not None
        tx.alerts.put(alerts.of_mlflow_move(one.model, one.registered, alias, moved.published, moved.to, found.to, now))
        if not champion or moved.to is None:
            return False
        request = tx.mlflow.ask(one.model, moved.to, "alias", expected=moved.published, now=now)
        if self._project.config.mlflow.on_moved == "revert":
            text = f"@{alias} is put back: seatrial.yaml says that it asks for nothing (mlflow.onMoved: revert)."
            tx.mlflow.answer(request, "refused", text, now=now)
        return True

    # ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _put(self, tracking: Tracking, one: Link, looks: Mapping[str, Look], done: Round) -> None:
        """Write aliases, each looked at once more right before: what nobody has seen yet is not written over."""
        for alias, found in looks.items():
            try:
                if tracking.aliases_of(one.registered).get(alias) != found.seen:
                    continue
                tracking.point(one.registered, alias, found.to)
            except Unavailable:
                raise
            except SeatrialError as error:  # a version that was deleted there, say
                done.troubles.append(f"@{alias} of '{one.registered}': {error.message}")
                continue
            self._remember(one, partial(View.remembering, alias=alias, memory=written(found.to)))
            done.written += 1

    def _publish(self, tracking: Tracking, one: Link, done: Round) -> None:
        """Write the tags that differ from what was written last."""
        with self._store.read() as tx:
            view = View.of(tx.mlflow.view(one.model))
            wanted = tags_of(tx, one)
        for number, key, value in view.behind(wanted):
            try:
                tracking.tag_version(one.registered, number, key, value)
            except Unavailable:
                raise
            except SeatrialError as error:
                done.troubles.append(f"models:/{one.registered}/{number}: {error.message}")
                continue
            self._remember(one, partial(View.tagged, number=number, key=key, value=value))
            done.tags += 1

    def _remember(self, one: Link, change: Callable[[View], View]) -> None:
        with self._store.begin() as tx:
            view = View.of(tx.mlflow.view(one.model))
            tx.mlflow.publish(one.model, change(view).document())

    # ── the rest of a round ────────────────────────────────────────────────────────────────────────────────────────

    def _link(self, tracking: Tracking, done: Round) -> None:
        """Link what seatrial.yaml names and is here by now."""
        with self._store.read() as tx:
            missing = unlinked(tx, self._project)
        for model, registered in missing:
            try:
                link(self._project, self._store, tracking, model, registered, actor=ACTOR, now=self._clock.now())
            except Unavailable:
                raise
            except SeatrialError as error:
                done.troubles.append(error.message)

    def _answer(self, tracking: Tracking, one: Link) -> None:
        with self._store.read() as tx:
            waiting = tx.mlflow.requests(one.model, "waiting")
        for request in waiting:
            answer = heed(self._operations, tracking, one, request)
            log.info("models:/%s/%d: %s", one.registered, request.number, answer.text)

    def _deliver(self, tracking: Tracking, done: Round) -> None:
        now = self._clock.now()
        evidence.plan(self._store, now)
        done.evidence, failed = evidence.deliver(self._store, tracking, now)
        if failed:
            done.troubles.append(failed)

    def _links(self) -> tuple[Link, ...]:
        with self._store.read() as tx:
            return tx.mlflow.links()

    def _tracking(self) -> Tracking:
        if self._client is None:
            self._client = tracking_of(self._project)
        return self._client

    def _note(self, trouble: str) -> None:
        """Since when something is in the way, and what; told when it begins and when it is over."""
        with self._store.read() as tx:
            stored = tx.settings.get(HEALTH_KEY)
        before: Mapping[str, Any] = {} if stored is None else stored.value
        if bool(before.get("trouble")) == bool(trouble) and before.get("trouble", "") == trouble:
            return
        now = self._clock.now()
        since = before["since"] if before.get("trouble") else iso_z(now)
        with self._store.begin() as tx:
            tx.settings.put(HEALTH_KEY, {"trouble": trouble, "since": since}, now)
            if bool(before.get("trouble")) != bool(trouble):
                tx.alerts.put(alerts.of_mlflow_health(trouble, since, now))
