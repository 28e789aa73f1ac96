"""Writing a bundle: the records of every part, the model's audit entries with their proofs, and a signed manifest.

Errors: ``ST1506`` the place is taken or cannot be written.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from seatrial.control.anchoring.anchoring import anchor_of
from seatrial.control.anchoring.checking import checked
from seatrial.control.anchoring.keys import signing_key
from seatrial.control.bundle.extract import extract
from seatrial.control.bundle.parts import PARTS, Scope
from seatrial.control.bundle.records import (
    ANCHOR,
    CONTEXT,
    ENTRIES,
    MANIFEST,
    SIGNATURE,
    Record,
    json_bytes,
    json_record,
)
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.errors import UsageError
from seatrial.signing import SigningKey
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold: the same bundle has the same bytes


def export_bundle(
    project: Project, store: Store, model: str, version: int | None, out: Path, *, actor: str, now: datetime
) -> Document:
    """Write the history of a model, or of one version, to a directory or a ``.zip``. The export is audited.

    A broken audit log is not exported: raises IntegrityError. Raises NotFound; UsageError without a key (``ST1492``).
    """
    _require_free(out)
    key = signing_key(project)
    with store.read() as tx:
        checked(tx, project).require_ok()
        known = tx.models.list_versions(model)
        versions = known if version is None else (tx.models.get_version(model, version),)
        owned = tx.models.get_model(model)
        scope = Scope(tx, project, ArtifactStore(project.artifacts), owned, versions, now)
        records = [record for part in PARTS for record in part.export(scope)]
        anchor = anchor_of(tx, project, key, now)
        log = extract(tx, _objects(scope, records))
    records.append(json_record(ENTRIES, "audit", "Audit entries with their proofs", log))
    records.append(json_record(ANCHOR, "audit", "The anchor that vouches for them", anchor.document()))
    manifest = _manifest(scope, records, actor)
    _write(out, [*records, *_sealed(manifest, key)])
    told = {"versions": manifest["versions"], "records": len(records), "key": key.public.id}
    with store.begin() as tx:
        tx.audit.append(actor, "audit.export", model, told, now)
    counts = Counter(record.part for record in records)
    return {
        "schema": "seatrial.bundle-written.v1",
        "path": str(out),
        "model": model,
        "versions": manifest["versions"],
        "records": len(records),
        "parts": {part.name: counts[part.name] for part in PARTS},
        "entries": len(log["entries"]),
        "anchor": str(anchor.statement.anchor),
        "key": key.public.text,
    }


def _objects(scope: Scope, records: Sequence[Record]) -> frozenset[str]:
    """What the audit log calls the model, its versions and pointers, and everything that is exported of it."""
    name = scope.model.name
    own = {name, *(f"{name}@{pointer}" for pointer in ("champion", "challenger", "shadow", "previous"))}
    versions = {f"{name}/{version.number}" for version in scope.versions}
    return frozenset({*own, *versions, *(_id(record.path) for record in records)})


def _id(path: str) -> str:
    """``ci/ci-0001.json`` → ``ci-0001``, ``rollouts/r-0001/plan.json`` → ``r-0001``."""
    folder, _, rest = path.partition("/")
    return rest.partition("/")[0] if folder == "rollouts" else Path(path).stem


def _manifest(scope: Scope, records: Sequence[Record], actor: str) -> Document:
    counts = Counter(record.part for record in records)
    return {
        "schema": "seatrial.bundle.v1",
        "project": scope.project.config.project,
        "model": scope.model.name,
        "versions": [version.number for version in scope.versions],
        "madeAt": iso_z(scope.now),
        "madeBy": actor,
        "parts": [{"name": part.name, "title": part.title, "records": counts[part.name]} for part in PARTS],
        "records": [
            {"path": r.path, "sha256": r.sha256, "bytes": len(r.data), "part": r.part, "title": r.title}
            for r in sorted(records, key=lambda record: record.path)
        ],
    }


def _sealed(manifest: Document, key: SigningKey) -> tuple[Record, Record]:
    """The manifest and its signature."""
    data = json_bytes(manifest)
    signature = key.sign(data, context=CONTEXT)
    return (
        Record(MANIFEST, "bundle", "Manifest", data),
        json_record(SIGNATURE, "bundle", "Its signature", asdict(signature)),
    )


def _require_free(out: Path) -> None:
    if out.exists():
        raise _unwritable(out, "it exists already")


def _write(out: Path, records: Iterable[Record]) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            with zipfile.ZipFile(out, "x", zipfile.ZIP_DEFLATED) as archive:
                for record in records:
                    archive.writestr(zipfile.ZipInfo(record.path, _EPOCH), record.data, zipfile.ZIP_DEFLATED)
            return
        out.mkdir()
        for record in records:
            place = out / record.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(record.data)
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from error


def _unwritable(out: Path, why: str) -> UsageError:
    return UsageError("ST1506", f"the bundle '{out}' cannot be written: {why}.", remedy="Name another place with -o.")
