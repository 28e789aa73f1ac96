"""The route table on disk: the last one in force, and a copy of the last one that Envoy confirmed.

One of the two may be damaged, cut short, gone or old, and the routes are not lost.
"""

from __future__ import annotations

import re
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.gateway.files import write_atomically
from seatrial.gateway.routes import RouteTable

_GENERATION = re.compile(rb'\{"generation": (\d+),')


class TableFiles:
    """``table.json`` and ``confirmed.json`` in one directory."""

    def __init__(self, directory: Path, *, reserve: Path | None = None) -> None:
        self._last, self._confirmed = directory / "table.json", directory / "confirmed.json"
        self._reserve = reserve

    def read(self) -> RouteTable:
        """The last table that was put in force; empty, generation 0, where none can be read."""
        last = _read(self._last)
        if last is not None and last.generation >= _generation(self._confirmed):
            return last
        return _read(self._confirmed) or last or RouteTable(0)

    def write(self, table: RouteTable) -> None:
        """Before Envoy is told, so that a crash never brings an old table back."""
        write_atomically(self._last, table.to_json(), reserve=self._reserve)

    def is_confirmed(self, table: RouteTable) -> bool:
        """Whether Envoy has said that it uses this table, and all that it needs."""
        return _generation(self._confirmed) == table.generation

    def confirm(self, table: RouteTable) -> None:
        """After Envoy has said that it uses it."""
        if not self.is_confirmed(table):
            write_atomically(self._confirmed, table.to_json(), reserve=self._reserve)


def _read(path: Path) -> RouteTable | None:
    try:
        return RouteTable.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SeatrialError):
        return None


def _generation(path: Path) -> int:
    """Of a table's file, from its first bytes: tables of many models are long."""
    try:
        with path.open("rb") as file:
            found = _GENERATION.match(file.read(64))
    except OSError:
        return -1
    return int(found[1]) if found else -1
