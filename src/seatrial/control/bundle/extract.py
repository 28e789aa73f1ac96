"""The audit entries that are about a model, each with its proof that it is in the log that an anchor vouches for.

The proof is a path in the log's Merkle tree (RFC 6962), so that no entry about another model has to be shown. It shows
that an entry is in the log; that none was left out, only the log itself can show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from seatrial.control.documents.views import Document
from seatrial.ids import Digest
from seatrial.store.audit import AuditEntry
from seatrial.store.audit_anchors import Statement, raw
from seatrial.store.db import Transaction
from seatrial.store.merkle import Tree, root_from

_FIELDS: Final = ("seq", "at", "actor", "action", "object", "detail", "prev_hash", "hash")


def extract(tx: Transaction, objects: frozenset[str]) -> Document:
    """``seatrial.audit-extract.v1``: the entries whose object is one of these, oldest first."""
    tree = Tree.of(raw(hash) for hash in tx.audit.hashes())
    entries = [
        {
            **{name: getattr(entry, name) for name in _FIELDS},
            "path": [node.hex() for node in tree.path(entry.seq - 1)],
        }
        for entry in tx.audit.entries()
        if entry.object in objects
    ]
    return {"schema": "seatrial.audit-extract.v1", "entries": entries}


def unproven(document: Any, statement: Statement) -> Iterator[str]:
    """What is wrong with an extract, entry by entry; nothing where every entry is in the anchored log."""
    try:
        entries = [(AuditEntry(**{name: one[name] for name in _FIELDS}), one["path"]) for one in document["entries"]]
    except (KeyError, TypeError):
        yield "is not an extract of an audit log"
        return
    for entry, path in entries:
        if not _proven(entry, path, statement):
            yield f"entry {entry.seq} is not in the log that was anchored"


def _proven(entry: AuditEntry, path: list[str], statement: Statement) -> bool:
    try:
        if entry.expected_hash() != entry.hash:
            return False
        nodes = [bytes.fromhex(node) for node in path]
        root = root_from(raw(entry.hash), entry.seq - 1, statement.seq, nodes)
    except (TypeError, ValueError, AttributeError):  # of other kinds than a log has
        return False
    return root is not None and Digest(f"sha256:{root.hex()}") == statement.root
