"""The model hosts that should run: started, adopted, restarted and stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from seatrial import processes
from seatrial.control.levels.stand_ins import Wanted, stand_in_spec
from seatrial.control.probes import TIMEOUT_S, Target
from seatrial.control.project import Project
from seatrial.control.render import HostKey
from seatrial.control.signatures import check_signature
from seatrial.errors import SeatrialError, Unavailable
from seatrial.gateway.routes import Endpoint
from seatrial.ids import ModelName
from seatrial.registry.fallback import called, host_name
from seatrial.registry.version import ModelVersion
from seatrial.serving.process import HostProcess, host_info
from seatrial.serving.spec import HostSpec, Reading
from seatrial.serving.versions import host_spec
from seatrial.store.artifacts import ArtifactStore

log = logging.getLogger("seatrial.control")

READY_S = 60.0
POLL_S = 0.05
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between restarts of a host that dies again and again: twice as long each time, until one lived for a minute."""

STEADY_S = 60.0
GLANCE_S = 0.2
"""How long the loop waits for an answer of a host that is starting."""
RESTART_GRACE_S = 2.0
"""For a host that does not even take a new contract; the controller's lock is held meanwhile."""


@dataclass(slots=True)
class _Deaths:
    pause: float
    since: float


class Hosts:
    """One host process a version, also in front of foreign URLs: the host is the adapter that checks every answer.

    Whoever changes what runs holds the controller's lock; waiting needs none.
    """

    def __init__(self, project: Project, artifacts: ArtifactStore, tier: Callable[[ModelName], int]) -> None:
        self._project, self._artifacts, self._tier = project, artifacts, tier
        self._running: dict[HostKey, HostProcess] = {}
        self._unproven: set[HostKey] = set()
        self._restarted: set[HostKey] = set()
        self._held: Counter[HostKey] = Counter()
        self._deaths: dict[HostKey, _Deaths] = {}
        self._left_out: dict[HostKey, str] = {}
        self._leaving: dict[HostKey, threading.Thread] = {}

    def ensure(
        self,
        versions: Iterable[ModelVersion],
        readings: Mapping[ModelName, Reading],
        stand_ins: Iterable[Wanted] = (),
        limits: Mapping[HostKey, int] | None = None,
    ) -> dict[HostKey, Endpoint]:
        """Start or adopt a host for each version and stand-in; returns where all of them listen, ready or not.

        One that cannot be started (a changed artifact) is left out: the others run all the same. ``limits``: requests
        at once of those that are scaled down.
        """

        def reading(version: ModelVersion) -> Reading:
            return replace(readings[version.model], limit=(limits or {}).get((version.model, version.number)))

        before, self._left_out = self._left_out, {}
        asked: list[tuple[HostKey, Callable[[], HostKey]]] = [
            *(((v.model, v.number), partial(self.bring_up, v, reading(v))) for v in versions),
            *(((w.model.name, w.stand_in.name), partial(self._stand_in, w, readings[w.model.name])) for w in stand_ins),
        ]
        for key, bring_up in asked:
            try:
                bring_up()
            except (SeatrialError, OSError) as error:
                self._left_out[key] = str(error)
                if before.get(key) != str(error):
                    log.exception("the host of %s cannot be started", called(*key))
        return self.endpoints()

    def left_out(self) -> dict[HostKey, str]:
        """Versions that are wanted and have no host, and why."""
        return dict(self._left_out)

    def bring_up(self, version: ModelVersion, reading: Reading) -> HostKey:
        """Start or adopt the host of one version; one that runs is told how bodies are read now."""

        def verified() -> None:
            if version.serving.artifact is not None:
                check_signature(self._project.config.signing, version, self._tier(version.model))
                self._artifacts.verify(version.serving.artifact)

        return self._bring_up((version.model, version.number), lambda: self._spec(version), reading, verified)

    def _stand_in(self, wanted: Wanted, reading: Reading) -> HostKey:
        key = (wanted.model.name, wanted.stand_in.name)
        return self._bring_up(key, lambda: stand_in_spec(self._project, self._artifacts, wanted), reading)

    def _bring_up(
        self, key: HostKey, spec: Callable[[], HostSpec], reading: Reading, verified: Callable[[], None] = lambda: None
    ) -> HostKey:
        """``verified`` raises for what must not be loaded; one that is adopted has loaded it already."""
        host = self._running.get(key)
        if host is None:
            self._running[key] = self._launch(key, spec().read_as(reading), verified)
        elif host.spec.reading != reading and not host.reread(reading):
            log.warning("the host of %s does not take the new contract and is restarted", called(*key))
            host.stop(grace=RESTART_GRACE_S)
            host.start()
        return key

    def wait(self, key: HostKey, timeout_s: float = READY_S) -> None:
        """Until this one gives answers. Raises Unavailable if it does not, or has ended."""
        if not self._running[key].ready(timeout_s):
            raise Unavailable(
                "ST0830", f"the host of {called(*key)} did not become ready within {timeout_s:g} s.",
                remedy=f"See `seatrial logs {key[0]}-{key[1]}`.",
            )  # fmt: skip

    def settle(self, timeout_s: float = READY_S) -> None:
        """Until the newly started ones are up, or known not to come up; each is waited for only once.

        A proxy is up when it listens: whether the foreign server behind it answers is not for this machine to say.
        """
        deadline = time.monotonic() + timeout_s
        waiting = asked = [*self._unproven]
        while waiting := [key for key in waiting if not _has_come_up(self._running.get(key))]:
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        for key in waiting:
            log.warning("the host of %s is not up after %g s; it is routed all the same", called(*key), timeout_s)
        self._unproven.difference_update(asked)

    @contextmanager
    def held(self, key: HostKey) -> Iterator[None]:
        """Keep a host that nothing points to yet."""
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1

    def endpoints(self) -> dict[HostKey, Endpoint]:
        """Where every known host listens, whether it answers now or not: Envoy finds out by itself."""
        return {key: Endpoint(host.spec.host, host.port) for key, host in self._running.items()}

    def dead(self) -> list[str]:
        """Names of hosts whose process is gone."""
        return [called(*key) for key, host in [*self._running.items()] if not host.alive()]

    def pids(self) -> dict[HostKey, int | None]:
        """The process of every known host."""
        return {key: host.pid for key, host in self._running.items()}

    def targets(self) -> list[Target]:
        """Every host that lives, with the question whether it answers; for a thread that may change nothing."""
        return [
            Target(key, host.pid, partial(_answers, host)) for key, host in [*self._running.items()] if host.pid
        ]  # fmt: skip

    def end(self, hung: Iterable[HostKey]) -> list[str]:
        """End hosts that do not answer any more, at once; returns their names. ``revive`` starts them again."""
        found = [key for key in hung if key in self._running]
        for key in found:
            self._running[key].kill()
        return [called(*key) for key in found]

    def starting(self) -> list[str]:
        """Names of hosts that were restarted and do not answer yet."""
        return [called(*key) for key in [*self._restarted]]

    def revive(self) -> list[str]:
        """Restart hosts that died; returns their names.

        On their ports, so that no route changes. A port that somebody else has taken meanwhile is given up.
        """
        due = [key for key, host in self._running.items() if not host.alive() and self._is_due(key)]
        for key in due:
            old = self._running[key]
            port = processes.free_port(old.spec.host, wanted=old.port)
            self._running[key] = HostProcess(replace(old.spec, port=port), old.directory)
            self._running[key].start()
            self._restarted.add(key)
        self._restarted = {key for key in self._restarted if not _has_come_up(self._running.get(key), GLANCE_S)}
        return [called(*key) for key in due]

    def _is_due(self, key: HostKey) -> bool:
        now = time.monotonic()
        last = self._deaths.get(key)
        if last is not None and now < last.since + last.pause:
            return False
        again = last is not None and now < last.since + last.pause + STEADY_S
        pause = min(last.pause * 2, LONGEST_PAUSE_S) if again and last is not None else FIRST_PAUSE_S
        self._deaths[key] = _Deaths(pause, now)
        return True

    def keep_only(self, keys: Iterable[HostKey]) -> None:
        """End the hosts of versions that nothing points to any more. They finish what they began; nobody waits here."""
        kept = {*keys, *+self._held}
        for key in [key for key in self._running if key not in kept]:
            self._deaths.pop(key, None)
            self._leave(key, self._running.pop(key).stop)

    def sweep(self) -> None:
        """End hosts of this project that an earlier controller left and nobody knows."""
        known = {host.directory for host in self._running.values()}
        for file in sorted((self._project.state / "hosts").glob("*/host.pid")):
            if file.parent not in known:
                spec = HostSpec.read(file.with_name("spec.json"))
                key = (ModelName(spec.model), host_name(spec.version))
                self._leave(key, HostProcess(spec, file.parent).stop)

    def close(self) -> None:
        """Wait for those that are ending. The others go on."""
        for thread in self._leaving.values():
            thread.join()
        self._leaving.clear()

    def _leave(self, key: HostKey, stop: Callable[[], bool]) -> None:
        thread = threading.Thread(target=stop, name=f"stop {called(*key)}")
        self._leaving = {k: t for k, t in self._leaving.items() if t.is_alive()}
        self._leaving[key] = thread
        thread.start()

    def _launch(self, key: HostKey, spec: HostSpec, verified: Callable[[], None]) -> HostProcess:
        if (leaving := self._leaving.pop(key, None)) is not None:
            leaving.join()  # the new one must not be taken for the old one, nor the other way round
        process = HostProcess(spec, self._project.host_directory(*key))
        if not process.adopt():
            verified()
            process.ensure()
            self._unproven.add(key)
        return process

    def _spec(self, version: ModelVersion) -> HostSpec:
        memory = self._project.config.hosts.memory
        return host_spec(version, self._artifacts, memory_mb=None if memory is None else memory.bytes >> 20)


def _answers(host: HostProcess) -> bool:
    told = host_info(host.spec.host, host.port, TIMEOUT_S)
    return told is not None and told.get("pid") == host.pid


def _has_come_up(host: HostProcess | None, timeout_s: float = TIMEOUT_S) -> bool:
    if host is None or not host.alive():
        return True  # there is nothing to wait for: it is gone, or will be started again
    told = host_info(host.spec.host, host.port, timeout_s)
    return told is not None and told.get("pid") == host.pid and (bool(told.get("ready")) or host.spec.kind == "proxy")
