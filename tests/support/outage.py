"""Real processes to be killed, stopped and robbed of their files, users who keep asking meanwhile, and a supervisor."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow.parquet as pq

from livesystem import SALT, Live, ModelServer, truth
from seatrial import processes
from seatrial.client import Client
from seatrial.control.gateway import gateway_of
from seatrial.control.operations import Operations
from seatrial.rollout.plan import Plan
from seatrial.store.plans import plan_to_json

AWAY = (OSError, http.client.HTTPException)
"""What a client meets while there is nobody to answer it."""


class Rig(Live):
    """A project whose every part is a process of its own; the control plane is started as its supervisor would."""

    def __init__(self, root: Path, **settings: str) -> None:
        super().__init__(root, **settings)
        config = self.project.config
        self.client = Client(config.gateway.url, config.api.url, token=self.project.token(), timeout_s=20)
        self._plane: subprocess.Popen[bytes] | None = None

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def up(self, *, wait: bool = True) -> None:
        """``seatrial up --foreground``, in the background of this test."""
        command = [sys.executable, "-m", "seatrial.cli", "--project", str(self.project.root), "up", "--foreground"]
        with (self.project.logs / "control.log").open("ab") as out:
            self._plane = subprocess.Popen(command, stdout=out, stderr=out)
        if wait:
            self.wait_for(self.ready)

    def ready(self) -> bool:
        """Everything runs as it should. Fails the test if the control plane has ended by itself."""
        assert self._plane is not None
        assert self._plane.poll() is None, self.log()[-3000:]
        address = self.project.config.api
        connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except AWAY:
            return False
        finally:
            connection.close()

    def ended(self, seconds: float = 60) -> int:
        """The exit code of a control plane that ends by itself."""
        assert self._plane is not None
        return self._plane.wait(seconds)

    def log(self) -> str:
        return (self.project.logs / "control.log").read_text(errors="replace")

    def close(self) -> None:
        for pid in self.processes().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.client.close()
        super().close()
        if self._plane is not None and self._plane.poll() is None:
            self._plane.kill()
            self._plane.wait()

    def processes(self) -> dict[str, int]:
        """Pids of everything that lives: ``control``, ``envoy``, and hosts by their directory."""
        found = {}
        if self._plane is not None and self._plane.poll() is None:
            found["control"] = self._plane.pid
        if (envoy := gateway_of(self.project).pid) is not None:
            found["envoy"] = envoy
        for path in sorted((self.project.state / "hosts").glob("*/host.pid")):
            with contextlib.suppress(OSError, ValueError):
                told = json.loads(path.read_text())
                if processes.running(told["pid"], told["started"]):
                    found[path.parent.name] = told["pid"]
        return found

    def strike(self, *names: str, number: int = signal.SIGKILL) -> None:
        """A signal to all of these, at once."""
        found = self.processes()
        for name in names:
            os.kill(found[name], number)
        if "control" in names and number == signal.SIGKILL and self._plane is not None:
            self._plane.wait()

    def write(self, work: Callable[[Operations], Any]) -> Any:
        """What the command line does while nothing runs: straight into the store."""
        return work(Operations(self.project, self.store))

    # ── models, through the API ──────────────────────────────────────────────────────────────────────────────────

    def adopt(self, server: ModelServer) -> None:
        self.client.call("POST", f"/v1/models/{self.model}/adopt", {"url": server.url})

    def register(self, server: ModelServer) -> int:
        self.operations = Operations(self.project, self.store)
        return super().register(server)

    def begin(self, version: int, plan: Plan) -> str:
        body = {"model": self.model, "version": version, "plan": plan_to_json(plan), "salt": SALT}
        return str(self.client.call("POST", "/v1/rollouts", body)["rollout"])

    @staticmethod
    def truth(unit: str) -> int:
        return truth(unit)

    def outcomes_known(self) -> Counter[str]:
        """Keys of the outcomes there are, each counted once for every time it is kept."""
        parts = sorted(self.project.outcomes.glob(f"model={self.model}/*.parquet"))
        return Counter(key for part in parts for key in pq.read_table(part, columns=["key"])["key"].to_pylist())

    def by_hand(self, rollout: str, verb: str, **body: Any) -> None:
        self.client.call("POST", f"/v1/rollouts/{rollout}/{verb}", body)

    def counted(self, rollout: str) -> Counter[tuple[int, str]]:
        counters = gateway_of(self.project).counters()
        return Counter({(p, arm): n for (r, p, arm), n in counters.items() if r == rollout and p is not None and n})

    def weight(self) -> int:
        return gateway_of(self.project).split()[self.model]["canary"]


@dataclass(frozen=True)
class Asked:
    """One request of a user. ``status`` 0: nobody answered. Times are monotonic."""

    unit: str
    began: float
    ended: float
    status: int
    id: str
    version: str
    level: str
    why: str


class Crowd:
    """Users who keep asking while the ``with`` block lasts, each under a unit of its own."""

    def __init__(self, rig: Live, name: str, *, users: int = 4, pause_s: float = 0.02, timeout_s: float = 10.0) -> None:
        self._rig, self._name, self._users, self._pause, self._timeout = rig, name, users, pause_s, timeout_s
        self._leaving = threading.Event()
        self._threads: list[threading.Thread] = []
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask_on, args=(n,)) for n in range(self._users)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def failed(self, *, since: float = 0.0) -> list[Asked]:
        """Users who got no good answer to what they asked since then."""
        return [asked for asked in self.asked if asked.status != 200 and asked.began >= since]

    def answered(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.status == 200]

    def wait_for(self, more: int) -> None:
        """Until so many more were answered."""
        wanted = len(self.answered()) + more
        Live.wait_for(lambda: len(self.answered()) >= wanted)

    def _ask_on(self, user: int) -> None:
        client = Client(self._rig.project.config.gateway.url, timeout_s=self._timeout)
        turn = 0
        while not self._leaving.is_set():
            unit, began = f"{self._name}-{user}-{turn}", time.monotonic()
            turn += 1
            try:
                answer = client.predict(self._rig.model, {"dataframe_records": [{"unit": unit}]}, unit=unit)
                told = (answer.status, answer.id, answer.version, answer.level, "")
            except AWAY as error:
                client.close()
                told = (0, "", "", "", repr(error))
            self.asked.append(Asked(unit, began, time.monotonic(), *told))
            time.sleep(self._pause)
        client.close()


def patiently(call: Callable[[], Any], seconds: float = 60.0) -> Any:
    """A call that may be repeated, until somebody is there to take it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
