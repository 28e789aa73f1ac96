"""Results as a table for people and as rows for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """One benchmark: rows of named values, and what its targets come to."""

    name: str
    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    skipped: str = ""

    def add(self, **row: Any) -> dict[str, Any]:
        self.rows.append(row)
        return row

    def markdown(self) -> str:
        lines = [f"## {self.title}", ""]
        if self.skipped:
            return "\n".join([*lines, f"Skipped: {self.skipped}.", ""])
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        lines += [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
        lines += [f"| {' | '.join(_text(row.get(name, '')) for name in names)} |" for row in self.rows]
        if self.targets:
            lines += ["", *(f"- {target}" for target in self.targets)]
        return "\n".join([*lines, ""])


@dataclass(frozen=True)
class Target:
    """Something promised, beside what was measured."""

    promise: str
    measured: str
    met: bool

    def __str__(self) -> str:
        return f"{'met' if self.met else '**not met**'}: {self.promise} — measured {self.measured}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
