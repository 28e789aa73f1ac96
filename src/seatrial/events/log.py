"""A log that grows and is rotated by rename: read in whole lines, to the last byte, each line once.

A rotated file keeps the log's name with a number behind it (``live.jsonl.3``); higher numbers are younger, and the log
itself is the youngest. Times of files play no part: clocks are set back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seatrial.events.files import finish, replacing

READ_BYTES = 8 << 20
"""How much of a log is converted into one part at most."""

LONGEST_LINE = 16 << 20
"""Bytes without a newline that are still taken for one line; beyond, they are handed out as they are."""

_MARK = 40
"""Blanks that tell one scrubbed file from another: bits of a random number."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a log has been read: ``file`` is the identity of the file (see ``file_identity``), not its name."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Complete lines of one file, with the bytes they occupy. ``first``: nothing of the file was committed since it
    was opened, so what lies behind ``start`` is left over from a reader that crashed."""

    source: str
    file: str
    start: int
    end: int
    data: bytes
    first: bool


class Progress:
    """How far a source is committed, in a small file that is replaced atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Position | None:
        try:
            document = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        return Position(document["file"], document["offset"])

    def save(self, position: Position) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as handle:
            handle.write(json.dumps({"file": position.file, "offset": position.offset}).encode())


def rotated(log: Path) -> list[Path]:
    """The older files of a log, oldest first."""
    found = [path for path in log.parent.glob(f"{log.name}.*") if path.suffix[1:].isdecimal()]
    return sorted(found, key=lambda path: int(path.suffix[1:]))


def rotate(log: Path) -> Path:
    """Give a log the next number. Whoever writes it goes on in the renamed file until told to open the log anew."""
    older = rotated(log)
    number = int(older[-1].suffix[1:]) + 1 if older else 1
    return log.rename(log.with_name(f"{log.name}.{number}"))


def file_identity(handle: BinaryIO, *, closed: bool = False) -> str | None:
    """Inode and a digest of the first line; None while there is no complete line.

    The inode alone would not do: file systems give the inode of a deleted log to the next one. Of a file that is
    ``closed`` (nobody will write to it) a torn line counts as a line.
    """
    size = 4096
    while True:
        head = os.pread(handle.fileno(), size, 0)
        line, newline, _ = head.partition(b"\n")
        short = len(head) < size
        if newline or (short and closed and head) or (not short and size >= LONGEST_LINE):
            return f"{os.fstat(handle.fileno()).st_ino:x}.{hashlib.blake2b(line, digest_size=6).hexdigest()}"
        if short:
            return None
        size *= 4


