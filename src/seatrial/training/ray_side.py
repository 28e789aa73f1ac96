"""The process that speaks with a Ray cluster for :mod:`seatrial.training.ray`: a question a line, an answer a line.

On the node that trains, an actor does what is done for a run on this machine, in a directory of its own
(:mod:`seatrial.training.process`).
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayError

from seatrial.errors import SeatrialError
from seatrial.training.launcher import Job
from seatrial.training.process import ProcessLauncher
from seatrial.training.supervisor import CANCEL_FILE, EXIT_FILE, write

NAMESPACE = "seatrial"
SOON_S = 10.0
"""In which an actor that runs answers; one that does not is still waiting for a place."""


class Trainer:
    """One run on the node that has it. ``packed``: what lies in the run's directory where it was asked for."""

    def __init__(self, job: Job, packed: bytes) -> None:
        there = Path(tempfile.mkdtemp(prefix="seatrial-run-"))
        unpack(packed, there)
        moved = {name: value.replace(str(job.directory), str(there)) for name, value in job.environment.items()}
        command = tuple(part.replace(str(job.directory), str(there)) for part in job.command)
        self._job = replace(job, directory=there, environment=moved, command=command)
        self._launcher = ProcessLauncher()
        try:
            self._launcher.start(self._job)
        except SeatrialError as error:
            write(there / EXIT_FILE, {"status": "failed", "reason": str(error), "seconds": 0.0})

    def poll(self) -> dict[str, Any]:
        """How it stands, and, where it has ended, what its supervisor wrote of it."""
        found = self._launcher.poll(self._job)
        ending: dict[str, Any] = {"status": found.status, "reason": found.reason, "seconds": None}
        if found.ended and (path := self._job.directory / EXIT_FILE).exists():
            ending = json.loads(path.read_text(encoding="utf-8"))
        return {"ended": found.ended, "progress": found.progress, "message": found.message, "ending": ending}

    def cancel(self) -> None:
        self._launcher.cancel(self._job)

    def log(self, last: int | None) -> str:
        return self._launcher.log(self._job, last=last)

    def packed(self) -> bytes:
        return pack(self._job.directory)

    def remove(self) -> None:
        shutil.rmtree(self._job.directory, ignore_errors=True)


class Cluster:
    """The cluster, joined when it is first needed."""

    def __init__(self, address: str | None, cpus: float, gpus: float) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS", "auto")
        self._needs = {"num_cpus": cpus, "num_gpus": gpus}

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """``unavailable`` with a reason where Ray does not answer."""
        job = _job(question["job"])
        try:
            self._join()
            if question["verb"] == "log":
                return self._log(job, question["last"])
            return {"start": self._start, "poll": self._poll, "cancel": self._cancel}[question["verb"]](job)
        except (RayError, OSError, RuntimeError) as error:
            return {"unavailable": (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")}

    def _join(self) -> None:
        """Ray itself asks for minutes before it believes that nobody is there."""
        if ray.is_initialized():
            return
        host, _, port = self._address.rpartition(":")
        if port.isdecimal():
            socket.create_connection((host, int(port)), timeout=SOON_S).close()
        ray.init(self._address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")

    def _start(self, job: Job) -> dict[str, Any]:
        """A second actor of the same name is the first one."""
        ray.remote(Trainer).options(
            name=_name(job), namespace=NAMESPACE, lifetime="detached", get_if_exists=True, max_restarts=0, **self._needs
        ).remote(job, pack(job.directory))
        return {"actor": _name(job), "namespace": NAMESPACE}

    def _poll(self, job: Job) -> dict[str, Any]:
        try:
            actor = ray.get_actor(_name(job), NAMESPACE)
            found: dict[str, Any] = ray.get(actor.poll.remote(), timeout=SOON_S)
            if found["ended"]:
                self._fetch(actor, job, found["ending"])
        except GetTimeoutError:
            return {"ended": False, "progress": None, "message": "waits for a node with room for it"}
        except ActorUnavailableError as error:
            raise ConnectionError("the node that trains does not answer for the moment") from error
        except (ValueError, ActorDiedError):
            cancelled = (job.directory / CANCEL_FILE).exists()
            status, reason = ("cancelled",) * 2 if cancelled else ("lost", "its actor died with its node, or was ended")
            write(job.directory / EXIT_FILE, {"status": status, "reason": reason, "seconds": None})
            return {"ended": True}
        return found

    def _fetch(self, actor: Any, job: Job, ending: dict[str, Any]) -> None:
        """Everything comes back, how it ended last: who finds that has the rest. Only then the actor may go."""
        unpack(ray.get(actor.packed.remote()), job.directory)
        write(job.directory / EXIT_FILE, ending)
        ray.get(actor.remove.remote())
        ray.kill(actor)

    def _cancel(self, job: Job) -> dict[str, Any]:
        try:
            actor = ray.get_actor(_name(job), NAMESPACE)
            ray.get(actor.cancel.remote(), timeout=SOON_S)
        except GetTimeoutError:
            ray.kill(actor)
        except (ValueError, ActorDiedError):
            pass  # nobody is left to be told
        return {}

    def _log(self, job: Job, last: int | None) -> dict[str, Any]:
        try:
            return {"text": ray.get(ray.get_actor(_name(job), NAMESPACE).log.remote(last), timeout=SOON_S)}
        except (ValueError, ActorDiedError, GetTimeoutError):
            return {"text": ""}


def pack(directory: Path) -> bytes:
    """The files of a directory; how the run ended is no part of them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(directory.iterdir()):
            if path.name != EXIT_FILE:
                archive.add(path, path.name)
    return packed.getvalue()


def unpack(packed: bytes, directory: Path) -> None:
    """Nothing outside the directory, no links out of it, no devices."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(directory, filter="data")


def _job(told: dict[str, Any]) -> Job:
    return Job(run=told["run"], model=told["model"], command=tuple(told["command"]), directory=Path(told["directory"]),
               timeout_s=told["timeout_s"], environment=told["environment"])  # fmt: skip


def _name(job: Job) -> str:
    return f"seatrial-{job.run}"


def serve(cluster: Cluster, questions: TextIO, answers: TextIO) -> None:
    """Until nobody asks any more."""
    for line in questions:
        answers.write(json.dumps(cluster.answer(json.loads(line))) + "\n")
        answers.flush()


def main() -> None:
    """What libraries print on stdout must not come between two answers."""
    given = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(Cluster(given["address"], given["cpus"], given["gpus"]), sys.stdin, answers)


if __name__ == "__main__":
    main()
