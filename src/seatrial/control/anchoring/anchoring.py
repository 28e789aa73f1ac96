"""Making an anchor: the log is read, its end signed, and the signature taken to every target.

What each target has is noted in the store, so that the next anchor is made in time. That note proves nothing: the
anchors themselves do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from seatrial.control.anchoring.checking import checked
from seatrial.control.anchoring.keys import signing_key
from seatrial.control.anchoring.notes import note
from seatrial.control.anchoring.policy import MLFLOW
from seatrial.control.anchoring.sinks import Sink, mlflow_sink, sink_of
from seatrial.control.project import Project
from seatrial.errors import SeatrialError, Unavailable, UsageError
from seatrial.signing import SigningKey
from seatrial.store.audit_anchors import SignedAnchor, Statement, root_of
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store, Transaction


@dataclass(frozen=True, slots=True)
class Taken:
    """An anchor, and what did not take it: the reason by target."""

    anchor: SignedAnchor
    kept: tuple[str, ...]
    failed: Mapping[str, str]


def sinks_of(project: Project) -> dict[str, Sink]:
    """Those of seatrial.yaml, by name; ``mlflow`` where its tags keep anchors, too."""
    known = {target.name: sink_of(project, target) for target in project.config.audit.anchors}
    return {**known, MLFLOW: mlflow_sink(project)} if project.config.mlflow.anchors else known


def take_anchor(project: Project, store: Store, now: datetime, sinks: Mapping[str, Sink] | None = None) -> Taken:
    """Anchor the log as it is now. ``now``: wall clock.

    A broken log is not anchored: raises IntegrityError. Raises UsageError without key (``ST1492``), without target
    (``ST1496``) or where there is nothing to anchor (``ST1497``).
    """
    sinks = sinks_of(project) if sinks is None else sinks
    if not sinks:
        raise UsageError(
            "ST1496", "there is nowhere to keep an anchor.",
            remedy="Name a file or a webhook in seatrial.yaml: audit: {anchors: [{name: ..., file: ...}]}.",
        )  # fmt: skip
    key = signing_key(project)
    with store.read() as tx:
        checked(tx, project).require_ok()
        anchor = anchor_of(tx, project, key, now)
    failed = {name: why for name, sink in sinks.items() if (why := _refused(sink, anchor))}
    kept = tuple(name for name in sinks if name not in failed)
    with store.begin() as tx:
        note(tx, anchor, kept, now)
    return Taken(anchor, kept, failed)


def require_kept(taken: Taken) -> None:
    """Raises Unavailable (``ST1499``) if a target did not take the anchor."""
    for name, why in taken.failed.items():
        raise Unavailable(
            "ST1499", f"audit.anchors: '{name}' has not got the anchor of entry {taken.anchor.statement.seq}: {why}",
            remedy="The control plane tries again by itself; `seatrial audit anchor` does at once.",
        )  # fmt: skip


def anchor_of(tx: Transaction, project: Project, key: SigningKey, now: datetime) -> SignedAnchor:
    """The end of the log, signed. Raises UsageError (``ST1497``) for a log without entries."""
    head = tx.audit.head()
    if not head.seq:
        raise UsageError("ST1497", "the audit log has no entries yet: there is nothing to anchor.")
    root = root_of(tx.audit.hashes())
    return SignedAnchor.make(Statement(project.config.project, head.seq, head.hash, root, iso_z(now)), key)


def _refused(sink: Sink, anchor: SignedAnchor) -> str:
    """Why a target did not take it; one that fails keeps it from no other."""
    try:
        sink(anchor)
    except SeatrialError as error:
        return error.message
    return ""
