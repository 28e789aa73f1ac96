"""Training runs on a Ray cluster: each is an actor that outlives whoever asked for it.

Ray's own side of it is a process (:mod:`seatrial.training.ray_side`): a driver that loses its cluster is ended by Ray,
and must not take the controller with it. This machine has to be a node of the cluster (``ray start --address=HEAD
--num-cpus=0`` makes it one that trains nothing itself). What lies in the run's directory is sent to the node that
trains, and everything that lies there in the end comes back. Programs and data from elsewhere must be there on every
node, and so must seatrial.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import Any

from seatrial.errors import Unavailable, UsageError
from seatrial.training.launcher import Job, Standing
from seatrial.training.process import ProcessLauncher
from seatrial.training.supervisor import CANCEL_FILE, EXIT_FILE, write

RAY_FILE = "ray.json"
"""The actor that has the run: there once it has been asked for."""

ANSWER_S = 120.0
"""In which Ray's side answers; joining a cluster takes it seconds, and fetching a large model longer."""


class RayLauncher:
    """Fulfils :class:`seatrial.training.launcher.Launcher`.

    ``address`` of the cluster; None: as Ray does, from RAY_ADDRESS or the one that was started here last. ``cpus`` and
    ``gpus`` are what each run reserves: it waits until a node has them.
    """

    def __init__(
        self, address: str | None = None, *, cpus: float = 1.0, gpus: float = 0.0, answer_s: float = ANSWER_S
    ) -> None:
        self._side = _Side([json.dumps({"address": address, "cpus": cpus, "gpus": gpus})], answer_s)

    def start(self, job: Job) -> None:
        """Raises UsageError (ST1360) without Ray, Unavailable (ST1361) where the cluster does not answer."""
        if find_spec("ray") is None:
            raise UsageError(
                "ST1360", f"run {job.run}: Ray is not installed.", remedy="pip install 'seatrial[ray]', here and there."
            )
        if (job.directory / RAY_FILE).exists() or (job.directory / EXIT_FILE).exists():
            return
        job.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(job.directory / RAY_FILE, self._ask("start", job))

    def poll(self, job: Job) -> Standing:
        """Raises Unavailable (ST1361)."""
        if not (job.directory / EXIT_FILE).exists():
            if not (job.directory / RAY_FILE).exists():
                return Standing(status="lost", reason="it never began")
            found = self._ask("poll", job)
            if not found["ended"]:
                return Standing(status="running", progress=found["progress"], message=found["message"])
        return ProcessLauncher().poll(job)

    def cancel(self, job: Job) -> None:
        """Raises Unavailable (ST1361); asked again it is as if asked once."""
        if (job.directory / RAY_FILE).exists() and not (job.directory / EXIT_FILE).exists():
            (job.directory / CANCEL_FILE).touch()
            self._ask("cancel", job)

    def log(self, job: Job, *, last: int | None = None) -> str:
        """Raises Unavailable (ST1361)."""
        if (job.directory / RAY_FILE).exists() and not (job.directory / EXIT_FILE).exists():
            return str(self._ask("log", job, last=last)["text"])
        return ProcessLauncher().log(job, last=last)

    def close(self) -> None:
        """Leave the cluster; runs go on."""
        self._side.close()

    def _ask(self, verb: str, job: Job, **more: Any) -> dict[str, Any]:
        asked = {
            "run": job.run, "model": job.model, "command": list(job.command), "directory": str(job.directory.resolve()),
            "timeout_s": job.timeout_s, "environment": dict(job.environment),
        }  # fmt: skip
        return self._side.ask({"verb": verb, "job": asked, **more})


class _Side:
    """The process that speaks with Ray: a line of JSON each way. It is begun anew when it has ended."""

    def __init__(self, arguments: list[str], answer_s: float) -> None:
        self._command = [sys.executable, "-I", "-m", "seatrial.training.ray_side", *arguments]
        self._answer_s = answer_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Raises Unavailable (ST1361)."""
        with self._lock:
            try:
                answer = self._answer(json.dumps(question).encode() + b"\n")
            except OSError as error:
                answer = {"unavailable": f"the process that speaks with it ended: {error.strerror or error}"}
            if "unavailable" in answer:
                self._end()
                raise Unavailable(
                    "ST1361", f"Ray does not answer: {answer['unavailable']}.",
                    remedy="Is the cluster up, of this version of Ray, and this machine one of its nodes? (ray status)",
                )  # fmt: skip
            return answer

    def close(self) -> None:
        with self._lock:
            self._end()

    def _answer(self, line: bytes) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        if not select.select([process.stdout], [], [], self._answer_s)[0]:
            return {"unavailable": f"nothing within {self._answer_s:g} s"}
        said = process.stdout.readline()
        if not said:
            raise OSError("it said nothing")
        found: dict[str, Any] = json.loads(said)
        return found

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
