"""Reads parts of the event log, each once, in order of time: a look costs what is new."""

from __future__ import annotations

from bisect import insort
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.events.parts import covers
from seatrial.events.shelf import Shelf, Shelved

AT_ONCE = 500_000
"""Rows that are read before what is known so far is summed up."""


class PartSource:
    """The parts of one directory; ``moment`` is the time column they are ordered by."""

    def __init__(self, directory: Path, moment: str) -> None:
        self._shelf = Shelf(directory, moment)
        self._waiting: list[Shelved] = []
        self._taken: set[str] = set()

    def refresh(self) -> bool:
        """Look for new parts. False if one that was read has been superseded: then everything must be read again.

        A part that was merged from parts that were all read is read already, and one merged from parts that all wait
        waits in their place.
        """
        change = self._shelf.refresh()
        gone = {part.name for part in change.gone}
        self._waiting = [part for part in self._waiting if part.name not in gone]
        whole = True
        for part in change.new:
            read = [old for old in change.gone if old.name in self._taken and covers(part.extents, old)]
            if read and sum(old.rows + old.erased for old in read) == part.rows + part.erased:
                self._taken.add(part.name)
                continue
            whole = whole and not read
            insort(self._waiting, part, key=_order)
        self._taken -= gone
        return whole

    def take(self, to: int, columns: list[str]) -> tuple[list[pa.Table], int]:
        """Unread parts that can hold rows up to ``to``, and up to which time that is everything there is.

        Of a long history only the beginning is given (``AT_ONCE`` rows), with the time it reaches.
        """
        tables: list[pa.Table] = []
        rows = 0
        while self._waiting and self._waiting[0].earliest <= to:
            if rows >= AT_ONCE:
                reach = self._waiting[0].earliest - 1
                return tables, max(reach, 0)
            waiting = self._waiting.pop(0)
            rows += waiting.rows
            self._taken.add(waiting.name)
            tables.append(_read(waiting, columns))
        return tables, to


def _read(waiting: Shelved, columns: list[str]) -> pa.Table:
    """The columns that the part has; whoever reads many parts at once brings the threads."""
    with pq.ParquetFile(waiting.part.path, pre_buffer=False) as file:
        present = set(file.schema_arrow.names)
        return file.read(columns=[name for name in columns if name in present], use_threads=False)


def _order(part: Shelved) -> tuple[int, str]:
    return part.earliest, part.name
