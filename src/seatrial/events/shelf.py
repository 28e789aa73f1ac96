"""The parts of one directory with what their footers say, each footer read once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.events.files import UNFINISHED
from seatrial.events.parts import Extent, Notes, Part, counting, is_compact, raw_part
from seatrial.events.schema import to_micros


@dataclass(frozen=True, slots=True)
class Shelved:
    """A part with its size: ``earliest`` and ``latest`` are times of its rows (microseconds), ``bytes`` its file's.

    ``erased``: rows it had once; they count where parts are told apart by how much they hold.
    """

    part: Part
    rows: int
    erased: int
    earliest: int
    latest: int
    bytes: int

    @property
    def extents(self) -> tuple[Extent, ...]:
        return self.part.extents

    @property
    def name(self) -> str:
        return self.part.path.name

    @property
    def compact(self) -> bool:
        return is_compact(self.part.path)


@dataclass(frozen=True, slots=True)
class Change:
    """Parts that count since the last look at the shelf, and parts that count no more."""

    new: tuple[Shelved, ...]
    gone: tuple[Shelved, ...]


class Shelf:
    """``moment``: the time column that parts are ordered by. Costs what is new.

    Whoever looks needs no lock: a part that vanishes while it is looked at was merged into another one, so the names
    are read again.
    """

    def __init__(self, directory: Path, moment: str) -> None:
        self.directory, self._moment = directory, moment
        self._known: dict[str, Shelved] = {}
        self._counting: dict[str, Shelved] = {}
        self._starts: set[tuple[str, str, int]] = set()

    @property
    def parts(self) -> list[Shelved]:
        """The parts that count, oldest rows first."""
        return sorted(self._counting.values(), key=lambda part: (part.earliest, part.name))

    @property
    def covered(self) -> list[Path]:
        """Parts that do not count any more: another one has their rows."""
        return [known.part.path for name, known in self._known.items() if name not in self._counting]

    def refresh(self) -> Change:
        """Look which parts there are now."""
        while True:
            names = set(os.listdir(self.directory)) if self.directory.is_dir() else set()
            try:
                new = [part for name in sorted(names - self._known.keys()) if (part := self._inspect(name)) is not None]
            except FileNotFoundError:
                continue
            break
        gone = self._known.keys() - names
        if not new and not gone:
            return Change((), ())
        apart = self._are_apart(new) and not gone and bool(self._counting)
        for name in gone:
            del self._known[name]
        self._known |= {part.name: part for part in new}
        before = self._counting
        now = [*before.values(), *new] if apart else counting(self._known.values())
        self._counting = {part.name: part for part in now}
        return Change(
            tuple(part for part in now if part.name not in before),
            tuple(part for name, part in before.items() if name not in self._counting),
        )

    def _are_apart(self, new: list[Shelved]) -> bool:
        """Whether new parts cover nothing that is known: the usual case, which must not cost what is there already.

        A range that is converted again begins where it did before.
        """
        starts = {(p.extents[0].source, p.extents[0].file, p.extents[0].start) for p in new}
        known = not starts.isdisjoint(self._starts)
        self._starts |= starts
        return not known and not any(part.compact for part in new)

    def unfinished(self) -> list[Path]:
        """What a crash left half written."""
        return sorted(self.directory.glob(f".*{UNFINISHED}"))

    def _inspect(self, name: str) -> Shelved | None:
        path = self.directory / name
        if not is_compact(path) and raw_part(path) is None:
            return None
        return inspect(path, self._moment)


def inspect(path: Path, moment: str) -> Shelved:
    """What the footer of a part says."""
    with pq.ParquetFile(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    notes = Notes.of(schema.metadata)
    earliest, latest = _span(metadata, schema, moment)
    part = Part(path, notes.extents) if is_compact(path) else raw_part(path)
    assert part is not None
    return Shelved(part, metadata.num_rows, notes.erased, earliest, latest, path.stat().st_size)


def _span(metadata: pq.FileMetaData, schema: pa.Schema, moment: str) -> tuple[int, int]:
    """The first and the last time of a part; (0, 0) where it has no rows."""
    place = schema.names.index(moment)
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    known = [group.column(place).statistics for group in groups if group.num_rows]
    if not known:
        return 0, 0
    return min(to_micros(s.min) for s in known), max(to_micros(s.max) for s in known)
