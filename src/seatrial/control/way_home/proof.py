"""Proving that a model's standby serves: the time to its first valid prediction, and how much it can take.

Everything is asked at the host itself. Users' traffic is not touched.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from seatrial.control.capture.reading import host_reading
from seatrial.control.documents.views import Document, plain
from seatrial.control.gateway import gateway_of
from seatrial.control.project import Project
from seatrial.control.way_home.load import Step, present_rate, ramp
from seatrial.control.way_home.probe import Sample, first_answer, samples
from seatrial.errors import SeatrialError, Unavailable
from seatrial.gateway.routes import Endpoint
from seatrial.ids import ModelName, VersionNumber
from seatrial.registry.version import Model, ModelVersion
from seatrial.rollout.standby import Served, seconds_text
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import HostSpec
from seatrial.serving.versions import host_spec
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import canonical, iso_z
from seatrial.store.db import Transaction
from seatrial.store.homecomings import StoredStandbyTime

Answered = Literal["prediction", "readiness", "nothing"]
Occasion = Literal["promotion", "start", "drill", "by hand"]

COLD_START_S = 300.0
HOST_UP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyProof:
    """What was found out about one standby.

    ``seconds``: from the request to its first valid prediction, None if it did not serve; ``answered``: with a
    prediction, or only its own word that it is ready, where there was nothing to ask. ``needed_rps``: what users send
    now; ``sustained_rps``: the highest rate that it kept up with; both None where no load was sent. ``why``: what is
    wrong.
    """

    model: str
    version: int
    policy: str
    ready: bool
    seconds: float | None
    answered: Answered
    why: str = ""
    needed_rps: float | None = None
    sustained_rps: float | None = None
    steps: tuple[Step, ...] = ()

    @property
    def carries(self) -> bool | None:
        """Whether it can take all that users send now; None where nobody tried."""
        if self.needed_rps is None or self.sustained_rps is None:
            return None
        return self.sustained_rps >= self.needed_rps

    @property
    def text(self) -> str:
        """For people."""
        name = f"{self.model} v{self.version} ({self.policy})"
        if not self.ready:
            return f"{name} does not serve: {self.why}"
        told = f"{name} serves in {seconds_text(self.seconds)}, proven by a {self.answered}"
        if self.needed_rps is None or self.sustained_rps is None:
            return told
        return f"{told}; it sustains {self.sustained_rps:,.0f} requests/s, users send {self.needed_rps:,.0f}"


def standby_of(tx: Transaction, model: str) -> tuple[Model, ModelVersion] | None:
    """The model and the version that is its way home after a promotion; None where it has no standby. NotFound."""
    known = tx.models.get_model(model)
    previous = tx.models.pointers(model).get("previous")
    return None if previous is None else (known, tx.models.get_version(model, previous))


def prove_standby(
    project: Project, model: Model, standby: ModelVersion, *, load_s: float = 0.0, rate: float | None = None
) -> StandbyProof:
    """Find out how fast a standby serves under its model's policy, and with ``load_s`` how much it can take.

    *hot* and *warm* are asked where they run. A *cold* one is started from the artifact store in a process of its own
    that is ended afterwards. ``load_s``: seconds of each step of the ramp up to ``rate`` requests a second (what users
    send now, if None). Nothing is recorded and no traffic is moved; whatever is wrong is in ``why``.
    """
    base = StandbyProof(
        model=model.name, version=standby.number, policy=model.safety.standby,
        ready=False, seconds=None, answered="nothing",
    )  # fmt: skip
    began = time.perf_counter()
    try:
        with _host(project, model, standby) as (spec, endpoint):
            asked = samples(project, model.name, spec)
            patience = COLD_START_S if base.policy == "cold" else HOST_UP_S
            proof = _answered(base, first_answer(endpoint, asked, patience), time.perf_counter() - began)
            return _loaded(project, proof, endpoint, asked, load_s, rate) if load_s and asked else proof
    except (SeatrialError, OSError) as error:
        return replace(base, why=str(error))


def record_proof(tx: Transaction, proof: StandbyProof, now: datetime, occasion: Occasion, *, actor: str) -> None:
    """Keep a measurement, and audit it."""
    document = {
        "answered": proof.answered,
        "why": proof.why,
        "neededRps": proof.needed_rps,
        "sustainedRps": proof.sustained_rps,
    }
    stored = StoredStandbyTime(
        ModelName(proof.model), VersionNumber(proof.version), proof.policy, proof.seconds, now, occasion,
        canonical(document),
    )  # fmt: skip
    tx.homecomings.measured(stored)
    detail = {"version": proof.version, "policy": proof.policy, "seconds": proof.seconds, "occasion": occasion}
    tx.audit.append(actor, "model.standby", proof.model, {**detail, **document}, now)


def proof_document(proof: StandbyProof) -> Document:
    """``seatrial.standby-proof.v1``"""
    return {"schema": "seatrial.standby-proof.v1", **plain(proof), "carries": proof.carries, "text": proof.text}


def served(tx: Transaction, project: Project, model: Model) -> Served:
    """How the model's standby is kept, and the last measurement under that policy."""
    policy, valid_for = model.safety.standby, project.config.standby.proven_for.delta
    last = tx.homecomings.latest(model.name, policy)
    if last is None:
        return Served(model=model.name, policy=policy, valid_for=valid_for)
    return Served(
        model=model.name, policy=policy, valid_for=valid_for,
        measured=True, seconds=last.seconds, version=last.version, at=last.at,
    )  # fmt: skip


