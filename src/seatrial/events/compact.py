"""Compaction: many small parts of a model become one part a day, and nothing is counted twice at any moment.

First the merged part is written, then it gets its name, then those it was merged from are deleted. From the moment it
has its name they do not count (``parts.counting``), so a crash in between leaves waste and no doubt; ``sweep`` removes
it. Rows are sorted by time, so that a scan of a span of time skips what lies outside it.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.events.files import publish, unfinished
from seatrial.events.parts import Extent, Notes, fit, write_rows
from seatrial.events.schema import from_micros
from seatrial.events.shelf import Shelf, Shelved

PARTS_AT_ONCE = 512
ROWS_AT_ONCE = 500_000
"""Most parts and rows of one merge: it shall not take long, nor much memory."""

FULL = ROWS_AT_ONCE // 2
"""Rows of a part that is merged no more. Any two smaller ones fit into one merge."""

FEW, MANY = 8, 256
"""How many parts it takes for a merge: of an hour that is over, of one that is not. Of a day that is over, any two."""

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged part that does not have its name yet."""

    temporary: Path
    path: Path
    sources: tuple[Shelved, ...]
    rows: int

    def publish(self) -> None:
        """From now on this part counts, and those it was merged from do not."""
        publish(self.temporary, self.path)

    def withdraw(self) -> None:
        """Leave everything as it was."""
        self.temporary.unlink(missing_ok=True)

    def discard_sources(self) -> None:
        for source in self.sources:
            source.part.path.unlink(missing_ok=True)


def plan(parts: Iterable[Shelved], until: datetime, apart: Sequence[int] = (), *, eager: bool = False) -> list[Shelved]:
    """The parts to merge next; empty when there is nothing to do.

    ``until``: the time up to which everything is captured. A day that is over by then becomes one part; before that
    each of its hours does. ``apart``: ascending times (microseconds); parts that begin on different sides of one are
    not merged. They are how far looks have read: who has read some of the parts need not read them again with others.
    ``eager``: any two parts of an hour are worth it, too.
    """
    groups: dict[tuple[datetime, datetime, int], list[Shelved]] = defaultdict(list)
    for part in parts:
        if part.rows < FULL:
            groups[(*_period(part, until), bisect_left(apart, part.earliest))].append(part)
    for (begin, end, _), found in sorted(groups.items(), key=lambda item: item[0]):
        batch = _batch(found)
        worth = 2 if eager or end - begin == DAY else FEW if end <= until else MANY
        if len(batch) >= worth:
            return batch
    return []


def merge(shelf: Shelf, moment: str, sources: Sequence[Shelved]) -> Merged:
    """Write the rows of some parts of a shelf as one part, sorted by ``moment``; nothing counts it yet."""
    files = [_read(source.part.path) for source in sources]
    schema = pa.unify_schemas([table.schema for table, _ in files])
    table = pa.concat_tables([fit(table, schema) for table, _ in files]).sort_by(moment)
    extents = tuple(_joined({e for source in sources for e in source.extents}, shelf.parts))
    requests: Counter[tuple[str, int, str]] = Counter()
    for _, notes in files:
        requests.update({(rollout, phase, arm): n for rollout, phase, arm, n in notes.requests})
    notes = Notes(extents, sum(n.erased for _, n in files), tuple((*key, n) for key, n in sorted(requests.items())))
    with unfinished(shelf.directory) as handle:
        write_rows(handle, table.replace_schema_metadata(notes.on(schema).metadata))
    return Merged(Path(handle.name), shelf.directory / _name(sources, extents), tuple(sources), len(table))


def sweep(shelf: Shelf) -> None:
    """Delete what a crash left: parts that another one covers, and files that were not finished."""
    shelf.refresh()
    for path in [*shelf.covered, *shelf.unfinished()]:
        path.unlink(missing_ok=True)


def _period(part: Shelved, until: datetime) -> tuple[datetime, datetime]:
    begins = from_micros(part.earliest)
    day = begins.replace(hour=0, minute=0, second=0, microsecond=0)
    if day + DAY <= until:
        return day, day + DAY
    hour = begins.replace(minute=0, second=0, microsecond=0)
    return hour, hour + HOUR


def _batch(parts: list[Shelved]) -> list[Shelved]:
    """As many as are merged at once: parts of a size together, so that a row is not copied again for every small part,
    and neighbours in the log together, so that there are few extents."""
    batch: list[Shelved] = []
    rows = 0
    for part in sorted(parts, key=lambda part: (part.rows.bit_length() // 3, part.extents)):
        if len(batch) == PARTS_AT_ONCE or rows + part.rows > ROWS_AT_ONCE:
            break
        batch.append(part)
        rows += part.rows
    return batch


def _read(path: Path) -> tuple[pa.Table, Notes]:
    with pq.ParquetFile(path) as file:
        return file.read(use_threads=False), Notes.of(file.schema_arrow.metadata)


def _joined(mine: set[Extent], parts: Iterable[Shelved]) -> Iterator[Extent]:
    """Extents of mine, neighbours as one. What lies between two neighbours holds no line of this model, and what is
    committed is not converted again."""
    last: Extent | None = None
    for extent in sorted(extent for part in parts for extent in part.extents):
        if extent not in mine:
            if last is not None:
                yield last
            last = None
        elif last is not None and (last.source, last.file) == (extent.source, extent.file):
            last = Extent(last.source, last.file, last.start, extent.end)
        else:
            if last is not None:
                yield last
            last = extent
    if last is not None:
        yield last


def _name(sources: Sequence[Shelved], extents: Sequence[Extent]) -> str:
    """The day of the earliest row, and a digest of what the part was merged from."""
    text = json.dumps([[e.source, e.file, e.start, e.end] for e in extents])
    begins = from_micros(min(source.earliest for source in sources))
    return f"compact-{begins:%Y%m%d}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}.parquet"
