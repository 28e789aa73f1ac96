"""The running gateway: start or adopt Envoy, change its routes, read back what it does."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import Conflict, SeatrialError, Unavailable
from seatrial.gateway import envoy_config, readings
from seatrial.gateway.admin import Admin
from seatrial.gateway.envoy_config import Config, version_of
from seatrial.gateway.envoy_routes import LIVE
from seatrial.gateway.files import locked, write_atomically
from seatrial.gateway.process import Process, preflight
from seatrial.gateway.readings import Key
from seatrial.gateway.reserve import keep
from seatrial.gateway.routes import RouteTable
from seatrial.gateway.settings import Settings
from seatrial.gateway.tables import TableFiles
from seatrial.processes import is_free

START_S = 20.0
CONFIRM_S = 5.0
LET_GO_S = 1.0
HEALTH_S = 2.0
"""How long a healthy Envoy takes to answer at most."""

_STATS = {"cds": "cluster_manager.cds", "lds": "listener_manager.lds", "rds": f"http.{LIVE}.rds.{LIVE}"}
_WARMING = "cluster_manager.warming_clusters"
_VERSION = re.compile(rb'\{"version_info": "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that Envoy confirmed: ``version_text`` is Envoy's own word for the routes it uses."""

    generation: int
    took_ms: float
    version_text: str


class Rejected(SeatrialError):
    """Envoy did not take a configuration; the one before is in force."""


