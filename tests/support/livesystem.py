"""A running system in a temporary directory: model servers, Envoy, hosts, a controller in this process, traffic."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa

from seatrial import processes
from seatrial.api.server import shutdown
from seatrial.client import Answer, Client
from seatrial.control.controller import Controller
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.states import decision_from_json
from seatrial.events.outcomes import Outcome
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import event_schema
from seatrial.ids import Digest
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.rollout.plan import Plan
from seatrial.rollout.verdicts import Decision
from seatrial.store.db import Store

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SALT = "fixed-salt"
SECRETS = {"unit_key": "0f" * 32, "bucket_salt": "buckets"}
SENDERS = 12


def lasting_port() -> int:
    """A port for a server that will be down for a while: none that the system gives to outgoing connections."""
    while not processes.is_free("127.0.0.1", port := random.randrange(12_000, 32_000)):
        pass
    return port


def fraction(*words: object) -> float:
    """A number in [0, 1) that depends on nothing but the words."""
    digest = hashlib.blake2b(":".join(map(str, words)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / (1 << 56)


def truth(unit: str) -> int:
    """What becomes of a unit."""
    return int(fraction("truth", unit) < 0.5)


class ModelServer:
    """A foreign model server. ``miss``: how far its predictions are from the truth, more or less.

    ``mode`` may change while it runs: *good*, *500*, *hang* (longer than anybody waits), *nan*; ``die`` ends it.
    """

    def __init__(self, name: str, miss: float) -> None:
        self.name, self.miss, self.mode = name, miss, "good"
        self.port = processes.free_port()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.model = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def predict(self, row: dict[str, Any]) -> float:
        if self.mode == "nan":
            return math.nan
        unit = row["unit"]
        wrong = self.miss + 0.1 * (fraction(self.name, unit) - 0.5)
        return abs(truth(unit) - wrong)

    def die(self) -> None:
        """Take no more connections."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._thread = None


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    model: ModelServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        model = self.server.model
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["dataframe_records"]
        if model.mode == "hang":
            time.sleep(3)
        body = json.dumps({"predictions": [model.predict(row) for row in rows]}).encode()
        self.send_response(500 if model.mode == "500" else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # whoever asked did not wait
            super().handle()

    def log_message(self, format: str, *given: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Sent:
    """One request and its answer."""

    unit: str
    time: datetime
    answer: Answer


class Live:
    """A project with everything running; the controller is an object of this process that may be thrown away."""

    model = "fraud"
    t0, hour_long, salt = T0, HOUR, SALT

    def __init__(
        self,
        root: Path,
        *,
        clock: str = "replay",
        request: str = "5s",
        attempt: str = "2s",
        store: str = ".seatrial/store.db",
        more: str = "",
    ) -> None:
        gateway, api = lasting_port(), lasting_port()
        root.mkdir(exist_ok=True)
        (root / "seatrial.yaml").write_text(
            f"project: live\nclock: {clock}\nstore: {store}\n{more}\n"
            f"gateway: {{port: {gateway}}}\napi: {{port: {api}}}\n"
            f"timeouts: {{request: {request}, attempt: {attempt}}}\n"
        )
        self.project = Project.open(root)
        self.project.prepare()
        (self.project.state / "secrets.json").write_text(json.dumps(SECRETS))
        self.servers: list[ModelServer] = []
        self.client = Client(self.project.config.gateway.url, timeout_s=10)
        self.store = Store.open(self.project.store_url)
        self._stopping: threading.Event | None = None
        self._loop: threading.Thread | None = None

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """A new controller; whatever one there was is thrown away as a crash would leave it."""
        if hasattr(self, "controller"):
            self.controller.hosts.close()  # a dead process has neither threads that go on
            self.controller.collector.close()  # nor open files
        self.controller = Controller(self.project, self.store)
        self.operations = Operations(self.project, self.store, self.controller)
        self.controller.start()

    def run(self) -> None:
        """Let the controller's loop run on a thread."""
        self._stopping = threading.Event()
        self._loop = threading.Thread(target=self.controller.run, args=(self._stopping,))
        self._loop.start()

    def halt(self) -> None:
        """End the loop's thread."""
        if self._stopping is not None and self._loop is not None:
            self._stopping.set()
            self._loop.join()
            self._stopping = self._loop = None

    def close(self) -> None:
        self.halt()
        if hasattr(self, "controller"):
            self.controller.stop()
        for server in self.servers:
            server.die()
        shutdown(self.project)
        self.store.close()

    def pids(self) -> dict[str, int | None]:
        """The processes that outlive a controller."""
        hosts = {path.parent.name: path for path in sorted((self.project.state / "hosts").glob("*/host.pid"))}
        return {
            "envoy": self.controller.envoy.pid,
            **{name: int(json.loads(path.read_text())["pid"]) for name, path in hosts.items()},
        }

    # ── models ───────────────────────────────────────────────────────────────────────────────────────────────────

    def server(self, name: str, miss: float = 0.3, *, started: bool = True) -> ModelServer:
        server = ModelServer(name, miss)
        self.servers.append(server)
        if started:
            server.start()
        return server

    def adopt(self, server: ModelServer) -> None:
        self.operations.adopt(self.model, server.url, actor="ann")

    def register(self, server: ModelServer) -> int:
        return self.register_as(Serving(kind="url", url=server.url), server.name)

    def register_as(self, serving: Serving, name: str) -> int:
        """A version, however it is served; its lineage is made up of its name."""
        digest = Digest("sha256:" + hashlib.sha256(name.encode()).hexdigest())
        model = ModelRef(serving.artifact or digest, "sklearn")
        lineage = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(digest, 1000), model)
        return self.operations.register(self.model, serving, lineage, actor="ann").number

    def begin(self, version: int, plan: Plan) -> str:
        return self.operations.start_rollout(self.model, version, plan, actor="ann", salt=SALT)

    # ── traffic ──────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, units: Sequence[str], since: datetime = T0, spread: timedelta = HOUR) -> list[Sent]:
        """One request a unit, evenly spread over event time; returned in that order."""
        jobs = [(unit, since + spread * n / len(units)) for n, unit in enumerate(units)]
        with ThreadPoolExecutor(SENDERS) as pool:
            done = [*pool.map(self._send_all, [jobs[n::SENDERS] for n in range(SENDERS)])]
        return sorted((sent for part in done for sent in part), key=lambda sent: sent.time)

    def _send_all(self, jobs: list[tuple[str, datetime]]) -> list[Sent]:
        found = []
        for unit, at in jobs:
            body = {"dataframe_records": [{"unit": unit}]}
            headers = {"x-event-time": at.isoformat()}
            found.append(Sent(unit, at, self.client.predict(self.model, body, unit=unit, headers=headers)))
        self.client.close()
        return found

    def report(self, sent: Sequence[Sent], *, after: timedelta = HOUR / 4) -> None:
        """The truth about all of them, as outcomes."""
        self.operations.ingest(
            [Outcome(self.model, s.answer.id, "y", truth(s.unit), s.time + after) for s in sent if s.answer.id]
        )

    def hour(self, n: int, units: Sequence[str]) -> list[Sent]:
        """Hour ``n`` of the replay: traffic, outcomes, and the clock moves to its end."""
        sent = self.send(units, T0 + n * HOUR)
        self.report(sent)
        self.operations.advance(T0 + (n + 1) * HOUR)
        return sent

    @staticmethod
    def people(hour: int, n: int) -> list[str]:
        """Units that are new in this hour."""
        return [f"unit-{hour}-{k}" for k in range(n)]

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────

    def decisions(self, rollout: str) -> list[Decision]:
        """Stored decisions."""
        with self.store.read() as tx:
            return [decision_from_json(stored.document) for stored in tx.decisions.list(rollout)]

    def told(self, rollout: str) -> list[tuple[str, int, str]]:
        return [(d.action, d.stage, d.rule) for d in self.decisions(rollout)]

    def status(self, rollout: str) -> str:
        with self.store.read() as tx:
            return tx.rollouts.get(rollout).status

    def pointers(self) -> dict[str, int | None]:
        with self.store.read() as tx:
            return dict(tx.models.pointers(self.model))

    def stages(self) -> dict[int, str]:
        with self.store.read() as tx:
            return {version.number: str(version.stage) for version in tx.models.list_versions(self.model)}

    def actions(self) -> list[str]:
        """The audit log's actions, oldest first."""
        with self.store.read() as tx:
            assert tx.audit.verify().ok
            return [entry.action for entry in reversed(tx.audit.log(1000))]

    def events(self) -> pa.Table:
        """Everything captured of the model; read anew where parts were merged meanwhile."""
        for _ in range(5):
            with contextlib.suppress(FileNotFoundError):
                return read_parts(list_parts(model_directory(self.project.events, self.model)), event_schema(()))
        raise AssertionError("parts vanish faster than they are read")

    def captured(self, rollout: str) -> Counter[tuple[int, str]]:
        """Requests in the log per (phase, arm)."""
        rows = [row for row in self.events().to_pylist() if row["rollout"] == rollout and row["row"] == 0]
        return Counter((row["phase"], row["arm"]) for row in rows)

    def counted(self, rollout: str) -> Counter[tuple[int, str]]:
        """Requests by Envoy's own counters per (phase, arm)."""
        counters = self.controller.envoy.counters()
        return Counter({(p, arm): n for (r, p, arm), n in counters.items() if r == rollout and p is not None and n})

    def weight(self) -> int:
        """The canary's weight as Envoy has it in use."""
        return self.controller.envoy.split()[self.model]["canary"]

    @staticmethod
    def wait_for(done: Callable[[], Any], seconds: float = 40.0) -> Any:
        """Until it is so; the only limit is a generous one."""
        deadline = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.05)
        return found