def served_document(found: Served) -> Document:
    """How fast a standby serves, as measured or as its policy declares."""
    return {
        "measured": found.measured,
        "seconds": found.assumed,
        "measuredAt": None if found.at is None else iso_z(found.at),
        "measuredVersion": found.version,
        "validUntil": None if found.at is None else iso_z(found.at + found.valid_for),
        "text": found.text,
    }


def running_host(project: Project, model: str, number: int) -> tuple[HostSpec, Endpoint] | None:
    """The spec and the address of a version's host, as its files say; None where none was started."""
    directory = project.host_directory(model, number)
    try:
        port = int(json.loads((directory / "host.pid").read_text())["port"])
        spec = HostSpec.read(directory / "spec.json")
    except (OSError, ValueError, KeyError, TypeError, SeatrialError):
        return None
    return spec, Endpoint(spec.host, port)


# ── internals ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _answered(base: StandbyProof, found: tuple[bool, bool], seconds: float) -> StandbyProof:
    ready, predicted = found
    if not ready:
        return replace(base, why="its host does not become ready")
    return replace(base, ready=True, seconds=seconds, answered="prediction" if predicted else "readiness")


def _loaded(
    project: Project, proof: StandbyProof, endpoint: Endpoint, asked: list[Sample], load_s: float, rate: float | None
) -> StandbyProof:
    """With what it can take. A step that was not held ends the ramp."""
    if proof.answered != "prediction":
        return proof
    limit_s = project.config.timeouts.attempt.seconds
    needed = present_rate(gateway_of(project).admin, proof.model) if rate is None else rate
    steps = ramp(endpoint, asked, needed, seconds=load_s, limit_s=limit_s)
    sustained = max((step.asked_rps for step in steps if step.held(limit_s)), default=0.0)
    return replace(proof, needed_rps=needed, sustained_rps=sustained, steps=tuple(steps))


@contextmanager
def _host(project: Project, model: Model, standby: ModelVersion) -> Iterator[tuple[HostSpec, Endpoint]]:
    """Where the standby can be asked; one that is stored only is started for as long as that takes."""
    if model.safety.standby == "cold":
        with _rehearsal(project, model, standby) as host:
            yield host
        return
    found = running_host(project, model.name, standby.number)
    if found is None:
        raise Unavailable("ST0827", f"{standby.name}, the standby, has no host.", remedy="`seatrial up` brings it up.")
    yield found


@contextmanager
def _rehearsal(project: Project, model: Model, standby: ModelVersion) -> Iterator[tuple[HostSpec, Endpoint]]:
    """A start from the artifact store as the way home would make it, beside whatever runs."""
    artifacts, memory = ArtifactStore(project.artifacts), project.config.hosts.memory
    if standby.serving.artifact is not None:
        artifacts.verify(standby.serving.artifact)
    spec = host_spec(standby, artifacts, memory_mb=None if memory is None else memory.bytes >> 20)
    directory = project.host_directory(model.name, f"{standby.number}-rehearsal")
    process = HostProcess(spec.read_as(host_reading(model, None)), directory)
    process.stop()
    process.start()
    try:
        yield process.spec, Endpoint(spec.host, process.port)
    finally:
        process.stop()
        shutil.rmtree(directory, ignore_errors=True)
