"""Whether champion and shadow saw the same inputs: paired feature records become counts that merge.

A pair *diverges* in a feature if the two values differ, if only one side has one, if they are of different types, or if
the times at which they were true lie farther apart than is allowed. Only records of features *as used* can show that
two models saw the same; the body of a request cannot, because features are looked up behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from seatrial.evidence.features import AS_OF, SCHEMA, Record, canonical, difference, names_of, time_of

TOLERANCE = 1e-9
STALENESS_S = 60.0


@dataclass(frozen=True, slots=True)
class InputRule:
    """When two values are the same.

    ``tolerance``: relative, of numbers; ``staleness_s``: how many seconds apart the times of a feature may lie;
    ``features``: the only ones that count; all if None.
    """

    tolerance: float = TOLERANCE
    staleness_s: float = STALENESS_S
    features: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class FeatureTally:
    """What became of one feature.

    ``pairs``: pairs in which either side has it; ``diverging``: those that differ in any way, once each; ``differing``:
    two values of one type that are not equal; ``champion_only``, ``shadow_only``: missing on the other side;
    ``mistyped``; ``dated``: pairs with a time on both sides, ``stale``: those whose times are too far apart.
    ``largest_absolute``, ``largest_relative``: of differences between numbers; ``largest_gap_s``: between times.
    """

    pairs: int = 0
    diverging: int = 0
    differing: int = 0
    champion_only: int = 0
    shadow_only: int = 0
    mistyped: int = 0
    dated: int = 0
    stale: int = 0
    largest_absolute: float = 0.0
    largest_relative: float = 0.0
    largest_gap_s: float = 0.0

    def __add__(self, other: FeatureTally) -> FeatureTally:
        return FeatureTally(
            self.pairs + other.pairs,
            self.diverging + other.diverging,
            self.differing + other.differing,
            self.champion_only + other.champion_only,
            self.shadow_only + other.shadow_only,
            self.mistyped + other.mistyped,
            self.dated + other.dated,
            self.stale + other.stale,
            max(self.largest_absolute, other.largest_absolute),
            max(self.largest_relative, other.largest_relative),
            max(self.largest_gap_s, other.largest_gap_s),
        )


@dataclass(frozen=True, slots=True)
class InputTally:
    """Pairs of feature records, by feature; ``@schema`` counts as one.

    ``pairs``: requests (rows of them) of which both models said what they used; ``champion_told``, ``shadow_told``: of
    which only this one did. ``unmatched_champion``, ``unmatched_shadow``: ids on one side only. ``duplicates``: records
    beyond the first of their id; ``conflicting``: ids whose records contradict each other on one side, left out.

    ``InputTally()`` is the identity, ``a + b`` is associative and commutative, and a tally of pairs equals the sum of
    the tallies of its parts, however they are split.
    """

    features: Mapping[str, FeatureTally] = field(default_factory=dict)
    pairs: int = 0
    champion_told: int = 0
    shadow_told: int = 0
    unmatched_champion: int = 0
    unmatched_shadow: int = 0
    duplicates: int = 0
    conflicting: int = 0

    @classmethod
    def of(cls, pairs: Iterable[Pair], rule: InputRule) -> InputTally:
        """The tally of a slice of pairs."""
        counter = InputCounter(rule)
        for pair in pairs:
            counter.add(pair)
        return counter.freeze()

    @property
    def observed(self) -> bool:
        """Whether there is anything that two models could be compared by."""
        return self.pairs > 0

    def __add__(self, other: InputTally) -> InputTally:
        names = self.features.keys() | other.features.keys()
        none = FeatureTally()
        return InputTally(
            {name: self.features.get(name, none) + other.features.get(name, none) for name in sorted(names)},
            *(getattr(self, count) + getattr(other, count) for count in COUNTS),
        )


_EQUAL, _EQUAL_DATED = FeatureTally(pairs=1), FeatureTally(pairs=1, dated=1)

COUNTS = tuple(name for name in InputTally.__dataclass_fields__ if name != "features")
"""The numbers of a tally that are not by feature."""


class Pair(NamedTuple):
    """The records of both models for one row of one request. ``alike``: they are known to have the same fingerprint."""

    champion: Record
    shadow: Record
    alike: bool = False


class InputCounter:
    """A tally that grows in place: a look costs the pairs that are new."""

    def __init__(self, rule: InputRule) -> None:
        self._rule = rule
        self._features: dict[str, FeatureTally] = {}
        self._equal: Counter[str] = Counter()
        self._dated: Counter[str] = Counter()
        self._counts = dict.fromkeys(COUNTS, 0)

    def add(self, pair: Pair) -> None:
        """One more pair. Of a pair that is alike only the names are read: nothing else can differ."""
        self.count(pairs=1)
        if pair.alike:
            self._add_alike(pair.champion)
            return
        for name, tally in compare(pair.champion, pair.shadow, self._rule).items():
            if tally is _EQUAL:  # nearly all are, and counting them is cheap
                self._equal[name] += 1
            elif tally is _EQUAL_DATED:
                self._dated[name] += 1
            else:
                self._features[name] = self._features.get(name, FeatureTally()) + tally

    def _add_alike(self, record: Record) -> None:
        names = names_of(record, self._rule.features)
        dated = (
            {name for name in names if name != SCHEMA and time_of(record, name) is not None} if AS_OF in record else ()
        )
        self._dated.update(dated)
        self._equal.update(names.difference(dated))

    def count(self, **more: int) -> None:
        """Add to what is not by feature: ``count(duplicates=2)``."""
        for name, n in more.items():
            self._counts[name] += n

    def freeze(self) -> InputTally:
        """What it has come to."""
        found = {
            name: self._features.get(name, FeatureTally())
            + FeatureTally(pairs=self._equal[name] + self._dated[name], dated=self._dated[name])
            for name in sorted({*self._features, *self._equal, *self._dated})
        }
        return InputTally(found, **self._counts)


def compare(champion: Record, shadow: Record, rule: InputRule) -> dict[str, FeatureTally]:
    """What one pair adds, by feature."""
    ours, theirs = names_of(champion, rule.features), names_of(shadow, rule.features)
    found = {name: _compared(champion, shadow, name, rule) for name in ours & theirs}
    found |= dict.fromkeys(ours - theirs, FeatureTally(pairs=1, diverging=1, champion_only=1))
    return found | dict.fromkeys(theirs - ours, FeatureTally(pairs=1, diverging=1, shadow_only=1))


def compare_inputs(
    champion: Iterable[tuple[str, Record]], shadow: Iterable[tuple[str, Record]], rule: InputRule | None = None
) -> InputTally:
    """Feature records of two models, each with its request id, compared request by request.

    The same record twice is counted and otherwise changes nothing. Records that contradict each other under one id say
    nothing about what the model used: the id is left out, and counted.

    >>> told = compare_inputs([("q1", {"x": 1.0}), ("q2", {"x": 2.0})], [("q1", {"x": 1}), ("q2", {"x": 2.5})])
    >>> told.features["x"].diverging, told.features["x"].pairs, told.features["x"].largest_absolute
    (1, 2, 0.5)
    """
    counter = InputCounter(rule or InputRule())
    ours, theirs = (_by_id(records, counter) for records in (champion, shadow))
    for key in ours.keys() & theirs.keys():
        if (a := ours[key]) is not None and (b := theirs[key]) is not None:
            counter.add(Pair(a, b))
    counter.count(
        unmatched_champion=len(ours.keys() - theirs.keys()), unmatched_shadow=len(theirs.keys() - ours.keys())
    )
    return counter.freeze()


def _by_id(records: Iterable[tuple[str, Record]], counter: InputCounter) -> dict[str, Record | None]:
    """Records by id; None for an id whose records contradict each other."""
    found: dict[str, Record | None] = {}
    for key, record in records:
        if key not in found:
            found[key] = record
            continue
        counter.count(duplicates=1)
        known = found[key]
        if known is not None and canonical(known) != canonical(record):
            found[key] = None
            counter.count(conflicting=1)
    return found


def _compared(champion: Record, shadow: Record, name: str, rule: InputRule) -> FeatureTally:
    found = difference(champion[name], shadow[name], rule.tolerance)
    gap = None if name == SCHEMA else _gap(champion, shadow, name)
    if found is None and not gap:
        return _EQUAL if gap is None else _EQUAL_DATED
    stale = gap is not None and gap > rule.staleness_s
    return FeatureTally(
        pairs=1,
        diverging=int(found is not None or stale),
        differing=int(found is not None and not found.mistyped),
        mistyped=int(found is not None and found.mistyped),
        dated=int(gap is not None),
        stale=int(stale),
        largest_absolute=found.absolute if found else 0.0,
        largest_relative=found.relative if found else 0.0,
        largest_gap_s=gap or 0.0,
    )


def _gap(champion: Record, shadow: Record, name: str) -> float | None:
    """Seconds between the times at which the two values were true; None unless both say it."""
    a, b = time_of(champion, name), time_of(shadow, name)
    return None if a is None or b is None else abs(a - b)
