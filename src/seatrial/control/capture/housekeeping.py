"""What is kept of what was captured: small parts become large ones, old ones go, and a unit is erased on request.

One thing at a time, and at a calm pace. What takes long happens without the controller's locks; under them only names
change. Compaction and retention leave the evidence of running rollouts as it is: see ``events.compact.plan`` and
``events.retention.cutoff``.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from seatrial.control.capture.collector import Collector
from seatrial.control.clock import Clock
from seatrial.control.project import Project
from seatrial.control.render import active_release
from seatrial.control.retention.keeping import keeping
from seatrial.control.retention.outdated import recalled
from seatrial.control.worker import Worker
from seatrial.engines.expressions import EARLY
from seatrial.errors import UsageError
from seatrial.events.compact import Merged, merge, plan, sweep
from seatrial.events.erase import Traces, rewrite, traces, without
from seatrial.events.files import publish
from seatrial.events.parts import Part, list_parts, model_directory, models_in
from seatrial.events.retention import cutoff, expired
from seatrial.events.schema import from_micros, to_micros
from seatrial.events.shelf import Shelf, Shelved
from seatrial.events.units import unit_hash
from seatrial.rollout.state import RolloutState
from seatrial.store.canonical import iso_z
from seatrial.store.fenced import FencedStore
from seatrial.values import Duration

ACTOR = "seatrial"
BUSY_S, CALM_S = 2.0, 60.0
"""Pause after a merge, and when there was nothing to do."""

MICROS = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did."""

    merges: int
    parts: int
    rows: int


@dataclass(frozen=True, slots=True)
class Erased:
    """What was taken out; ``unit`` is its name in the log, a keyed hash."""

    model: str
    unit: str
    predictions: int
    outcomes: int
    parts: int


@dataclass(frozen=True, slots=True)
class _Place:
    """The parts of one model: its predictions, or its outcomes."""

    model: str
    kind: str
    moment: str
    shelf: Shelf


