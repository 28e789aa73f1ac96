"""Documents about what was captured: how much there is by model, and what compacting and erasing did.

They are read from the footers of the parts, whether a controller runs or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from seatrial.control.documents.views import Document, plain
from seatrial.control.project import Project
from seatrial.events.log import rotated
from seatrial.events.parts import model_directory, models_in
from seatrial.events.schema import from_micros
from seatrial.events.shelf import Shelf, Shelved
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction

if TYPE_CHECKING:
    from seatrial.control.capture.housekeeping import Compacted, Erased

LOGS = ("gateway/log/live.jsonl", "gateway/log/shadow.jsonl", "outcomes/outcomes.jsonl")


def stock(project: Project, tx: Transaction) -> Document:
    """``seatrial.events.v1``: every model with what is kept of it, what belongs to none, and what is not read yet.

    ``unparsed``: lines of the capture log that are no log lines, torn by a full disk for instance.
    """
    default = project.config.capture.retention
    known = {str(model.name): str(model.contract.retention or default) for model in tx.models.list_models()}
    names = sorted({*known, *models_in(project.events), *models_in(project.outcomes)} - {""})
    return {
        "schema": "seatrial.events.v1",
        "models": [
            {
                "model": name,
                "retention": known.get(name, str(default)),
                **_held(_parts(project.events, name, "time")),
                "outcomes": _held(_parts(project.outcomes, name, "received_at")),
            }
            for name in names
        ],
        "unattributed": _unattributed(_parts(project.events, "", "time"), str(default)),
        "log": _log(project.state),
    }


def compacted_document(done: Compacted) -> Document:
    return {"schema": "seatrial.compacted.v1", **plain(done)}


def erased_document(done: Erased) -> Document:
    """Names the unit as the log does, by its hash."""
    return {"schema": "seatrial.erased.v1", **plain(done)}


def _parts(root: Path, model: str, moment: str) -> list[Shelved]:
    shelf = Shelf(model_directory(root, model), moment)
    shelf.refresh()
    return shelf.parts


def _held(parts: list[Shelved]) -> Document:
    times = [part for part in parts if part.rows]
    return {
        "rows": sum(part.rows for part in parts),
        "erased": sum(part.erased for part in parts),
        "parts": len(parts),
        "bytes": sum(part.bytes for part in parts),
        "first": iso_z(from_micros(min(part.earliest for part in times))) if times else None,
        "last": iso_z(from_micros(max(part.latest for part in times))) if times else None,
    }


def _unattributed(parts: list[Shelved], retention: str) -> Document:
    kinds = Counter(kind for part in parts for kind in _kinds(part.part.path))
    return {
        "retention": retention,
        **_held(parts),
        "unparsed": kinds["unparsed"],
        "unknownModel": kinds["unknown_model"],
    }


def _kinds(path: Path) -> Iterable[str]:
    kinds: list[str] = pq.read_table(path, columns=["error_kind"])["error_kind"].to_pylist()
    return kinds


def _log(state: Path) -> Mapping[str, int]:
    files = [path for name in LOGS for path in (state / name, *rotated(state / name)) if path.exists()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
