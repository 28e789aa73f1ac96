"""Pages of two rankers: made of their lists, and written as rows that ``seatrial analyze interleaving`` reads."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from seatrial.errors import Unavailable
from seatrial.gateway.routes import ModelRoute
from seatrial.interleaving import Interleaved, Item, interleave
from seatrial.router.attempts import complain
from seatrial.router.places import NOBODY, Assignment
from seatrial.router.pool import Busy, Pool

log = logging.getLogger("seatrial.router")

Ranker = Callable[[str], Sequence[Item]] | Sequence[Item]
Rankers = Mapping[str | int, Ranker]

COLUMNS: Final = ("time", "unit", "query", "salt", "items", "teams", "credits", "clicks", "champion", "candidate")
WAITING: Final = 10_000


def ranked(
    route: ModelRoute, assignment: Assignment, unit: str | None, query: str, rankers: Rankers, length: int | None
) -> Interleaved:
    """A page for a unit. Raises Unavailable (ST0796) where there is no list at all."""
    champion = _list_of(route.champion.version, query, rankers)
    challenger = route.canary or route.shadow
    compared = assignment.arm != NOBODY and route.rollout is not None and challenger is not None
    candidate = _list_of(challenger.version, query, rankers) if compared and challenger is not None else ()
    if champion is None and not candidate:
        raise Unavailable(
            "ST0796",
            f"no ranker of model {route.model!r} gave a list for {query!r}.",
            remedy=f"rankers needs a list, or a callable that returns one, for version {route.champion.version}.",
        )
    salt = route.salt
    return interleave(champion or (), candidate or (), salt=salt, unit=unit or NOBODY, query=query, length=length)


def _list_of(version: str, query: str, rankers: Rankers) -> Sequence[Item] | None:
    """The list of a version; None where it has none, of which the service's log tells."""
    number = int(version) if version.isdecimal() else version
    ranker = rankers[version] if version in rankers else rankers.get(number)
    try:
        if ranker is None:
            raise LookupError(f"there is no ranker for version {version}")
        items = tuple(ranker(query)) if callable(ranker) else tuple(ranker)
        if len({*items}) < len(items):
            raise ValueError("a list holds an item twice")
        return items
    except Exception as error:
        complain(version, error)
        return None


class Pages:
    """Rows of pages in a CSV of this process; ``put`` does not wait for the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pool = Pool("seatrial-pages", threads=1, waiting=WAITING)
        self._file: tuple[int, Path] | None = None
        self.dropped = 0

    @property
    def busy(self) -> bool:
        return self._pool.busy

    def put(self, row: Mapping[str, Any]) -> bool:
        """Take one row; false where it is dropped."""
        try:
            self._pool.submit(lambda: self._write(row))
        except Busy:
            self.dropped += 1
            return False
        return True

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            with self._path().open("a", encoding="utf-8", newline="") as file:
                file.write(_line([_cell(row[name]) for name in COLUMNS]))
        except OSError as error:
            self.dropped += 1
            log.warning("%d pages are not logged: %s", self.dropped, error)

    def _path(self) -> Path:
        """One file a process: made with its head when the first row comes."""
        if self._file is None or self._file[0] != os.getpid():
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self._directory / f"{os.getpid()}-{secrets.token_hex(4)}.csv"
            path.touch(mode=0o600)
            path.write_text(_line(COLUMNS), encoding="utf-8")
            self._file = os.getpid(), path
        return self._file[1]


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
