"""What a scorecard would never do: rules that no row can reach.

A condition only compares features with constants, so all rows between the same constants are alike. One row of each
such cell is tried: the answer is exact, not a sample.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from seatrial.errors import UsageError
from seatrial.serving.rules import Rule, Scorecard
from seatrial.serving.rules_condition import Kind, Row, Value

MOST_CELLS: Final = 50_000
"""Beyond that a rule is held against one earlier rule at a time: fewer features meet, and less is found."""


def check(card: Scorecard, known: Sequence[str] = ()) -> None:
    """Raises UsageError (ST0773, ST0774). ``known``: features of the model, where it has told them."""
    unknown = sorted(set(card.features) - set(known)) if known else []
    if unknown:
        raise UsageError(
            "ST0773",
            f"scorecard '{card.name}': the model has no feature {', '.join(unknown)}.",
            remedy=f"It has: {', '.join(known)}.",
        )
    for name, why in unreachable(card):
        raise UsageError(
            "ST0774",
            f"scorecard '{card.name}': rule '{name}' never speaks: {why}.",
            remedy="Correct it, or take it out.",
        )


def unreachable(card: Scorecard) -> Iterator[tuple[str, str]]:
    """Rules that no row reaches, and why."""
    for n, rule in enumerate(card.rules):
        before = [earlier for earlier in card.rules[:n] if earlier.decide is not None]
        if not _reached(card, rule, []):
            yield rule.name, f"no request can be {rule.when.text}"
        elif _cells(card, [rule, *before]) <= MOST_CELLS:
            if not _reached(card, rule, before):
                yield rule.name, "an earlier rule has decided wherever its condition is true"
        elif shadow := next((e for e in before if not _reached(card, rule, [e])), None):
            yield rule.name, f"'{shadow.name}' has decided wherever its condition is true"


def _reached(card: Scorecard, rule: Rule, before: Sequence[Rule]) -> bool:
    """Whether some row meets the rule that none of the earlier ones has decided."""
    if _cells(card, [rule, *before]) > MOST_CELLS:
        return True  # nobody could say it is not
    return any(
        rule.when.holds(row) is True and not any(earlier.when.holds(row) is True for earlier in before)
        for row in _rows(card, [rule, *before])
    )


def _cells(card: Scorecard, rules: Sequence[Rule]) -> int:
    return math.prod(len(values) for values in _regions(card, rules).values())


def _rows(card: Scorecard, rules: Sequence[Rule]) -> Iterator[Row]:
    regions = _regions(card, rules)
    for values in itertools.product(*regions.values()):
        yield dict(zip(regions, values, strict=True))


def _regions(card: Scorecard, rules: Sequence[Rule]) -> dict[str, list[Value]]:
    """By feature, one value of each region that the rules tell apart; None is a missing one."""
    names = dict.fromkeys(name for rule in rules for name in rule.when.constants)
    return {
        name: _region(card.features[name], {c for rule in rules for c in rule.when.constants.get(name, ())})
        for name in names
    }


def _region(kind: Kind, constants: Iterable[Value]) -> list[Value]:
    if kind == "boolean":
        return [None, False, True]
    if kind == "string":
        texts = sorted(str(c) for c in constants)
        return [None, *texts, "".join(texts) + "~"]  # and one that is none of them
    numbers = sorted(float(c) for c in constants if isinstance(c, float))
    between = [(low + high) / 2 for low, high in itertools.pairwise(numbers)]
    outside = [math.nextafter(numbers[0], -math.inf), math.nextafter(numbers[-1], math.inf)] if numbers else [0.0]
    return [None, *numbers, *between, *outside]