class LogReader:
    """Hands out the next lines of a log until they are committed.

    A rotated file is drained to its last byte before the next one is begun; its torn last line is handed out as it is.
    ``position`` is where a former reader stopped: files older than that one are taken as read.
    """

    def __init__(self, path: Path, position: Position | None = None, *, source: str | None = None) -> None:
        self._handle: BinaryIO | None = None
        self.path = path
        self.source = source or path.name.partition(".")[0]
        self._resume = position
        self._file = ""
        self._offset = 0
        self._first = True
        self._done: set[int] = set()

    def read(self, limit: int = READ_BYTES) -> Slice | None:
        """The lines after the last commit, about ``limit`` bytes of them; None when nothing is complete now.

        Reading again without a commit gives the same lines (and those that came after them).
        """
        while self._handle is not None or self._open():
            assert self._handle is not None
            left = self._was_left(self._handle)  # asked before reading, so that the rename cannot hide a last line
            data = self._lines(self._handle, limit, torn=left)
            if data:
                return Slice(self.source, self._file, self._offset, self._offset + len(data), data, self._first)
            if not left:
                return None
            self._leave(self._handle)
        return None

    def commit(self, piece: Slice) -> None:
        """What was read is kept: go on behind it."""
        self._offset, self._first = piece.end, False

    def discard_drained(self) -> list[Path]:
        """Delete rotated files that were read to the end; call it once what they said is committed."""
        gone = [path for path in rotated(self.path) if path.stat().st_ino in self._done]
        for path in gone:
            path.unlink()
        self._done.clear()
        return gone

    def scrub(self, progress: Progress) -> None:
        """Overwrite with blanks what is committed of the open file. Whoever appends to it is not disturbed.

        The file has another identity then. After a crash before that is saved it is read from its beginning, where
        there are only blanks. Older files must be gone: call ``discard_drained`` first.
        """
        if self._handle is None or not self._offset:
            return
        descriptor = os.open(self._path_of(self._handle), os.O_RDWR)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            for start in range(0, self._offset, READ_BYTES):
                os.pwrite(descriptor, b"\n" * min(READ_BYTES, self._offset - start), start)
            os.pwrite(descriptor, _mark(self._offset), 0)
            finish(file)
            identity = file_identity(file)
        assert identity is not None
        progress.save(Position(identity, self._offset))
        self._file = identity

    def close(self) -> None:
        """Let go of the open file; what was committed stays read."""
        if self._handle is not None:
            self._handle.close()
            self._resume = Position(self._file, self._offset)
            self._handle = None

    def __del__(self) -> None:
        self.close()

    def _open(self) -> bool:
        """Open the oldest file that is not read yet."""
        candidates = self._candidates()
        resume = self._resume
        names = [name for _, name in candidates]
        skip = names.index(resume.file) if resume is not None and resume.file in names else 0
        chosen = False
        for n, (handle, name) in enumerate(candidates):
            inode = os.fstat(handle.fileno()).st_ino
            if chosen or n < skip or name is None or inode in self._done:
                if n < skip or (name is None and n + 1 < len(candidates)):  # read, or closed without a single byte
                    self._done.add(inode)
                handle.close()
                continue
            chosen = True
            self._handle, self._file, self._first = handle, name, True
            self._offset = resume.offset if resume is not None and resume.file == name else 0
        return chosen

    def _candidates(self) -> list[tuple[BinaryIO, str | None]]:
        """All files of the log, oldest first, each open, with its identity. None but the youngest is written to."""
        handles = []
        for path in [*rotated(self.path), self.path]:
            with contextlib.suppress(FileNotFoundError):
                handles.append(open(path, "rb"))  # noqa: SIM115 - kept open, that is how a rename is survived
        last = len(handles) - 1
        return [(handle, file_identity(handle, closed=n < last)) for n, handle in enumerate(handles)]

    def _was_left(self, handle: BinaryIO) -> bool:
        """Whether the log's name now belongs to another file, or this one was cut short: no more comes here.

        While nobody has the name, the one who writes has not opened the log anew, and may still write here.
        """
        mine = os.fstat(handle.fileno())
        try:
            current = os.stat(self.path)
        except FileNotFoundError:
            return False
        return current.st_ino != mine.st_ino or mine.st_size < self._offset

    def _lines(self, handle: BinaryIO, limit: int, *, torn: bool) -> bytes:
        """Bytes up to the last newline within ``limit``; a longer line is read whole."""
        while True:
            data = os.pread(handle.fileno(), limit, self._offset)
            cut = data.rfind(b"\n") + 1
            if cut:
                return data[:cut]
            if len(data) < limit:
                return data if torn else b""
            if limit >= LONGEST_LINE:
                return data
            limit *= 4

    def _leave(self, handle: BinaryIO) -> None:
        mine = os.fstat(handle.fileno())
        if mine.st_size >= self._offset:
            self._done.add(mine.st_ino)
        handle.close()
        self._handle, self._resume = None, None

    def _path_of(self, handle: BinaryIO) -> Path:
        """Under which name the open file is now."""
        mine = os.fstat(handle.fileno()).st_ino
        named = [path for path in [self.path, *rotated(self.path)] if path.exists()]
        return next(path for path in named if path.stat().st_ino == mine)


def _mark(room: int) -> bytes:
    """A first line of blanks that no other file has."""
    bits = f"{secrets.randbits(_MARK):0{_MARK}b}"
    return bits.replace("0", " ").replace("1", "\t").encode()[: room - 1] + b"\n"
