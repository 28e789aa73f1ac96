"""Signed anchors: what the audit log's end was at some time, for keeping where the log's owner cannot change it.

Errors: ``ST1490`` a line of a file of anchors is not an anchor of this project as it was signed, ``ST1491`` the file
cannot be read or written.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from seatrial.errors import IntegrityError, SeatrialError, Unavailable
from seatrial.ids import Digest
from seatrial.signing import PublicKey, Signature, SigningKey, check
from seatrial.store import merkle
from seatrial.store.audit import Anchor
from seatrial.store.canonical import canonical

SCHEMA: Final = "seatrial.audit-anchor.v1"
CONTEXT: Final = "anchor"


@dataclass(frozen=True, slots=True)
class Statement:
    """``seq`` and ``hash``: the last entry. ``root``: of the Merkle tree over the hashes of entries 1 to ``seq``.

    ``at``: wall clock, ISO 8601 in UTC.
    """

    project: str
    seq: int
    hash: Digest
    root: Digest
    at: str

    @property
    def anchor(self) -> Anchor:
        return Anchor(self.seq, self.hash)

    def payload(self) -> bytes:
        """What is signed."""
        return canonical({"schema": SCHEMA, **asdict(self)}).encode()


@dataclass(frozen=True, slots=True)
class SignedAnchor:
    """A statement and who stands for it."""

    statement: Statement
    signature: Signature

    @classmethod
    def make(cls, statement: Statement, key: SigningKey) -> SignedAnchor:
        return cls(statement, key.sign(statement.payload(), context=CONTEXT))

    def document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            **asdict(self.statement),
            "key": self.signature.key,
            "signature": self.signature.value,
        }

    def line(self) -> str:
        """One line of a file of anchors, without its end."""
        return canonical(self.document())

    @classmethod
    def of(cls, document: Any) -> SignedAnchor:
        """Inverse of ``document``; ValueError for anything else. Proves nothing: see ``require``."""
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"it has no schema {SCHEMA}")
        texts = {name: document.get(name) for name in ("project", "hash", "root", "at", "key", "signature")}
        seq = document.get("seq")
        if not all(isinstance(text, str) for text in texts.values()) or type(seq) is not int or seq < 1:
            raise ValueError("a field is missing or of another kind")
        statement = Statement(
            str(texts["project"]), seq, Digest(str(texts["hash"])), Digest(str(texts["root"])), str(texts["at"])
        )
        return cls(statement, Signature(str(texts["key"]), str(texts["signature"])))

    def require(self, trusted: tuple[PublicKey, ...], what: str) -> None:
        """Raises IntegrityError unless one of these keys signed it."""
        check(self.statement.payload(), self.signature, trusted, context=CONTEXT, what=what)


def root_of(hashes: Iterable[str]) -> Digest:
    """The Merkle root over hashes of entries (``sha256:HEX``), in their order."""
    return Digest(f"sha256:{merkle.root_of(map(raw, hashes)).hex()}")


def raw(digest: str) -> bytes:
    """The 32 bytes of a digest; ValueError for another text."""
    return bytes.fromhex(digest.removeprefix("sha256:"))


def append_line(path: Path, line: str) -> None:
    """Add a line to the end of a file and have it on disk.

    The file is opened for appending only, and not through a link: where its directory or ``chattr +a`` forbids anything
    else, this still works. What a full disk has cut off stays a line of its own. Raises Unavailable (``ST1491``).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        try:
            text = f"{'' if _ends_in_a_line(path) else chr(10)}{line}\n".encode()
            if os.write(descriptor, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(
            "ST1491", f"the anchors in '{path}' cannot be added to: {error.strerror}.",
            remedy="Make the directory writable for the control plane, or name another file under audit.anchors.",
        ) from error  # fmt: skip


def _ends_in_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END) == 0 or (file.seek(-1, os.SEEK_END) >= 0 and file.read() == b"\n")


def read_anchors(path: Path, trusted: tuple[PublicKey, ...], project: str) -> tuple[SignedAnchor, ...]:
    """All anchors of a file, each with its signature checked; IntegrityError (``ST1490``) names the first bad line.

    A line that ends within its JSON was never an anchor: whoever wrote it was told so, and has written it again.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Unavailable(
            "ST1491", f"the anchors in '{path}' cannot be read: {error.strerror}.", remedy="Name the file of anchors."
        ) from None
    return tuple(
        _read(f"{path}:{number}", line, trusted, project)
        for number, line in enumerate(lines, 1)
        if not (line.startswith(b"{") and not line.endswith(b"}"))
    )


def _read(place: str, line: bytes, trusted: tuple[PublicKey, ...], project: str) -> SignedAnchor:
    try:
        found = SignedAnchor.of(json.loads(line))
    except ValueError as error:  # also what is no JSON, or no UTF-8
        raise _bad(place, f"is not an anchor: {error}") from None
    try:
        found.require(trusted, f"the anchor at {place}")
    except IntegrityError as error:
        raise _bad(place, f"does not count: {error.message}") from error
    if found.statement.project != project:
        raise _bad(place, f"is of the project '{found.statement.project}', not of '{project}'")
    return found


def _bad(place: str, what: str) -> SeatrialError:
    return IntegrityError(
        "ST1490", f"anchors: the line {place} {what}.",
        remedy="Somebody changed the file, or the key is another one (audit.trusted). Compare with another target.",
    )  # fmt: skip
