"""Columns of a table that no plan describes: named by the user, or found by the names that are usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from seatrial.errors import UsageError

Usual = Mapping[str, Sequence[str]]


def usual_columns(
    present: Sequence[str], usual: Usual, given: Mapping[str, str], where: str, *, optional: Sequence[str] = ()
) -> dict[str, str]:
    """The column of each part; optional parts that are not there are left out.

    Names are found without regard to upper and lower case, in the order of ``usual``. Raises UsageError (ST0292) with
    everything that is missing at once: the part, what is nearest to it, and the flag.
    """
    lower = {name.lower(): name for name in reversed(present)}
    found, missing = {}, []
    for part, names in usual.items():
        asked = given.get(part)
        column = (asked if asked in present else None) if asked else _first(lower, names)
        if column is not None:
            found[part] = column
        elif asked or part not in optional:
            missing.append(_lack(part, asked, lower, names))
    if missing:
        listed = ", ".join(present)
        raise UsageError("ST0292", f"'{where}' lacks {'; '.join(missing)}.", remedy=f"It has the columns {listed}.")
    return found


def _first(lower: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((lower[name] for name in names if name in lower), None)


def _lack(part: str, asked: str | None, lower: Mapping[str, str], names: Sequence[str]) -> str:
    near = [n for name in ([asked.lower()] if asked else names) for n in get_close_matches(name, lower, 1, 0.7)]
    hint = f"nearest is '{lower[near[0]]}', say " if near else "say "
    return f"{repr(asked) if asked else f'the {part}'}: {hint}--{part} COLUMN"
