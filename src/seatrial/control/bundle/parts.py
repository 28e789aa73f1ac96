"""What a model's history consists of: the parts of a device history file, and who writes each.

A part that has no records is named in the bundle as empty, so that a reader sees what there is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, select

from seatrial.ci.results import run_document
from seatrial.control import cards, change_record
from seatrial.control.bundle.records import Record, json_record
from seatrial.control.changes import test_sets
from seatrial.control.declarations import declaration_of
from seatrial.control.documents.rollouts import stored_decision_document
from seatrial.control.documents.views import plain, version_document
from seatrial.control.drills.documents import drill_document
from seatrial.control.follow_up import follow_up_document
from seatrial.control.history import runs_of
from seatrial.control.inventory import entry
from seatrial.control.project import Project
from seatrial.registry.version import Model, ModelVersion
from seatrial.store import schema
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.rollouts import StoredRollout


@dataclass(frozen=True, slots=True)
class Scope:
    """What is exported: a model with some of its versions, as one transaction sees it."""

    tx: Transaction
    project: Project
    artifacts: ArtifactStore
    model: Model
    versions: tuple[ModelVersion, ...]
    now: datetime

    def rollouts(self) -> tuple[StoredRollout, ...]:
        """Those that one of the versions was in, on either side."""
        numbers = {version.number for version in self.versions}
        return tuple(r for r in self.tx.rollouts.list(self.model.name) if {r.candidate, r.champion} & numbers)


Exporter = Callable[[Scope], Iterator[Record]]


def requirements(scope: Scope) -> Iterator[Record]:
    """What the model is for, how careful it is to be treated, and what its releases had to show."""
    name = scope.model.name
    line = entry(scope.tx, scope.project, scope.model, scope.now)
    said = declaration_of(scope.tx, name).document()
    agreed = {"contract": scope.model.contract.document(), "safety": scope.model.safety.document()}
    yield json_record("model.json", "requirements", f"{name}: intended use and care", {**line, **agreed, **said})
    for rollout in scope.rollouts():
        path = f"rollouts/{rollout.id}/plan.json"
        yield json_record(path, "requirements", f"What {rollout.id} had to show", json.loads(rollout.plan))


def provenance(scope: Scope) -> Iterator[Record]:
    """Code, data, model and environment of each version."""
    for version in scope.versions:
        path = f"versions/{version.number}/version.json"
        yield json_record(path, "provenance", f"{version.name}: where it comes from", version_document(version))


def changes(scope: Scope) -> Iterator[Record]:
    """Change record and model card of each version."""
    tx, name = scope.tx, scope.model.name
    for version in scope.versions:
        at = f"versions/{version.number}"
        record = change_record.change_record(tx, scope.project, name, version.number)
        yield json_record(f"{at}/change-record.json", "changes", f"{version.name}: change record", record)
        text = cards.as_markdown(cards.card(tx, name, version.number))
        yield Record(f"{at}/card.md", "changes", f"{version.name}: model card", text.encode())


def tests(scope: Scope) -> Iterator[Record]:
    """CI runs."""
    for version in scope.versions:
        for run in runs_of(scope.tx, version):
            title = f"{run.id} of {version.name}: {run.status}"
            yield json_record(f"ci/{run.id}.json", "tests", title, run_document(run))


def approvals(scope: Scope) -> Iterator[Record]:
    """Requests with every act on them."""
    numbers = {version.number for version in scope.versions}
    for request in scope.tx.approvals.list(scope.model.name):
        if request.version in numbers:
            document = {**plain(request), "acts": plain(scope.tx.approvals.acts(request.id))}
            title = f"{request.id}: {request.kind} of v{request.version}"
            yield json_record(f"approvals/{request.id}.json", "approvals", title, document)


def decisions(scope: Scope) -> Iterator[Record]:
    """Each rollout, each of its decisions, and the evidence that each was taken on."""
    written: set[str] = set()
    for rollout in scope.rollouts():
        summary = {
            "id": rollout.id, "model": rollout.model, "candidate": rollout.candidate, "champion": rollout.champion,
            "status": rollout.status, "createdAt": iso_z(rollout.created_at), "updatedAt": iso_z(rollout.updated_at),
            "state": json.loads(rollout.state),
        }  # fmt: skip
        at = f"rollouts/{rollout.id}"
        yield json_record(f"{at}/rollout.json", "decisions", f"{rollout.id}: {rollout.status}", summary)
        for stored in scope.tx.decisions.list(rollout.id):
            document = {**stored_decision_document(stored), "given": json.loads(stored.given or "null")}
            title = f"{rollout.id} decision {stored.seq}: {stored.action} by {stored.rule}"
            yield json_record(f"{at}/decisions/{stored.seq:04d}.json", "decisions", title, document)
            if stored.evidence_digest is not None and stored.evidence_digest not in written:
                written.add(stored.evidence_digest)
                yield from _evidence(scope, stored.evidence_digest)


def _evidence(scope: Scope, digest: str) -> Iterator[Record]:
    """The file as it is stored (zlib): its SHA-256 is the digest that the decisions name. What was deleted by
    retention is not there."""
    place = scope.artifacts.root / digest.removeprefix("sha256:")
    if place.is_file():
        yield Record(f"evidence/{place.name}.zz", "decisions", f"Evidence {digest[:19]}", place.read_bytes())


def drills(scope: Scope) -> Iterator[Record]:
    for drill in scope.tx.drills.list(scope.model.name):
        yield json_record(f"drills/{drill.id}.json", "drills", f"{drill.id}: {drill.status}", drill_document(drill))


def incidents(scope: Scope) -> Iterator[Record]:
    """Incidents, recalls with what was done about them, and what was found after the release."""
    rollouts = {rollout.id for rollout in scope.rollouts()}
    for incident in scope.tx.incidents.list():
        if incident.rollout in rollouts:
            document = {**plain(incident), "document": json.loads(incident.document)}
            title = f"{incident.id}: {incident.choice or 'open'}"
            yield json_record(f"incidents/{incident.id}.json", "incidents", title, document)
    for recall in scope.tx.recalls.list(scope.model.name):
        marks = plain(scope.tx.recalls.marks(recall.id))
        document = {**plain(recall), "document": json.loads(recall.document), "marks": marks}
        yield json_record(f"recalls/{recall.id}.json", "incidents", f"{recall.id}: {recall.reason}", document)
    for rollout in sorted(rollouts):
        if (after := follow_up_document(scope.tx, rollout)) is not None:
            yield json_record(f"rollouts/{rollout}/after.json", "incidents", f"{rollout}: after the release", after)


def governed(scope: Scope) -> Iterator[Record]:
    """Baselines, envelopes and tickets: the rows as they are stored; locked test sets with every use of them."""
    for number, known in enumerate(scope.tx.test_sets.list(scope.model.name), 1):
        told = test_sets.told(scope.tx, known)
        yield json_record(f"governance/test-sets/{number:04d}.json", "governance", f"test-sets {number}", told)
    for table in (schema.change_baselines, schema.change_envelopes, schema.tickets):
        for number, row in enumerate(_rows(scope, table), 1):
            name = table.name.replace("_", "-")
            yield json_record(f"governance/{name}/{number:04d}.json", "governance", f"{name} {number}", row)


def _rows(scope: Scope, table: Table) -> Iterator[Any]:
    """JSON is told as such; an envelope is the YAML that was declared, to the letter."""
    query = select(table).where(table.c.model == scope.model.name).order_by(*table.primary_key.columns)
    opened = "document" in table.c and table is not schema.change_envelopes
    for row in scope.tx.connection.execute(query):
        fields = plain(dict(row._mapping))
        yield {**fields, **({"document": json.loads(fields["document"])} if opened else {})}


@dataclass(frozen=True, slots=True)
class Part:
    """``name``: as in ``Record.part``."""

    name: str
    title: str
    export: Exporter


PARTS: Final = (
    Part("requirements", "Intended use and requirements", requirements),
    Part("provenance", "Lineage and data provenance", provenance),
    Part("changes", "Change records and model cards", changes),
    Part("tests", "Test evidence", tests),
    Part("approvals", "Approvals and signatures", approvals),
    Part("governance", "Change envelopes, locked test sets, tickets", governed),
    Part("decisions", "Decisions and their evidence", decisions),
    Part("drills", "Drills of the way home", drills),
    Part("incidents", "Incidents, recalls, and what came after", incidents),
)
