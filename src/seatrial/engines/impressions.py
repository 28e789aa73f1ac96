"""Result pages of interleaved lists, read from a user's own table: one row is one page that somebody saw."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.engines.columns import USUAL
from seatrial.engines.inputs import Input
from seatrial.engines.usual import usual_columns
from seatrial.errors import UsageError
from seatrial.interleaving import Item

PARTS: Mapping[str, tuple[str, ...]] = {
    "unit": USUAL["unit"],
    "query": ("query", "query_id", "search_id"),
    "items": ("items", "list", "shown"),
    "teams": ("teams",),
    "clicks": ("clicks", "clicked"),
    "credits": ("credits",),
    "salt": ("salt",),
    "champion": ("champion",),
    "candidate": ("candidate",),
}
OPTIONAL = ("query", "credits", "salt", "champion", "candidate")
TEAMS = frozenset({"champion", "candidate", None})


@dataclass(frozen=True, slots=True)
class Impression:
    """One page: what was shown, for which team each item played, and which were clicked; see `interleaving`.

    None: the log does not say.
    """

    unit: str
    query: str | None
    items: tuple[Item, ...]
    teams: tuple[str | None, ...]
    clicks: frozenset[Item]
    credits: tuple[int, ...] | None
    salt: str | None
    champion: tuple[Item, ...] | None
    candidate: tuple[Item, ...] | None


def impressions(source: Input, given: Mapping[str, str]) -> Iterator[Impression | None]:
    """The pages of a table, row by row; None for a row without a unit.

    Lists are columns of lists, or text in JSON as a CSV has it. Raises UsageError for columns that are missing (ST0292)
    or a row that cannot be (ST0293): lists of different length, a click on what was not shown.
    """
    columns = usual_columns(source.columns, PARTS, given, source.name, optional=OPTIONAL)
    table = source.run(source.table.select(*dict.fromkeys(columns.values())))
    number = 0
    for batch in table.to_batches():
        values = {part: batch.column(column).to_pylist() for part, column in columns.items()}
        for row in zip(*values.values(), strict=True):
            number += 1
            yield _impression(dict(zip(values, row, strict=True)), f"row {number} of '{source.name}'")


def _impression(row: Mapping[str, Any], where: str) -> Impression | None:
    if row["unit"] in (None, ""):
        return None
    items, teams, clicks = (_listed(row[part], part, where) for part in ("items", "teams", "clicks"))
    credits, champion, candidate = (
        None if row.get(part) is None else _listed(row[part], part, where)
        for part in ("credits", "champion", "candidate")
    )
    if len(teams) != len(items) or (credits is not None and len(credits) != len(items)):
        raise _wrong(where, f"{len(items)} items have {len(teams)} teams")
    for part, ranked in (("items", items), ("champion", champion), ("candidate", candidate)):
        if ranked is not None and len({*ranked}) < len(ranked):
            raise _wrong(where, f"{part} hold an item twice")
    if not {*teams} <= TEAMS:
        raise _wrong(where, f"teams are champion, candidate or null, not {', '.join(map(str, teams))}")
    if credits is not None and not {*credits} <= {-1, 0, 1}:
        raise _wrong(where, "credits are -1 for the champion, 0 or 1 for the candidate")
    if unknown := {*clicks} - {*items}:
        raise _wrong(where, f"{next(iter(unknown))!r} was clicked, but not shown")
    query, salt = (None if row.get(part) is None else str(row[part]) for part in ("query", "salt"))
    return Impression(str(row["unit"]), query, items, teams, frozenset(clicks), credits, salt, champion, candidate)


def _listed(value: Any, part: str, where: str) -> tuple[Any, ...]:
    """A list, from a column of lists or from JSON; nothing is an empty list."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except ValueError:
            raise _wrong(where, f"{part} are no list in JSON: {value[:40]!r}") from None
    value = [] if value is None else value
    if not isinstance(value, list) or any(isinstance(item, list | dict) for item in value):
        raise _wrong(where, f"{part} are no list of items")
    return tuple(value)


def _wrong(where: str, what: str) -> UsageError:
    return UsageError("ST0293", f"{where}: {what}.", remedy="What a row holds: docs/interleaving.md, 'The log'.")
