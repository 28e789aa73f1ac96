"""A ticket of re-validation: which strata look different, and what has to be shown before anything is changed.

It is a report and a question to people. Neither the weights of a model nor its traffic follow from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

What = Literal["drift", "new", "gone"]

TODO: Final = (
    "look at the affected strata with who acquires the data: device, site, protocol, population",
    "measure the version in production on labelled rows of these strata",
    "if it fails there, take these strata back by hand (`seatrial rollout withdraw`, fallback) and report it",
    "train and validate a candidate by the protocol of the change envelope, and file what lies outside",
)


@dataclass(frozen=True, slots=True)
class Shift:
    """A column that moved: ``value`` of the measure, at least ``least`` counts."""

    column: str
    measure: str
    value: float | None
    least: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """One value of one column: it drifted, is new, or is not there any more. ``rows``: of the current table."""

    column: str
    value: str
    what: What
    rows: int
    shifts: tuple[Shift, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.column}={self.value}"

    @property
    def text(self) -> str:
        """
        >>> Stratum("site", "B", "drift", 400, (Shift("age", "psi", 0.31, 0.1),)).text
        'site=B drifted in age (psi 0.31), 400 rows'
        """
        if self.what == "new":
            return f"{self.name} is new, {self.rows} rows: nothing about it was ever validated"
        if self.what == "gone":
            return f"{self.name} is gone"
        moved = ", ".join(f"{s.column} ({s.measure} {s.value:.2f})" for s in self.shifts if s.value is not None)
        return f"{self.name} drifted{' in ' if moved else ''}{moved}, {self.rows} rows"


def key_of(model: str, version: int, strata: Iterable[str]) -> str:
    """What a ticket is about; the same strata of the same version are one ticket, however often they are found."""
    return f"{model}/{version}:{','.join(sorted(set(strata)))}"


def ticket_document(
    model: str, version: int, digest: str | None, strata: Sequence[Stratum], *, cause: str, envelope: bool
) -> dict[str, Any]:
    """What is kept of a ticket. ``digest``: of what was in production when it was found; ``envelope``: whether there is
    one that a candidate can be held to.
    """
    return {
        "model": model,
        "version": version,
        "artifact": digest,
        "cause": cause,
        "strata": [
            {
                "column": one.column, "value": one.value, "what": one.what, "rows": one.rows, "text": one.text,
                "shifts": [{"column": s.column, "measure": s.measure, "value": s.value, "least": s.least}
                           for s in one.shifts],
            }
            for one in strata
        ],
        "envelope": envelope,
        "todo": list(TODO),
    }  # fmt: skip
