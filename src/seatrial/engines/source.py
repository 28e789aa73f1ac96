"""Reads parts of the event log, each once, in order of time: a look costs what is new."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.events.parts import Part, part_of
from seatrial.events.schema import to_micros

AT_ONCE = 2_000_000
"""Rows that are read before what is known so far is summed up."""


@dataclass(slots=True)
class _Waiting:
    part: Part
    metadata: pq.FileMetaData
    earliest: int


class PartSource:
    """The parts of one directory; ``moment`` is the time column they are ordered by."""

    def __init__(self, directory: Path, moment: str) -> None:
        self.directory = directory
        self._moment = moment
        self._seen: set[str] = set()
        self._known: dict[tuple[str, str, int], int] = {}
        self._waiting: list[_Waiting] = []
        self._taken: set[tuple[str, str, int]] = set()

    def refresh(self) -> bool:
        """Look for new parts. False if one that was read has been superseded: then everything must be read again."""
        names = set(os.listdir(self.directory)) - self._seen if self.directory.is_dir() else set()
        self._seen |= names
        superseded = False
        for part in filter(None, (part_of(self.directory / name) for name in sorted(names))):
            known = self._known.get(part.key)
            if known is not None and known > part.end:
                continue
            superseded |= part.key in self._taken
            if known is not None:
                self._waiting = [w for w in self._waiting if w.part.key != part.key]
            self._known[part.key] = part.end
            self._waiting.append(_opened(part, self._moment))
        if names:
            self._waiting.sort(key=lambda w: (w.earliest, w.part.path.name))
        return not superseded

    def take(self, to: int, columns: list[str]) -> tuple[list[pa.Table], int]:
        """Unread parts that can hold rows up to ``to``, and up to which time that is everything there is.

        Of a long history only the beginning is given (about two million rows), with the time it reaches.
        """
        tables: list[pa.Table] = []
        rows = 0
        while self._waiting and self._waiting[0].earliest <= to:
            if rows >= AT_ONCE:
                reach = self._waiting[0].earliest - 1
                return tables, max(reach, 0)
            waiting = self._waiting.pop(0)
            rows += waiting.metadata.num_rows
            self._taken.add(waiting.part.key)
            with pq.ParquetFile(waiting.part.path, metadata=waiting.metadata) as file:
                present = set(file.schema_arrow.names)
                tables.append(file.read(columns=[name for name in columns if name in present]))
        return tables, to


def _opened(part: Part, moment: str) -> _Waiting:
    with pq.ParquetFile(part.path) as file:
        metadata, place = file.metadata, file.schema_arrow.names.index(moment)
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    earliest = [to_micros(group.column(place).statistics.min) for group in groups if group.num_rows]
    return _Waiting(part, metadata, min(earliest, default=0))
