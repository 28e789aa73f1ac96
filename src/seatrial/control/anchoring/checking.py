"""The audit log held against its anchors.

Errors: ``ST1495`` no key to hold them against, ``ST1498`` a file of anchors lacks what was written to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.control.anchoring.keys import trusted_keys
from seatrial.control.anchoring.notes import noted
from seatrial.control.project import Project
from seatrial.errors import IntegrityError, UsageError
from seatrial.signing import PublicKey
from seatrial.store.audit import Anchor, AuditReport
from seatrial.store.audit_anchors import read_anchors
from seatrial.store.db import Transaction


def checked(tx: Transaction, project: Project) -> AuditReport:
    """The log against every file of anchors in seatrial.yaml. Raises IntegrityError for a file that was changed."""
    return tx.audit.verify(*kept_anchors(tx, project, trusted_keys(project)))


def kept_anchors(tx: Transaction, project: Project, trusted: tuple[PublicKey, ...]) -> tuple[Anchor, ...]:
    """The anchors in the files of seatrial.yaml; what a file once took has to be in it."""
    found: list[Anchor] = []
    notes = noted(tx)
    for target in project.config.audit.anchors:
        if not target.file:
            continue
        path, last = project.at(target.file), int(notes.get(target.name, {}).get("seq", 0))
        mine = anchors_in([path], trusted, project) if path.exists() else ()
        if max((anchor.seq for anchor in mine), default=0) < last:
            raise IntegrityError(
                "ST1498", f"anchors: '{path}' lacks the anchor of entry {last}, which was written to it.",
                remedy="Is the right file mounted? If so, somebody cut it: compare with another target.",
            )  # fmt: skip
        found += mine
    return tuple(found)


def anchors_in(files: Sequence[Path], trusted: tuple[PublicKey, ...], project: Project) -> tuple[Anchor, ...]:
    """The anchors of these files, once their signatures are found right.

    Raises UsageError (``ST1495``) without a key to hold them against: an anchor that anybody can write proves nothing.
    """
    if files and not trusted:
        raise UsageError(
            "ST1495", f"there is no public key to hold the anchors in '{files[0]}' against.",
            remedy="Give --public-key, or audit.trusted in seatrial.yaml. `seatrial audit public-key` prints it.",
        )  # fmt: skip
    name = project.config.project
    return tuple(signed.statement.anchor for file in files for signed in read_anchors(file, trusted, name))
