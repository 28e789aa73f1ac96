"""Two rankers on one result page: team-draft interleaving, in the service that shows the page.

In each round a coin says which ranker goes first; each then adds the best of its own that is not there yet. The coin is
a hash, so a user who asks again sees the same order. What a user clicks says which ranker they prefer, with far fewer
users than two groups need. Only the standard library and xxhash. Source: Radlinski, Kurup & Joachims (2008).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import xxhash

Item = str | int
Team = Literal["champion", "candidate"]

COINS = 64
"""Rounds that one 64-bit hash decides."""


@dataclass(frozen=True, slots=True)
class Interleaved:
    """What is shown: ``items``, best first, and for each the team it plays for and what a click on it is worth.

    ``teams``: the ranker that contributed the item, by the coin; None where one list was at its end, without a contest.
    ``credits``: +1 for the candidate, -1 for the champion, 0 where the item would have been there whoever had won the
    coin, so that a click says nothing. ``champion`` and ``candidate`` are the lists that were interleaved.
    """

    unit: str
    query: str
    salt: str
    items: tuple[Item, ...]
    teams: tuple[Team | None, ...]
    credits: tuple[int, ...]
    champion: tuple[Item, ...]
    candidate: tuple[Item, ...]

    def row(self, clicks: Iterable[Item] = (), *, time: datetime | None = None) -> dict[str, Any]:
        """The row to log: what was shown, and which items were clicked; ready for JSON or Parquet.

        ``time``: when it was shown; now unless given. A second click on an item is none. Raises ValueError for a click
        on an item that is not there.
        """
        clicked = {*clicks}
        if unknown := clicked - {*self.items}:
            raise ValueError(f"clicked, but not shown: {', '.join(sorted(map(repr, unknown)))}")
        return {
            "time": (time or datetime.now(UTC)).isoformat(),
            "unit": self.unit,
            "query": self.query,
            "salt": self.salt,
            "items": list(self.items),
            "teams": list(self.teams),
            "credits": list(self.credits),
            "clicks": [item for item in self.items if item in clicked],
            "champion": list(self.champion),
            "candidate": list(self.candidate),
        }


def interleave(
    champion: Sequence[Item],
    candidate: Sequence[Item],
    *,
    salt: str,
    unit: str,
    query: str,
    length: int | None = None,
) -> Interleaved:
    """One list of two rankers' lists, best first, of ``length`` items: as long as the longer one unless given.

    The same salt, unit and query toss the same coins, in every process. ``salt`` is one experiment: another one tosses
    anew. Where one list is at its end the other one fills up, and those items are in no team. Raises ValueError for a
    list with an item twice, an empty unit (nobody to be the same for) or a length below 1.

    >>> shown = interleave(["a", "b", "c"], ["a", "d", "b"], salt="r-1", unit="ann", query="shoes")
    >>> shown.items, shown.teams, shown.credits
    (('a', 'b', 'd'), ('candidate', 'champion', 'candidate'), (0, -1, 1))
    """
    for name, ranked in (("champion", champion), ("candidate", candidate)):
        if len({*ranked}) < len(ranked):
            twice = next(item for item, times in Counter(ranked).items() if times > 1)
            raise ValueError(f"the {name}'s list holds {twice!r} twice")
    if not unit:
        raise ValueError("interleaving needs a unit: without one the same user would see another order each time")
    if length is not None and length < 1:
        raise ValueError(f"a list of {length} items cannot be shown")
    wanted = max(len(champion), len(candidate)) if length is None else length
    reach = wanted + 1  # nobody looks further down: of the items above, at most ``wanted`` are taken
    drafted = _drafted(champion[:reach], candidate[:reach], _coins(salt, unit, query), wanted)
    places = tuple(drafted)[:wanted]
    items, teams, credits = zip(*places, strict=True) if places else ((), (), ())
    return Interleaved(unit, query, salt, items, teams, credits, tuple(champion), tuple(candidate))


class _Place(NamedTuple):
    item: Item
    team: Team | None
    credit: int


def _drafted(
    champion: Sequence[Item], candidate: Sequence[Item], coins: Iterator[bool], wanted: int
) -> Iterator[_Place]:
    """Round by round, and when one list is at its end the rest of the other one."""
    a, b = list(champion), list(candidate)
    taken = 0
    while taken < wanted and a and b:
        places = _round(a, b, champion_first=next(coins))
        yield from places
        chosen = {place.item for place in places}
        a, b = [item for item in a if item not in chosen], [item for item in b if item not in chosen]
        taken += len(places)
    yield from (_Place(item, None, 0) for item in max(a, b, key=len))


def _round(a: Sequence[Item], b: Sequence[Item], *, champion_first: bool) -> tuple[_Place, ...]:
    """One item of each. What both would have added on this place is there anyhow, and tells nothing about either.

    Where both want the same item and one has no other, that item ends the round: a second pick would have no rival.
    """
    first: tuple[Team, int] = ("champion", -1) if champion_first else ("candidate", 1)
    second: tuple[Team, int] = ("candidate", 1) if champion_first else ("champion", -1)
    if a[0] != b[0]:
        before, after = (a[0], b[0]) if champion_first else (b[0], a[0])
        return _Place(before, *first), _Place(after, *second)
    shared = _Place(a[0], first[0], 0)
    if 1 in (len(a), len(b)):
        return (shared,)
    team, credit = second
    return shared, _Place((b if champion_first else a)[1], team, credit if a[1] != b[1] else 0)


def _coins(salt: str, unit: str, query: str) -> Iterator[bool]:
    """Whether the champion goes first, round by round. The lengths in the key keep ``a, bc`` and ``ab, c`` apart."""
    key = "".join(f"{len(part)}:{part}" for part in (salt, unit, query)).encode("utf-8", "surrogateescape")
    block = 0
    while True:
        bits = xxhash.xxh64_intdigest(key, seed=block)
        yield from (bool(bits >> coin & 1) for coin in range(COINS))
        block += 1
