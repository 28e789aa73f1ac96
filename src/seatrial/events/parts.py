"""The Parquet event log: byte ranges of a growing log become parts named by their range.

A part's name says which bytes of which file it came from, so converting a range again replaces what was there. A
compact part says inside which ranges it was merged from, and a part that another one covers does not count. Nothing is
counted twice, whatever crashes in between.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.events.files import finish, replacing
from seatrial.events.log import READ_BYTES, LogReader, Position, Progress, Slice

NOTES_KEY = b"seatrial.part"
ROW_GROUP = 1 << 17
PREFIX = "model="

_RAW = re.compile(r"(?P<source>.+)-(?P<file>[0-9a-f]+\.[0-9a-f]+)-(?P<start>\d{15})-(?P<end>\d{15})\.parquet")
_COMPACT = re.compile(r"compact-\d{8}-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """Bytes ``start`` to ``end`` of one file of a log; ``file`` is its identity (``log.file_identity``)."""

    source: str
    file: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file with the rows of some extents (ascending)."""

    path: Path
    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """What a part says of itself beside its rows.

    ``extents``: what a compact part was merged from. ``erased``: rows that are gone for good, in all; ``requests``: how
    many requests of each (rollout, phase, arm) they were, because Envoy has counted them.
    """

    extents: tuple[Extent, ...] = ()
    erased: int = 0
    requests: tuple[tuple[str, int, str, int], ...] = ()

    @classmethod
    def of(cls, metadata: Mapping[bytes, bytes] | None) -> Notes:
        text = (metadata or {}).get(NOTES_KEY)
        if text is None:
            return cls()
        found: dict[str, Any] = json.loads(text)
        extents = tuple(Extent(source, file, start, end) for source, file, start, end in found["extents"])
        return cls(extents, found["erased"], tuple((r, p, a, n) for r, p, a, n in found["requests"]))

    def on(self, schema: pa.Schema) -> pa.Schema:
        """The schema with these notes in its metadata."""
        extents = [[e.source, e.file, e.start, e.end] for e in self.extents]
        document = {"extents": extents, "erased": self.erased, "requests": [list(r) for r in self.requests]}
        metadata: dict[bytes, bytes] = {**(schema.metadata or {}), NOTES_KEY: json.dumps(document).encode()}
        return schema.with_metadata(metadata)


class HasExtents(Protocol):
    @property
    def extents(self) -> tuple[Extent, ...]: ...


P = TypeVar("P", bound=HasExtents)


def counting(parts: Iterable[P]) -> list[P]:
    """The parts whose rows count: those that no other part covers.

    What two parts cover is either apart, or all of one within the other.
    """
    every = sorted(((extent, part) for part in parts for extent in part.extents), key=lambda pair: _widest(*pair))
    reach: Extent | None = None
    found: dict[int, P] = {}
    covered: set[int] = set()
    for extent, part in every:
        found[id(part)] = part
        if reach is not None and _within(extent, reach):
            covered.add(id(part))
        else:
            reach = extent
    return [part for n, part in found.items() if n not in covered]


def covers(extents: Sequence[Extent], part: HasExtents) -> bool:
    """Whether a part lies within these extents (ascending)."""
    first = part.extents[0]
    at = bisect_right(extents, Extent(first.source, first.file, first.start, 1 << 62))
    return at > 0 and _within(first, extents[at - 1])


def _widest(extent: Extent, part: HasExtents) -> tuple[str, str, int, int, int]:
    """An order in which what covers an extent comes before it; of two with the same extent, the larger part does."""
    return extent.source, extent.file, extent.start, -extent.end, -sum(e.end - e.start for e in part.extents)


def _within(inner: Extent, outer: Extent) -> bool:
    same = (inner.source, inner.file) == (outer.source, outer.file)
    return same and outer.start <= inner.start and inner.end <= outer.end


def model_directory(root: Path, model: str) -> Path:
    """Where the parts of one model are; lines that belong to no model are kept under the empty name."""
    return root / f"{PREFIX}{quote(model, safe='')}"


def models_in(root: Path) -> list[str]:
    """The models that have parts, by name."""
    return sorted(unquote(path.name.removeprefix(PREFIX)) for path in root.glob(f"{PREFIX}*") if path.is_dir())


def write_part(directory: Path, source: str, file: str, start: int, end: int, table: pa.Table) -> Path:
    """Write one part so that it is there whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{source}-{file}-{start:015d}-{end:015d}.parquet"
    with replacing(path) as handle:
        write_rows(handle, table)
    return path


def write_rows(handle: Any, table: pa.Table) -> None:
    """The rows as Parquet, on disk when this returns."""
    pq.write_table(table, handle, compression="zstd", row_group_size=ROW_GROUP)
    finish(handle)


def raw_part(path: Path) -> Part | None:
    """The part of one byte range that a file name speaks of; None for other names."""
    match = _RAW.fullmatch(path.name)
    if match is None:
        return None
    return Part(path, (Extent(match["source"], match["file"], int(match["start"]), int(match["end"])),))


def is_compact(path: Path) -> bool:
    return _COMPACT.fullmatch(path.name) is not None


def part_of(path: Path) -> Part | None:
    """The part in a file; None for files that are none."""
    if is_compact(path):
        return Part(path, Notes.of(pq.read_schema(path).metadata).extents)
    return raw_part(path)


def list_parts(directory: Path) -> list[Part]:
    """The parts of a directory whose rows count."""
    names = sorted(os.listdir(directory)) if directory.is_dir() else []
    return counting(part for name in names if (part := part_of(directory / name)) is not None)


def read_parts(parts: Iterable[Part], schema: pa.Schema) -> pa.Table:
    """All rows of the given parts in ``schema``; a column a part does not have is null."""
    tables = [fit(pq.ParquetFile(part.path).read(), schema) for part in parts]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema``, in its order and types; those the table lacks are null."""
    if table.schema.equals(schema):
        return table
    known = set(table.column_names)
    columns = [
        table.column(field.name).cast(field.type) if field.name in known else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def ingest(
    reader: LogReader,
    progress: Progress,
    root: Path,
    convert: Callable[[bytes], Mapping[str, pa.Table]],
    *,
    limit: int = READ_BYTES,
) -> int:
    """Convert everything that is complete in a log; returns the rows written.

    Parts first, then the position, and the reader moves last: whatever fails in between, the range is converted again
    into parts that take the place of those. ``convert`` gives one table per model.
    """
    rows = 0
    try:
        while (piece := reader.read(limit)) is not None:
            if piece.first:
                _discard_uncommitted(root, piece)
            for model, table in convert(piece.data).items():
                write_part(model_directory(root, model), piece.source, piece.file, piece.start, piece.end, table)
                rows += len(table)
            progress.save(Position(piece.file, piece.end))
            reader.commit(piece)
    except BaseException:
        reader.close()  # opened anew, it clears away what was written and not committed
        raise
    reader.discard_drained()
    return rows


def _discard_uncommitted(root: Path, piece: Slice) -> None:
    """Delete parts of ranges that are about to be converted again: a model may have lines of them no more."""
    for directory in root.glob(f"{PREFIX}*"):
        for name in os.listdir(directory):
            part = raw_part(directory / name)
            if part is not None and _behind(part.extents[0], piece):
                part.path.unlink()


def _behind(extent: Extent, piece: Slice) -> bool:
    return (extent.source, extent.file) == (piece.source, piece.file) and extent.start >= piece.start
