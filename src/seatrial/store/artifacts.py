"""Artifacts by content: put once under their digest, whole or not at all, never changed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from seatrial.errors import Conflict, IntegrityError, NotFound, UsageError
from seatrial.ids import Digest
from seatrial.store.canonical import digest_of_bytes

_CHUNK: Final = 1 << 20
_READ_ONLY: Final = 0o444


class ArtifactStore:
    """A directory of artifacts: ``HEX`` is a file or a directory, ``HEX.files`` the listing of a directory.

    The digest of a file is the SHA-256 of its bytes. The digest of a directory is the SHA-256 of its listing, one line
    ``HEX  PATH`` a file, sorted by path: what ``sha256sum`` prints. Empty directories do not count.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._partial = root / ".partial"
        self._partial.mkdir(parents=True, exist_ok=True)

    def put_bytes(self, data: bytes) -> Digest:
        """Store bytes as a file."""
        return self._put_bytes(data)

    def put_file(self, path: Path) -> Digest:
        """Store a copy of a file."""
        with self._workspace() as space:
            copied = space / "file"
            digest = _copy(path, copied)
            self._publish(copied, self._place(digest))
        return digest

    def put_tree(self, directory: Path) -> Digest:
        """Store a copy of a directory. Links and special files are refused: they would point out of the artifact."""
        files = _files(directory)
        with self._workspace() as space:
            tree = space / "tree"
            lines = []
            for name in files:
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                lines.append(_line(_copy(directory / name, tree / name), name))
            listing = "".join(lines).encode()
            for folder in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
                _sync(folder)
            digest = self._put_bytes(listing, suffix=".files")
            self._publish_tree(tree, digest)
        return digest

    def path(self, digest: str) -> Path:
        """Where an artifact lies; ``NotFound`` if it is not there."""
        place = self._place(digest)
        if not place.exists():
            raise NotFound("ST0650", f"there is no artifact {digest}.", remedy="Put it into this store first.")
        return place

    def has(self, digest: str) -> bool:
        return self._place(digest).exists()

    def discard(self, digest: str) -> None:
        """Delete an artifact that no record needs any more; one that is gone already is no error."""
        place = self._place(digest)
        if place.is_dir():
            with self._workspace() as space:  # out of sight first: half a directory is never found under a digest
                os.rename(place, space / "tree")
        place.unlink(missing_ok=True)
        self._place(digest, ".files").unlink(missing_ok=True)
        _sync(self.root)

    def verify(self, digest: str) -> None:
        """Read the artifact in full; ``IntegrityError`` names the file that is changed, missing or added."""
        place = self.path(digest)
        if place.is_dir():
            self._verify_tree(place, digest)
        elif _digest(place) != digest:
            raise _changed(digest, place, "is not what was stored")

    def sweep(self, before: datetime) -> int:
        """Remove what cut-off puts left behind, if it was begun before a time; returns how many."""
        stale = [path for path in self._partial.iterdir() if path.stat().st_mtime < before.timestamp()]
        for path in stale:
            shutil.rmtree(path)
        return len(stale)

    def _verify_tree(self, tree: Path, digest: str) -> None:
        listing = self._place(digest, ".files")
        if not listing.exists() or _digest(listing) != digest:
            raise _changed(digest, listing, "is not what was stored")
        expected = {line[66:]: line[:64] for line in listing.read_text().splitlines()}
        try:
            found = _files(tree)
        except UsageError as error:
            raise _changed(digest, tree, f"has something that was not stored with it: {error.message}") from error
        for name in sorted(expected.keys() ^ set(found)):
            raise _changed(digest, tree / name, "is missing" if name in expected else "was not stored with it")
        for name in found:
            if _digest(tree / name) != f"sha256:{expected[name]}":
                raise _changed(digest, tree / name, "is not what was stored")

    def _place(self, digest: str, suffix: str = "") -> Path:
        algorithm, _, text = digest.partition(":")
        if algorithm != "sha256" or len(text) != 64 or not set(text) <= set("0123456789abcdef"):
            raise UsageError(
                "ST0651", f"{digest!r} is not a digest.", remedy="Digests look like sha256:<64 hex digits>."
            )
        return self.root / (text + suffix)

    def _put_bytes(self, data: bytes, suffix: str = "") -> Digest:
        digest = digest_of_bytes(data)
        with self._workspace() as space:
            with open(space / "file", "xb") as file:
                file.write(data)
                _seal(file)
            self._publish(space / "file", self._place(digest, suffix))
        return digest

    def _publish(self, source: Path, place: Path) -> None:
        """The one step that makes a file visible: over what is there, which has the same content or is broken."""
        try:
            os.replace(source, place)
        except IsADirectoryError:
            raise Conflict("ST0652", f"{source} is the listing of the directory stored at {place}.") from None
        _sync(self.root)

    def _publish_tree(self, tree: Path, digest: Digest) -> None:
        """The same for a directory, which no rename can replace: one that is there has to be whole."""
        place = self._place(digest)
        try:
            os.rename(tree, place)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            self.verify(digest)
        _sync(self.root)

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        space = Path(tempfile.mkdtemp(dir=self._partial))
        try:
            yield space
        finally:
            shutil.rmtree(space, ignore_errors=True)


def _files(directory: Path) -> list[str]:
    """Relative paths of all files in a directory, in the order of the listing."""
    if not directory.is_dir():
        raise UsageError("ST0653", f"{directory} is not a directory.")
    names = []
    for path in directory.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        name = path.relative_to(directory).as_posix()
        if not stat.S_ISREG(mode):
            raise UsageError("ST0654", f"{path} is not a regular file.", remedy="Put a directory of plain files.")
        if not name.isprintable() or "\\" in name:
            raise UsageError("ST0655", f"{name!r} has a character that a listing cannot hold.", remedy="Rename it.")
        names.append(name)
    return sorted(names, key=str.encode)


def _copy(source: Path, target: Path) -> Digest:
    """Copy a file and return the digest of what was written."""
    if not source.is_file():
        raise UsageError("ST0653", f"{source} is not a file.")
    hasher = hashlib.sha256()
    with open(source, "rb") as read, open(target, "xb") as write:
        while chunk := read.read(_CHUNK):
            hasher.update(chunk)
            write.write(chunk)
        _seal(write)
    return Digest(f"sha256:{hasher.hexdigest()}")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _line(digest: Digest, name: str) -> str:
    return f"{digest.removeprefix('sha256:')}  {name}\n"


def _seal(file: BinaryIO) -> None:
    """On disk, and read-only, before it gets its name."""
    file.flush()
    os.fchmod(file.fileno(), _READ_ONLY)
    os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _changed(digest: str, path: Path, what: str) -> IntegrityError:
    return IntegrityError(
        "ST0656", f"artifact {digest}: {path} {what}.", remedy="Do not serve it; restore it from where it was built."
    )