class Envoy:
    """One Envoy for one directory. Any number of these objects, in any process, may stand for the same one.

    ``port`` 0 takes a free port; ``bound_port()`` says which. Everything that writes holds a lock in the directory.
    """

    def __init__(
        self, directory: Path, port: int, *, host: str = "127.0.0.1", concurrency: int = 1, flush_ms: int = 200
    ) -> None:
        self.settings = Settings(directory.resolve(), port, host=host, concurrency=concurrency, flush_ms=flush_ms)
        self.admin = Admin(self.settings.admin_socket)
        self._directory = self.settings.directory
        self._reserve = self._directory / "reserve"
        self._tables = TableFiles(self._directory / "run", reserve=self._reserve)

    @classmethod
    def running_in(cls, directory: Path) -> Envoy:
        """The Envoy that was started for a directory, with the settings it was started with."""
        path = directory / "run" / "settings.json"
        if not path.exists():
            raise Unavailable("ST0715", f"no Envoy runs for {directory}.", remedy="Start it first.")
        return cls(directory, **json.loads(path.read_text()))

    def start(self, first: Callable[[RouteTable], RouteTable] = lambda last: last) -> int:
        """Adopt the healthy Envoy of this directory, or start one; returns its pid.

        A new one begins with the table that ``first`` makes of the last one in force. Its configuration is written
        anew: whatever became of the files in the meantime, Envoy does not read it.

        Raises ``Unavailable`` when there is no binary, the port is taken, or it does not become healthy, and
        ``Refused`` when Envoy does not take the table.
        """
        self._make_directories()
        with self._writing():
            process = self._process()
            if process is not None:
                if process.bootstrap == self._bootstrap_digest() and self.healthy():
                    self._publish("lds", envoy_config.listeners(self.settings, self.table()))
                    return process.pid
                process.stop()
            return self._start_fresh(first(self.table()))

    def healthy(self) -> bool:
        """Envoy has its configuration, its port is its own, and it answers there."""
        admin = Admin(self.settings.admin_socket, timeout_s=HEALTH_S)
        try:
            return admin.ready() and self._answers(_live_port(admin, self.settings))
        except Unavailable:
            return False

    def kill(self) -> None:
        """End an Envoy that does not answer, at once: nothing it still held would ever be sent."""
        process = self._process()
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End Envoy. Log lines are flushed; requests in flight are cut."""
        if not self._directory.is_dir():
            return
        with self._writing():
            process = self._process()
            if process is not None:
                process.stop()
            with suppress(OSError):  # on a disk that takes no more; nobody is taken for what it names
                self._pid_file.unlink()

    @property
    def pid(self) -> int | None:
        """The pid of the running Envoy, or None."""
        process = self._process()
        return None if process is None else process.pid

    def bound_port(self) -> int:
        """The port the live listener is bound to."""
        return _live_port(self.admin, self.settings)

    def table(self) -> RouteTable:
        """The last table that was put in force; empty, generation 0, before the first or where no file can be read."""
        return self._tables.read()

    def next_generation(self) -> int:
        """The lowest generation that ``apply`` takes for a changed table."""
        return self.table().generation + 1

    def validate(self, table: RouteTable) -> None:
        """Ask an Envoy that serves nobody whether it would take this table; ``Unavailable`` with its reason if not."""
        preflight(self.settings, table)

    def apply(self, table: RouteTable) -> Applied:
        """Put a table in force and wait until Envoy says so.

        Clusters come before their routes and go one change after them, so that requests in flight keep theirs. Where
        Envoy has all of them, as on every way home, the routes go first: nobody waits for anything else.

        Raises ``Conflict`` for a generation that is not higher (the same table again is fine), and ``Rejected`` with
        Envoy's reason when it does not take the table; then the one before is in force. Raises ``Unavailable`` when
        Envoy is not running, with nothing changed, or when it does not answer: then the new table stays on disk, for
        Envoy to read when it can, and applying it again is safe.
        """
        began = time.monotonic()
        with self._writing():
            last = self.table()
            _refuse_stale(last, table)
            self._require_ours()
            version = self._swap(last, table)
        return Applied(table.generation, (time.monotonic() - began) * 1000, version)

    def prune(self) -> None:
        """Drop the clusters that only the table before the present one needs."""
        with self._writing():
            self._require_ours()
            self._publish("cds", envoy_config.clusters(self.table()))

    def split(self) -> dict[str, dict[str, int]]:
        """The weights Envoy has in use; see ``readings.split``."""
        return readings.split(self.admin)

    def counters(self) -> dict[Key, int]:
        """Requests Envoy finished, by (rollout, phase, arm); see ``readings.counters``."""
        return readings.counters(self.admin)

    def copies_in_flight(self) -> int:
        """Copies a shadow is still answering: their lines are in neither the counters nor the log yet."""
        return readings.copies_in_flight(self.admin)

    def reopen_logs(self) -> None:
        """Let Envoy open its log files anew; after a rename this starts new ones, and no line is lost."""
        self.admin.post("/reopen_logs")

    # ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _pid_file(self) -> Path:
        return self._directory / "run" / "envoy.pid"

    @property
    def _envoy_log(self) -> Path:
        return self._directory / "log" / "envoy.log"

    def _make_directories(self) -> None:
        for name in ("cds", "lds", "rds", "log", "run"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        self.settings.admin_socket.parent.mkdir(mode=0o700, exist_ok=True)
        if self.settings.admin_socket.parent.stat().st_uid != self._directory.stat().st_uid:
            raise Unavailable("ST0716", f"{self.settings.admin_socket.parent} belongs to somebody else.")
        keep(self._reserve)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with locked(self._directory / "lock"):
            yield

    def _process(self) -> Process | None:
        return Process.recorded(self._pid_file)

    def _require_ours(self) -> None:
        """Writing with other settings than those Envoy was started with would move its port under the clients."""
        process = self._process()
        if process is None:
            raise Unavailable("ST0715", f"no Envoy runs for {self._directory}.", remedy="Start it first.")
        if process.bootstrap != self._bootstrap_digest():
            raise Conflict(
                "ST0721",
                f"the Envoy of {self._directory} was started with other settings.",
                remedy="Use Envoy.running_in(directory), or start it anew.",
            )

    def _started_with(self) -> dict[str, Any]:
        own = self.settings
        return {"port": own.port, "host": own.host, "concurrency": own.concurrency, "flush_ms": own.flush_ms}

    def _bootstrap_digest(self) -> str:
        told = [envoy_config.bootstrap(self.settings), self._started_with()]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    # ── starting ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _start_fresh(self, table: RouteTable) -> int:
        self._require_free_port()
        preflight(self.settings, table)
        self._tables.write(table)
        for kind, file in self._files(table).items():
            self._write(kind, file)
        self._replace(self.settings.bootstrap, json.dumps(envoy_config.bootstrap(self.settings)))
        self._replace(self._directory / "run" / "settings.json", json.dumps(self._started_with()) + "\n")
        self.settings.admin_socket.unlink(missing_ok=True)
        mark = self._log_mark()
        process = Process.spawn(self.settings, self._envoy_log, self._bootstrap_digest())
        try:
            process.record(self._pid_file, reserve=self._reserve)
        except OSError:
            process.kill()  # nobody would find it again
            raise
        _within(START_S, lambda: self.healthy() or not process.running() or self._refused_listener())
        if not self.healthy():
            process.stop()
            reason = self._log_since(mark) or "it says nothing"
            raise Unavailable("ST0717", f"Envoy did not start on port {self.settings.port}: {reason}")
        self._tables.confirm(table)
        return process.pid

    def _require_free_port(self) -> None:
        """Said before Envoy is asked: its own words are long. One that was just killed may need a moment to let go."""
        host, port = self.settings.host, self.settings.port
        if port and not _within(LET_GO_S, lambda: is_free(host, port)):
            raise Unavailable(
                "ST0722",
                f"the gateway's port {port} on {host} is taken by another program.",
                remedy=f"Stop it (`lsof -i :{port}`), or set gateway.port in seatrial.yaml.",
            )

    def _refused_listener(self) -> bool:
        """Typically because somebody else has the port."""
        try:
            return self._states("lds")["lds"].refusals > 0
        except Unavailable:
            return False

    def _answers(self, port: int) -> bool:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.host, self.settings.host)
        connection = http.client.HTTPConnection(host, port, timeout=HEALTH_S)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # ── changing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _files(self, table: RouteTable, last: RouteTable | None = None) -> dict[str, Config]:
        return {
            "cds": envoy_config.clusters(table, last=last),
            "lds": envoy_config.listeners(self.settings, table),
            "rds": envoy_config.routes(table),
        }

    def _swap(self, last: RouteTable, table: RouteTable) -> str:
        known = envoy_config.cluster_names(last) if self._tables.is_confirmed(last) else set()
        self._tables.write(table)
        files, states = self._files(table, last), self._states(*_STATS)
        try:
            for kind in reversed(files) if envoy_config.cluster_names(table) <= known else files:
                self._publish(kind, files[kind], states[kind])
        except Rejected:
            self._restore(last)
            raise
        self._tables.confirm(table)
        return version_of(files["rds"])

    def _restore(self, last: RouteTable) -> None:
        """Back to the table before, routes first: they may need clusters that are about to go."""
        self._tables.write(last)
        files = self._files(last)
        for kind in ("rds", "lds", "cds"):
            self._write(kind, files[kind])

    def _publish(self, kind: str, file: Config, before: _State | None = None) -> None:
        """Write one file and wait for Envoy's word on it; ``before``: its word until now, if that is known."""
        version, before = version_of(file), before or self._states(kind)[kind]
        if before.version == version and self._written(kind) == version:
            return
        mark, now = self._log_mark(), before
        self._write(kind, file)

        def decided() -> bool:
            nonlocal now
            now = self._states(kind)[kind]
            return now.refusals > before.refusals or (now.version == version and not now.warming)

        if not _within(CONFIRM_S, decided):  # what is on disk stays: it may be a kill, and Envoy may yet read it
            raise Unavailable("ST0718", f"Envoy did not confirm {kind} version {version} within {CONFIRM_S:g} s.")
        if now.refusals > before.refusals:
            raise Rejected("ST0719", f"Envoy rejected {kind} version {version}: {self._log_since(mark)}")

    def _states(self, *kinds: str) -> dict[str, _State]:
        """What Envoy says of these kinds of files, asked at once."""
        prefixes = "|".join(re.escape(_STATS[kind]) for kind in kinds)
        found = self.admin.stats(rf"^({prefixes})\.(version_text|update_rejected|update_failure)$|{_WARMING}")
        warming = int(found.get(_WARMING, 0)) > 0

        def state(prefix: str) -> _State:
            refusals = sum(int(found.get(f"{prefix}.{name}", 0)) for name in ("update_rejected", "update_failure"))
            return _State(str(found.get(f"{prefix}.version_text", "")), refusals, warming)

        return {kind: state(_STATS[kind]) for kind in kinds}

    def _written(self, kind: str) -> str:
        """The version of a file on disk: its first entry, so that the rest need not be parsed. Empty if it has none."""
        try:
            with self.settings.resource(kind).open("rb") as file:
                found = _VERSION.match(file.read(100))
        except OSError:
            return ""
        return found[1].decode() if found else ""

    def _write(self, kind: str, file: Config) -> None:
        self._replace(self.settings.resource(kind), json.dumps(file))

    def _replace(self, path: Path, text: str) -> None:
        write_atomically(path, text, reserve=self._reserve)

    def _log_mark(self) -> int:
        return self._envoy_log.stat().st_size if self._envoy_log.exists() else 0

    def _log_since(self, mark: int) -> str:
        with self._envoy_log.open("rb") as file:
            file.seek(mark)
            return file.read().decode(errors="replace").strip()[-600:]


@dataclass(frozen=True, slots=True)
class _State:
    """What Envoy says of one kind of file: the version in use, and how many it has refused so far."""

    version: str
    refusals: int
    warming: bool  # clusters wait for their names to be resolved; routes to them would be rejected


def _live_port(admin: Admin, settings: Settings) -> int:
    port = admin.listening().get(LIVE)
    if not port:
        raise Unavailable("ST0714", f"Envoy does not listen on port {settings.port}; is it taken?")
    return port


def _refuse_stale(last: RouteTable, table: RouteTable) -> None:
    if table.generation < last.generation or (table.generation == last.generation and table != last):
        raise Conflict(
            "ST0720",
            f"the gateway is at generation {last.generation}; a table of generation {table.generation} came too late.",
            remedy="Read the present state, compute the table again and give it a higher generation.",
        )


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    """Ask again and again, first after half a millisecond, later less often."""
    deadline, pause = time.monotonic() + seconds, 0.0005
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
    return True
