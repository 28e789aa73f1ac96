"""Test sets that nobody trains on: locked by the hashes of their rows, held against training data, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from seatrial.ci.results import Run
from seatrial.ci.tables import Table
from seatrial.control.changes import row_hashes
from seatrial.control.project import Project
from seatrial.errors import Conflict, UsageError
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.store.alert import Alert
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import digest_of_bytes, iso_z
from seatrial.store.db import Transaction
from seatrial.store.test_sets import StoredTestSet, Use

Document = dict[str, Any]

LIMIT = 20
"""Uses after which a test set is worn: what was chosen by it so often begins to fit it."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """``rows`` of a training table that are rows of a test set, out of ``of``."""

    test_set: str
    rows: int
    of: int


def hashed(project: Project, model: str, file: Path, columns: Sequence[str], *, name: str, limit: int) -> Document:
    """Keep the hashes of a table's rows as an artifact; returns what ``lock`` takes.

    ``columns``: what makes a row (all of them if none are given). Raises UsageError for an empty table (ST1433), fewer
    than one use (ST1434), and what ``Table`` raises.
    """
    if limit < 1:
        raise UsageError("ST1434", f"test set '{name}' may be used {limit} times.", remedy="--limit is at least 1.")
    table = Table(file)
    if not table.rows:
        raise UsageError("ST1433", f"'{file}' has no rows: it tests nothing.", remedy="Give a table with rows.")
    chosen = tuple(columns) or table.columns
    kept = ArtifactStore(project.artifacts).put_bytes(row_hashes.packed(row_hashes.row_hashes(table, chosen)))
    return {
        "model": model, "name": name, "digest": digest_of_bytes(file.read_bytes()), "rowCount": table.rows,
        "fields": list(chosen), "hashes": kept, "useLimit": limit,
    }  # fmt: skip


def lock(tx: Transaction, given: Document, *, actor: str, now: datetime) -> StoredTestSet:
    """Register a test set. Raises NotFound for an unknown model, Conflict (ST1430) for a file that is locked."""
    made = StoredTestSet(
        id=tx.test_sets.next_id(), model=ModelName(tx.models.get_model(given["model"]).name), name=given["name"],
        digest=Digest(given["digest"]), row_count=given["rowCount"], fields=tuple(given["fields"]),
        hashes=Digest(given["hashes"]), use_limit=given["useLimit"], at=now, actor=actor,
    )  # fmt: skip
    tx.test_sets.lock(made)
    return made


def overlaps(tx: Transaction, project: Project, model: str, training: Path) -> tuple[Overlap, ...]:
    """A training table against every locked test set of its model.

    Raises UsageError (ST1436) where a column that makes a row is not there: nobody could say that they are apart.
    """
    known = _locked_of(tx, model)
    if not known:
        return ()
    table, artifacts = Table(training), ArtifactStore(project.artifacts)
    for one in known:
        if lacking := [name for name in one.fields if name not in table.columns]:
            raise UsageError(
                "ST1436", f"'{training}' has no column '{lacking[0]}', which makes a row of the locked test set "
                f"{one.id} of '{model}': nobody can say that they are apart.",
                remedy="Give it that column, or lock the test set by columns that both have: --columns.",
            )  # fmt: skip
    return tuple(
        Overlap(one.id, sum(row in locked for row in row_hashes.row_hashes(table, one.fields)), table.rows)
        for one in known
        for locked in [_hashes(artifacts, one)]
    )


def _locked_of(tx: Transaction, model: str) -> list[StoredTestSet]:
    return [one for one in tx.test_sets.list(model) if one.locked]


def _hashes(artifacts: ArtifactStore, known: StoredTestSet) -> frozenset[bytes]:
    """Raises IntegrityError where what is kept is not what was locked."""
    artifacts.verify(known.hashes)
    return row_hashes.unpacked(artifacts.path(known.hashes).read_bytes())


def require_apart(tx: Transaction, project: Project, model: str, training: Path) -> None:
    """Raises Conflict (ST1435) where rows of a locked test set are among the training data."""
    for found in overlaps(tx, project, model, training):
        if found.rows:
            raise Conflict(
                "ST1435", f"model '{model}': {found.rows} of {found.of} rows of '{training}' are rows of the locked "
                f"test set {found.test_set}.",
                remedy="Take them out of the training data; what has seen its test set cannot be tested by it.",
            )  # fmt: skip


def require_other_data(tx: Transaction, model: str, digest: str | None) -> None:
    """Raises Conflict (ST1435) where the training snapshot of a version is a locked test set itself."""
    for known in _locked_of(tx, model):
        if known.digest == digest:
            raise Conflict(
                "ST1435", f"model '{model}': it was trained on the locked test set {known.id} itself.",
                remedy="Train on other data, and register that.",
            )  # fmt: skip


def count_uses(tx: Transaction, run: Run) -> None:
    """A run of ML CI that measured a version on a locked test set counts as a use of it; one that wears it out is told.

    The step's detail names the digest of its table.
    """
    if run.model is None or run.version is None:
        return
    measured = {step.detail.get("table"): step for step in run.steps if step.status in ("passed", "failed")}
    for known in _locked_of(tx, run.model):
        if (step := measured.get(known.digest)) is not None:
            use(tx, known.id, run.version, purpose=f"ci {step.name}", actor=run.actor, now=run.started_at)


def use(tx: Transaction, id: str, version: int, *, purpose: str, actor: str, now: datetime) -> StoredTestSet:
    """Count a use by hand; the same version for the same purpose counts once."""
    known = tx.test_sets.get(id)
    number = VersionNumber(tx.models.get_version(known.model, version).number)
    tx.test_sets.use(Use(id, number, now, actor, purpose))
    if len(tx.test_sets.uses(id)) >= known.use_limit:
        tx.alerts.put(_worn(known, now))
    return known


def retire(tx: Transaction, id: str, *, reason: str, actor: str, now: datetime) -> StoredTestSet:
    """From now on its rows may be trained on. Raises UsageError (ST1438) without a reason, Conflict (ST1437)."""
    if not reason.strip():
        raise UsageError(
            "ST1438", f"test set {id} is to be kept apart no longer, and nobody says why.", remedy="Say it: --reason."
        )
    tx.test_sets.retire(id, reason, actor=actor, now=now)
    return tx.test_sets.get(id)


def told(tx: Transaction, known: StoredTestSet) -> Document:
    """``seatrial.test_set.v1``; ``warning`` where it is worn."""
    uses = tx.test_sets.uses(known.id)
    worn = len(uses) >= known.use_limit
    return {
        "schema": "seatrial.test_set.v1",
        "id": known.id,
        "model": known.model,
        "name": known.name,
        "digest": known.digest,
        "rows": known.row_count,
        "fields": list(known.fields),
        "hashes": known.hashes,
        "lockedAt": iso_z(known.at),
        "lockedBy": known.actor,
        "uses": [{"version": u.version, "purpose": u.purpose, "by": u.actor, "at": iso_z(u.at)} for u in uses],
        "limit": known.use_limit,
        "left": max(known.use_limit - len(uses), 0),
        "warning": f"used {len(uses)} times, the limit is {known.use_limit}: lock a fresh one" if worn else None,
        "retired": None if known.retired_at is None else {
            "at": iso_z(known.retired_at), "by": known.retired_by, "reason": known.retirement,
        },
    }  # fmt: skip


def all_told(tx: Transaction, model: str | None) -> Document:
    """``seatrial.test_sets.v1``, oldest first."""
    if model is not None:
        tx.models.get_model(model)
    return {"schema": "seatrial.test_sets.v1", "testSets": [told(tx, one) for one in tx.test_sets.list(model)]}


def _worn(known: StoredTestSet, now: datetime) -> Alert:
    return Alert(
        key=f"testset.worn:{known.id}", kind="testset.worn", severity="warning", object=known.id,
        text=f"test set {known.id} of {known.model} has been used {known.use_limit} times; lock a fresh one",
        at=now, model=known.model,
    )  # fmt: skip
