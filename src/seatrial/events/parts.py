"""The Parquet event log: byte ranges of a growing log become parts named by their range.

A part's name says which bytes of which file it came from, so converting a range again replaces what was there, and a
longer range with the same start supersedes a shorter one. Nothing is counted twice, whatever crashes in between.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

READ_BYTES = 8 << 20
"""How much of a log is converted into one part at most."""

_NAME = re.compile(r"(?P<source>.+)-(?P<file>[0-9a-f]+\.[0-9a-f]+)-(?P<start>\d{15})-(?P<end>\d{15})\.parquet")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a log has been read: ``file`` is the identity of the file (see ``file_identity``), not its name."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Complete lines of one file, with the bytes they occupy."""

    source: str
    file: str
    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file made from one byte range; of two with the same ``key`` the longer one counts."""

    path: Path
    source: str
    file: str
    start: int
    end: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.source, self.file, self.start


def file_identity(handle: BinaryIO) -> str | None:
    """Inode and a digest of the first line; None while there is no complete line.

    The inode alone would not do: file systems give the inode of a deleted log to the next one.
    """
    first = _first_line(handle)
    if first is None:
        return None
    return f"{os.fstat(handle.fileno()).st_ino:x}.{hashlib.blake2b(first, digest_size=6).hexdigest()}"


def _first_line(handle: BinaryIO) -> bytes | None:
    size = 4096
    while True:
        head = os.pread(handle.fileno(), size, 0)
        line, newline, _ = head.partition(b"\n")
        if newline:
            return line
        if len(head) < size:
            return None
        size *= 4


class LogReader:
    """Reads complete lines of a log that is rotated by rename.

    A rotated file keeps the log's name with a suffix (``live.jsonl.3``). The reader drains it to its last byte before
    it goes on with the next; a torn last line of a rotated file is handed out as it is. ``position`` is where a former
    reader stopped: rotated files older than that one are taken as read.
    """

    def __init__(self, path: Path, position: Position | None = None, *, source: str | None = None) -> None:
        self._handle: BinaryIO | None = None
        self.path = path
        self.source = source or path.name.partition(".")[0]
        self._resume = position
        self._file = ""
        self._offset = 0
        self._done: set[int] = set()

    def read(self, limit: int = READ_BYTES) -> Slice | None:
        """The next lines, about ``limit`` bytes of them; None when there is nothing complete to read now."""
        while self._handle is not None or self._open():
            assert self._handle is not None
            left = self._was_left(self._handle)  # asked before reading, so that the rename cannot hide a last line
            data = self._lines(self._handle, limit, torn=left)
            if data:
                start, self._offset = self._offset, self._offset + len(data)
                return Slice(self.source, self._file, start, self._offset, data)
            if not left:
                return None
            self._close()
        return None

    def discard_drained(self) -> list[Path]:
        """Delete rotated files that were read to the end; call it once what they said is committed."""
        gone = [path for path in self._rotated() if path.stat().st_ino in self._done]
        for path in gone:
            path.unlink()
        self._done.clear()
        return gone

    def close(self) -> None:
        """Let go of the open file; what was read stays read."""
        if self._handle is not None:
            self._handle.close()
            self._resume = Position(self._file, self._offset)
            self._handle = None

    def __del__(self) -> None:
        self.close()

    def _rotated(self) -> list[Path]:
        """Older files of this log, oldest first."""
        found = []
        for path in self.path.parent.glob(f"{self.path.name}.*"):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def _open(self) -> bool:
        """Open the oldest file that is not read yet."""
        candidates = []
        for path in [*self._rotated(), self.path]:
            with contextlib.suppress(FileNotFoundError):
                handle = open(path, "rb")  # noqa: SIM115 - kept open across calls, that is how a rename is survived
                candidates.append((handle, file_identity(handle)))
        resume = self._resume
        names = [name for _, name in candidates]
        skip = names.index(resume.file) if resume is not None and resume.file in names else 0
        chosen = None
        for n, (handle, name) in enumerate(candidates):
            inode = os.fstat(handle.fileno()).st_ino
            wanted = chosen is None and n >= skip and name is not None and inode not in self._done
            if wanted and name is not None:
                chosen = handle
                self._handle, self._file = handle, name
                self._offset = resume.offset if resume is not None and resume.file == name else 0
            else:
                if n < skip:
                    self._done.add(inode)
                handle.close()
        return chosen is not None

    def _was_left(self, handle: BinaryIO) -> bool:
        """Whether the log's name now belongs to another file, or this one was cut short: no more comes here."""
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
            limit *= 4

    def _close(self) -> None:
        if self._handle is not None:
            inode = os.fstat(self._handle.fileno()).st_ino
            truncated = os.fstat(self._handle.fileno()).st_size < self._offset
            if not truncated:
                self._done.add(inode)
            self._handle.close()
        self._handle, self._resume = None, None


def model_directory(root: Path, model: str) -> Path:
    """Where the parts of one model are; lines that belong to no model are kept under the empty name."""
    return root / f"model={quote(model, safe='')}"


def write_part(directory: Path, source: str, file: str, start: int, end: int, table: pa.Table) -> Path:
    """Write one part so that it is there whole or not at all, and remove shorter parts of the same start."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{source}-{file}-{start:015d}-{end:015d}.parquet"
    with _replacing(path) as handle:
        pq.write_table(table, handle, compression="zstd")
    for older in directory.glob(f"{source}-{file}-{start:015d}-*.parquet"):
        if older.name < path.name:
            older.unlink()
    return path


def part_of(path: Path) -> Part | None:
    """The part a file name speaks of; None for other files."""
    if match := _NAME.fullmatch(path.name):
        return Part(path, match["source"], match["file"], int(match["start"]), int(match["end"]))
    return None


def list_parts(directory: Path) -> list[Part]:
    """Parts of a directory in order of name; a part whose start has a longer one is left out."""
    longest: dict[tuple[str, str, int], Part] = {}
    if directory.is_dir():
        for name in sorted(os.listdir(directory)):
            if part := part_of(directory / name):
                longest[part.key] = part
    return list(longest.values())


def read_parts(parts: Iterable[Part], schema: pa.Schema) -> pa.Table:
    """All rows of the given parts in ``schema``; a column a part does not have is null."""
    tables = [fit(pq.ParquetFile(part.path).read(), schema) for part in parts]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema``, in its order and types; those the table lacks are null."""
    known = set(table.column_names)
    columns = [
        table.column(field.name).cast(field.type) if field.name in known else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


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
        with _replacing(self.path) as handle:
            handle.write(json.dumps({"file": position.file, "offset": position.offset}).encode())


def ingest(
    reader: LogReader,
    progress: Progress,
    root: Path,
    convert: Callable[[bytes], Mapping[str, pa.Table]],
    *,
    limit: int = READ_BYTES,
) -> int:
    """Convert everything that is complete in a log; returns the rows written.

    Parts first, then the position: after a crash in between, the range is converted again into parts that supersede
    those. ``convert`` gives one table per model.
    """
    rows = 0
    while (piece := reader.read(limit)) is not None:
        for model, table in convert(piece.data).items():
            write_part(model_directory(root, model), piece.source, piece.file, piece.start, piece.end, table)
            rows += len(table)
        progress.save(Position(piece.file, piece.end))
    reader.discard_drained()
    return rows


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of ``path`` when it is complete and on disk."""
    handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False)  # noqa: SIM115
    try:
        with handle:
            yield handle  # type: ignore[misc]
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(handle.name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(handle.name)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
