"""Who a name stands for: one person is one person, however the name is spelled."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

_INVISIBLE = frozenset({"Cc", "Cf", "Mn"})


def normalised(name: str) -> str:
    """The name without what makes two spellings of one: case, width, spaces, invisible signs, and plus-addressing.

    Letters of other scripts that look alike stay apart; names that are granted access are ASCII.

    >>> normalised("  Ann.Lee+ci@Example.COM ")
    'ann.lee@example.com'
    >>> normalised("ＡＮＮ") == normalised("ann") == normalised("ann+2")
    True
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(c for c in plain if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    local, at, domain = "".join(seen.split()).rpartition("@")
    if not at:
        local, domain = domain, ""
    return (local.partition("+")[0] or local) + at + domain.partition("+")[0]


@dataclass(frozen=True, slots=True)
class Identities:
    """Who is who. ``names``: every other name of a person, by the name that is kept for them.

    Raises ValueError where one name stands for two people.
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _person: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, str] = {}
        for person, others in self.names.items():
            kept = normalised(person)
            for name in {kept, *map(normalised, others)}:
                if found.setdefault(name, kept) != kept:
                    raise ValueError(f"people: {name!r} stands for {found[name]!r} and for {kept!r}")
        object.__setattr__(self, "_person", found)

    def who(self, name: str) -> str:
        """The person behind a name.

        >>> Identities({"ann": ("a.lee@example.com",)}).who("A.Lee+work@example.com")
        'ann'
        """
        plain = normalised(name)
        return self._person.get(plain, plain)

    def same(self, one: str, other: str) -> bool:
        return self.who(one) == self.who(other)
