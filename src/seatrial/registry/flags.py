"""What a reviewer must look at between two versions: features that came, went, changed their source or their weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from seatrial.registry.version import ModelVersion

FlagKind = Literal["importance", "source", "added", "removed"]

THRESHOLD: Final = "0.5"
"""A change of importance beyond this share of the old value is flagged."""


@dataclass(frozen=True, slots=True)
class Flag:
    """``old`` and ``new`` as they were declared; None is not known on that side. ``relative``: of an importance,
    ``(new - old) / old``; None where the old one is zero or not known.
    """

    feature: str
    kind: FlagKind
    old: float | str | None
    new: float | str | None
    relative: float | None = None


def flags(before: ModelVersion, after: ModelVersion, *, threshold: str = THRESHOLD) -> tuple[Flag, ...]:
    """Every flag, by feature. What only one of the two versions declares is flagged: nobody knows that it is the same.

    ``threshold``: a decimal, exclusive. Changes are computed on the decimals as written, so that 0.18 to 0.27 is
    exactly one half. A feature is what either version takes, weighs or names a source of.
    """
    return tuple(flag for name in _names(before, after) for flag in _of(name, before, after, Fraction(threshold)))


def _names(before: ModelVersion, after: ModelVersion) -> list[str]:
    return sorted({*_features(before), *_features(after)})


def _features(version: ModelVersion) -> set[str]:
    return {*version.serving.features, *importances(version), *sources(version)}


def _of(name: str, before: ModelVersion, after: ModelVersion, threshold: Fraction) -> Iterator[Flag]:
    was, now = name in _features(before), name in _features(after)
    old, new = importances(before).get(name), importances(after).get(name)
    if was != now and _features(before) and _features(after):
        yield Flag(name, "added" if now else "removed", old, new)
        return
    if old != new and beyond(old, new, threshold):
        relative = None if not old or new is None else float((exact(new) - exact(old)) / abs(exact(old)))
        yield Flag(name, "importance", old, new, relative)
    source, next_source = sources(before).get(name), sources(after).get(name)
    if source != next_source:
        yield Flag(name, "source", source, next_source)


def beyond(old: float | None, new: float | None, threshold: Fraction) -> bool:
    """Whether a value moved by more than this share of the old one; one that is not known did.

    >>> beyond(0.18, 0.27, Fraction(1, 2)), beyond(0.08, 0.15, Fraction(1, 2)), beyond(None, 0.1, Fraction(1, 2))
    (False, True, True)
    """
    if old is None or new is None:
        return True
    return abs(exact(new) - exact(old)) > threshold * abs(exact(old))


def exact(value: float) -> Fraction:
    """The decimal that was written, not the binary number nearest to it. Finite.

    >>> exact(0.1)
    Fraction(1, 10)
    """
    return Fraction(repr(float(value)))


def importances(version: ModelVersion) -> Mapping[str, float]:
    model = None if version.lineage is None else version.lineage.model
    return {} if model is None else model.importances


def sources(version: ModelVersion) -> Mapping[str, str]:
    data = None if version.lineage is None else version.lineage.data
    return {} if data is None else data.sources
