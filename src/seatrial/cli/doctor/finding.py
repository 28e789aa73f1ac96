"""What one check of the doctor found, and what the checks look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from seatrial.cli.doctor.log import Recent
    from seatrial.control.project import Project
    from seatrial.store.db import Transaction

Level = Literal["ok", "warning", "error"]

_ICONS: dict[Level, str] = {"ok": "✔", "warning": "⚠", "error": "✖"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do if it is not fine. ``integrity``: stored data is at stake.

    A *warning* may be meant that way; an *error* keeps something from working.
    """

    name: str
    level: Level
    found: str
    remedy: str = ""
    integrity: bool = False

    @property
    def ok(self) -> bool:
        return self.level != "error"

    def __str__(self) -> str:
        remedy = "" if self.level == "ok" or not self.remedy else f"\n  {'':<14} {self.remedy}"
        return f"{_ICONS[self.level]} {self.name:<14} {self.found}{remedy}"


def fine(name: str, found: str) -> Finding:
    return Finding(name, "ok", found)


def warning(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, "warning", found, remedy)


def error(name: str, found: str, remedy: str, *, integrity: bool = False) -> Finding:
    return Finding(name, "error", found, remedy, integrity)


@dataclass(frozen=True, slots=True)
class Case:
    """A project, one snapshot of its store, and what was read of its log (by model, see ``log.recent``)."""

    project: Project
    tx: Transaction
    seen: dict[str, Recent] = field(default_factory=dict)


Check = Callable[["Project"], Iterator[Finding]]
"""Looks at machine and files; needs no store."""

StoreCheck = Callable[[Case], Iterator[Finding]]
