"""One thing that is wrong with a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to do."""

    code: str
    where: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.code} {self.where}: {self.text} {self.remedy}".rstrip()