class Housekeeping(Worker):
    """Compaction, retention and erasure of one project. ``lock`` is the controller's, with that of its collector.

    ``drain`` converts everything that is in the logs; ``forget`` has the evidence of a model's rollout summed up again
    at the next look.
    """

    def __init__(
        self,
        project: Project,
        store: FencedStore,
        collector: Collector,
        clock: Clock,
        lock: AbstractContextManager[object],
        *,
        drain: Callable[[], None],
        watermark: Callable[[], datetime],
        forget: Callable[[str], None],
    ) -> None:
        super().__init__("housekeeping", first_s=BUSY_S, trouble_s=CALM_S)
        self._project, self._store, self._collector, self._clock, self._lock = project, store, collector, clock, lock
        self._drain, self._watermark, self._forget = drain, watermark, forget
        self._one_at_a_time = threading.Lock()
        self._shelves: dict[Path, Shelf] = {}

    def turn(self) -> float:
        """One merge; when there is none, what is too old goes."""
        return BUSY_S if self.step() else CALM_S

    def step(self) -> bool:
        """One merge; without one, retention. False when there is no more to merge."""
        with self._one_at_a_time:
            if any(self._merge_next(place) for place in self._places()):
                return True
            for place in self._places():
                self._expire(place)
            self._forget_alerts()
            return False

    def compact(self, model: str | None = None) -> Compacted:
        """Merge what there is to merge, at once, of one model or of all; hours that are not over as well."""
        if model is not None:
            self._require_known(model)
        done: list[Merged] = []
        with self._one_at_a_time:
            with self._lock:
                self._drain()
            for place in self._places(model):
                while (merged := self._merge_next(place, eager=True)) is not None:
                    done.append(merged)
        return Compacted(len(done), sum(len(m.sources) for m in done), sum(m.rows for m in done))

    def erase(self, model: str, unit: str, *, actor: str) -> Erased:
        """Take a unit's predictions, and the outcomes that belong to them, out of the parts and the logs."""
        if not unit:
            raise UsageError("ST0521", "an empty unit is nobody: there is nothing to erase.")
        self._require_known(model)
        name = unit_hash(unit, self._project.secrets().unit_key)
        with self._one_at_a_time:
            self._read_all(model)
            predictions = list_parts(model_directory(self._project.events, model))
            outcomes = list_parts(model_directory(self._project.outcomes, model))
            found = traces(predictions, name, unit)
            counts = [self._take_out(part, found) for part in predictions]
            told = [self._take_out(part, found) for part in outcomes]
            erased = Erased(model, name, sum(counts), sum(told), sum(map(bool, [*counts, *told])))
            self._record(actor, "events.erase", model, {
                "unit": name, "predictions": erased.predictions, "outcomes": erased.outcomes, "parts": erased.parts,
            })  # fmt: skip
            self._forget(model)
            for place in self._places(model):
                del self._shelves[place.shelf.directory]  # they know the parts as they were
        return erased

    # ── compaction ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _merge_next(self, place: _Place, *, eager: bool = False) -> Merged | None:
        """The next merge of a place: planned and put in force under the lock, made without it."""
        place.shelf.refresh()
        with self._lock:
            if not self._collector.sure:  # what is not committed will be written again, perhaps with another end
                return None
            sweep(place.shelf)
            batch = plan(place.shelf.parts, self._watermark(), self._looked(place.model), eager=eager)
        if not batch:
            return None
        merged = merge(place.shelf, place.moment, batch)
        with self._lock:
            try:
                self._store.require()
                looked = self._looked(place.model)
            except BaseException:
                merged.withdraw()
                raise
            if len({bisect_left(looked, part.earliest) for part in batch}) > 1:
                merged.withdraw()  # a look has read some of them meanwhile
                return None
            merged.publish()
            merged.discard_sources()
        return merged

    def _looked(self, model: str) -> Sequence[int]:
        """Up to where the evidence of the model's rollout has been read."""
        state = self._running(model)
        return [] if state is None else [to_micros(state.looked_at or state.started)]

    # ── retention ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _expire(self, place: _Place) -> None:
        place.shelf.refresh()
        state, retention = self._running(place.model), self._retention(place.model)
        if retention is None:
            return
        started = [*self._followed(place.model), *([] if state is None else [state.started])]
        early = EARLY * MICROS if place.kind == "outcomes" else timedelta()
        old = expired(place.shelf.parts, cutoff(self._clock.now(), retention.delta, started, early=early))
        if state is not None:
            old = [part for part in old if part.rows]  # one without rows says what was erased of the rollout
        if not old:
            return
        with self._lock:
            self._record(ACTOR, "events.retention", place.model, _told(place.kind, old, retention))
            for part in old:
                part.part.path.unlink(missing_ok=True)

    def _forget_alerts(self) -> None:
        """Alerts that every receiver has go with the predictions of their time; the audit log keeps what they told."""
        before = self._clock.now() - self._project.config.capture.retention.delta
        with self._store.begin() as tx:
            tx.alerts.prune(before)

    def _followed(self, model: str) -> tuple[datetime, ...]:
        """Since when the model's promoted rollouts are still followed: their reconciliations read the log again."""
        with self._store.read() as tx:
            return tx.follow_ups.open_since(model)

    def _retention(self, model: str) -> Duration | None:
        """None where nothing may go: something holds it, or less is declared than the model must keep."""
        with self._store.read() as tx:
            known = {str(m.name): m for m in tx.models.list_models()}
            if model not in known:
                return self._project.config.capture.retention
            keep = keeping(tx, self._project, known[model])
            return None if keep.short or recalled(tx, model) else keep.spans["events"]

    # ── erasure ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read_all(self, model: str) -> None:
        """Everything that was answered until now is in parts, and in no log any more."""
        time.sleep(2 * self._collector.flush_s)
        with self._lock:
            self._store.require()
            self._drain()
            self._collector.scrub()
            for place in self._places(model):
                sweep(place.shelf)

    def _take_out(self, part: Part, found: Traces) -> int:
        """How many rows of a part are gone."""
        left = without(part, found)
        if left is None:
            return 0
        table, gone = left
        temporary = rewrite(part, table)
        with self._lock:
            self._store.require()
            publish(temporary, part.path)
        return gone

    # ── what there is ──────────────────────────────────────────────────────────────────────────────────────────────

    def _places(self, model: str | None = None) -> Iterator[_Place]:
        for kind, root, moment in (
            ("predictions", self._project.events, "time"),
            ("outcomes", self._project.outcomes, "received_at"),
        ):
            for name in models_in(root) if model is None else [model]:
                directory = model_directory(root, name)
                yield _Place(name, kind, moment, self._shelves.setdefault(directory, Shelf(directory, moment)))

    def _running(self, model: str) -> RolloutState | None:
        """The state of the model's rollout, if it is in one."""
        with self._store.read() as tx:
            release = active_release(tx, model)
        return None if release is None else release.state

    def _require_known(self, model: str) -> None:
        with self._store.read() as tx:
            tx.models.get_model(model)

    def _record(self, actor: str, action: str, model: str, detail: dict[str, object]) -> None:
        with self._store.begin() as tx:
            tx.audit.append(actor, action, model, detail, self._clock.now())


def _told(kind: str, parts: Sequence[Shelved], retention: Duration) -> dict[str, object]:
    return {
        kind: sum(part.rows for part in parts),
        "parts": len(parts),
        "from": iso_z(from_micros(min(part.earliest for part in parts))),
        "to": iso_z(from_micros(max(part.latest for part in parts))),
        "retention": str(retention),
    }
