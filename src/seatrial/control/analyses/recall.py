"""Recalling a faulty version: the list of what it answered, who was told of it, and what was read again by a person."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from seatrial.control.documents.views import Document, listing
from seatrial.control.project import Project
from seatrial.engines.recall import COLUMNS, Served, served
from seatrial.errors import NotFound, UsageError
from seatrial.store.canonical import canonical, iso_z
from seatrial.store.db import Store, Transaction
from seatrial.store.recalls import MARKS, MarkKind, Prediction, StoredRecall

GONE: Final = ("events.erase", "events.retention")
"""Audit entries that say that predictions are no more."""


def open_recall(
    project: Project,
    store: Store,
    model: str,
    version: int,
    since: datetime,
    until: datetime,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> Document:
    """Open a recall and list what it is about. Raises NotFound; UsageError for an empty span or no reason."""
    if not reason.strip():
        raise UsageError("ST0361", f"recall of {model} v{version} without a reason.", remedy="Say why: --reason '...'.")
    if not since < until <= now:
        raise UsageError(
            "ST0362", f"recall of {model} v{version}: from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} is no span "
            "of the past.", remedy=f"--from comes before --to, and --to is not after now ({now:%Y-%m-%d %H:%M}).",
        )  # fmt: skip
    with store.read() as tx:
        tx.models.get_version(model, version)
    found = served(project.events, model, version, since, until)
    with store.begin() as tx:
        gone = _gone(tx, model, since, until, found)
        made = tx.recalls.open(
            model, version, since, until,
            reason=reason, found=len(found.predictions), document=canonical(gone), actor=actor, now=now,
        )  # fmt: skip
        return {**_document(tx, made, found), "predictions": [*_lines(tx, made, found)]}


def shown(project: Project, store: Store, id: str, *, waiting: MarkKind | None = None) -> Document:
    """One recall with its list as the log has it now. ``waiting``: only predictions without this mark."""
    with store.read() as tx:
        stored = tx.recalls.get(id)
    found = served(project.events, stored.model, stored.version, stored.since, stored.until)
    with store.read() as tx:
        lines = [line for line in _lines(tx, stored, found) if waiting is None or line[waiting] is None]
        return {**_document(tx, stored, found), "predictions": lines}


def listed(tx: Transaction, model: str | None = None) -> Document:
    """All recalls, one line each, oldest first."""
    return listing("seatrial.recalls.v1", "recalls", [_line(tx, stored) for stored in tx.recalls.list(model)])


def mark(
    project: Project,
    store: Store,
    id: str,
    kind: MarkKind,
    requests: Sequence[str],
    *,
    note: str,
    actor: str,
    now: datetime,
) -> Document:
    """Say that people were notified of predictions, or that these were read again. No ``requests``: all of the list.

    Raises NotFound for a recall or a request that is not in it, UsageError without a note.
    """
    if not note.strip():
        raise UsageError("ST0363", f"recall {id}: nothing is said of how.", remedy="--note 'letter of 2 March', say.")
    with store.read() as tx:
        stored = tx.recalls.get(id)
    found = served(project.events, stored.model, stored.version, stored.since, stored.until)
    with store.begin() as tx:
        new = tx.recalls.mark(id, kind, _chosen(stored, found, requests), note=note, actor=actor, now=now)
        return {**_document(tx, stored, found), "marked": new}


def offer(tx: Transaction, model: str, now: datetime) -> str:
    """The command that recalls what was just taken out of traffic; empty unless the model is about patients."""
    if tx.models.get_model(model).safety.impact != "clinical":
        return ""
    moves = [move for move in tx.models.pointer_history(model, "champion") if move.to_version is not None]
    ended = [(r.updated_at, r.candidate, r.created_at) for r in tx.rollouts.list(model) if r.status == "aborted"]
    for before, move in pairwise(moves):
        if move.from_version is not None:
            ended.append((move.at, move.from_version, before.at))
    if not ended:
        return ""
    _, version, since = max(ended)
    return f"seatrial recall open {model} --version {version} --from {since.isoformat()} --to {now.isoformat()}"


def write_csv(document: Document, path: Path) -> None:
    """The list as a table. Raises UsageError if it cannot be written."""
    names = [*COLUMNS.names, *MARKS]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows([line[name] for name in names] for line in document["predictions"])
    except OSError as error:
        raise UsageError("ST0364", f"'{path}' cannot be written: {error.strerror}.", remedy="--csv FILE") from error


def _chosen(stored: StoredRecall, found: Served, requests: Sequence[str]) -> list[Prediction]:
    ids, rows = found.predictions["request_id"].to_pylist(), found.predictions["row"].to_pylist()
    everything = [*zip(ids, rows, strict=True)]
    if not requests:
        return everything
    if unknown := sorted({*requests} - {*ids}):
        raise NotFound(
            "ST0365", f"recall {stored.id}: {unknown[0]} is not among the predictions of v{stored.version}.",
            remedy=f"`seatrial recall show {stored.id}` lists them.",
        )  # fmt: skip
    return [one for one in everything if one[0] in {*requests}]


def _line(tx: Transaction, stored: StoredRecall) -> Document:
    marks = tx.recalls.marks(stored.id)
    return {
        "id": stored.id,
        "model": stored.model,
        "version": stored.version,
        "from": iso_z(stored.since),
        "to": iso_z(stored.until),
        "reason": stored.reason,
        "opened": iso_z(stored.opened_at),
        "openedBy": stored.opened_by,
        "found": stored.found,
        **{kind: sum(mark.kind == kind for mark in marks) for kind in MARKS},
    }


def _document(tx: Transaction, stored: StoredRecall, found: Served) -> Document:
    """``seatrial.recall.v1`` without its list."""
    gone = _gone(tx, stored.model, stored.since, stored.until, found)
    return {
        "schema": "seatrial.recall.v1",
        **_line(tx, stored),
        "kept": len(found.predictions),
        "units": len(found.predictions["unit"].unique().drop_null()),
        "goneSince": stored.found - len(found.predictions),
        "copies": found.copies,
        "gone": gone,
        "goneWhenOpened": json.loads(stored.document),
    }


def _lines(tx: Transaction, stored: StoredRecall, found: Served) -> Iterator[Document]:
    done = {
        (mark.request_id, mark.row, mark.kind): f"{iso_z(mark.at)} {mark.actor}: {mark.note}"
        for mark in tx.recalls.marks(stored.id)
    }
    for row in found.predictions.to_pylist():
        marks: Document = {kind: done.get((row["request_id"], row["row"], kind)) for kind in MARKS}
        yield {**row, "time": iso_z(row["time"]), **marks}


def _gone(tx: Transaction, model: str, since: datetime, until: datetime, found: Served) -> Document:
    """What the list lacks. Retention says which span it took; an erasure only how many, whenever they were made."""
    expired = erased = 0
    for entry in tx.audit.entries():
        if entry.object != model or entry.action not in GONE:
            continue
        detail: dict[str, Any] = json.loads(entry.detail)
        if entry.action == "events.erase":
            erased += detail["predictions"]
        elif "predictions" in detail and detail["from"] < iso_z(until) and detail["to"] >= iso_z(since):
            expired += detail["predictions"]
    earliest = found.earliest
    return {
        "expired": expired,
        "erased": found.erased,
        "erasedEver": erased,
        "keptSince": None if earliest is None else iso_z(earliest),
        "text": _said(expired, found.erased, since, earliest),
    }


def _said(expired: int, erased: int, since: datetime, earliest: datetime | None) -> str:
    parts = []
    if expired:
        parts.append(f"retention took {expired:,} predictions of days in this span, of all versions")
    if erased:
        parts.append(f"{erased:,} predictions around it, of all versions, were erased on request")
    if not parts:
        return "nothing of this span was erased or has aged out"
    kept = "" if earliest is None or earliest <= since else f"; the log begins on {earliest:%Y-%m-%d %H:%M}"
    return "; ".join(parts) + kept
