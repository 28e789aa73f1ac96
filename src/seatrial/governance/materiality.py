"""Is a change of a model material? A pure function of what differs; whatever is not known is.

The baseline is the last version that was approved as a whole, so that many small changes add up to a material one.
SR 26-2 and its predecessor SR 11-7 (section V) ask for a review of material changes; the rule that fired is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from seatrial.governance.change_delta import Delta, Pair
from seatrial.governance.change_rules import Class, Rules
from seatrial.registry.diff import Change
from seatrial.registry.flags import Flag, beyond, exact
from seatrial.values import Margin

Rule = Literal["first", "unknown", "change", "feature", "source", "importance", "hyperParameter", "metric"]

_VERSION: Final = re.compile(r"[\s=@_-]*v?\d[\w.+-]*$")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a change is material: the rule, what it is about, and a sentence for people."""

    rule: Rule
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Triage:
    """The verdict. ``reasons`` make it material; ``notes`` are what differs beside them."""

    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]

    @property
    def material(self) -> bool:
        return bool(self.reasons)

    @property
    def kind(self) -> Class:
        return "material" if self.material else "nonMaterial"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a change needs before users get it: so many people's ``approvals``, one of each function in ``roles`` among
    them, given ``within`` this time. No approvals: it needs none.

    ``full``: whoever approves it has reviewed the model as a whole, so that later changes are held against it.
    """

    kind: Class
    full: bool
    approvals: int
    roles: tuple[str, ...]
    within: timedelta
    depth: str
    reasons: tuple[Reason, ...]


def triage(found: Delta | None, rules: Rules) -> Triage:
    """Material or not, by declared rules. None: there is no approved version to compare with, which is material."""
    if found is None:
        text = "no version of this model was approved as a whole: there is nothing to compare with"
        return Triage((Reason("first", "model", text),), ())
    reasons = (
        *_unknown(found, rules), *_changes(found, rules), *_features(found), *_flags(found, rules),
        *_settings(found, rules), *_metrics(found, rules),
    )  # fmt: skip
    return Triage(reasons, tuple(_notes(found, rules)))


def required(change: Triage, rules: Rules, tier: int, *, declared: bool = False) -> Requirement:
    """The review that a change of a model of this tier needs.

    ``declared``: it lies within an envelope that was reviewed before, with its criteria met, which is the short path.
    """
    full = change.material and not declared
    review = rules.reviews[tier].material if full else rules.reviews[tier].non_material
    return Requirement(
        change.kind, full, review.approvals, review.roles, review.within.delta, review.depth, change.reasons
    )


def _unknown(found: Delta, rules: Rules) -> Iterator[Reason]:
    for gap in found.unknown:
        if gap.field in rules.must_know:
            yield Reason("unknown", gap.field, f"{gap.text}, so nobody can say that it is the same")


def _changes(found: Delta, rules: Rules) -> Iterator[Reason]:
    for change in found.changes:
        if name_of(change) not in rules.minor:
            yield Reason("change", name_of(change), change.text)


def _features(found: Delta) -> Iterator[Reason]:
    yield from (Reason("feature", name, f"feature {name} was added") for name in found.added)
    yield from (Reason("feature", name, f"feature {name} was removed") for name in found.removed)


def _flags(found: Delta, rules: Rules) -> Iterator[Reason]:
    for flag in found.flags:
        if flag.kind == "source":
            yield Reason("source", flag.feature, f"source of {flag.feature}: {_values(flag)}")
        elif _weighs(flag, rules):
            yield Reason("importance", flag.feature, f"importance of {flag.feature}: {_values(flag)}")


def _weighs(flag: Flag, rules: Rules) -> bool:
    return beyond(_number(flag.old), _number(flag.new), exact(rules.importance))


def _settings(found: Delta, rules: Rules) -> Iterator[Reason]:
    for pair in found.settings:
        bounds = rules.hyper_parameters.get(pair.name)
        if bounds is None or not bounds.holds(pair.after):
            why = "no bounds are declared" if bounds is None else f"declared: {bounds.text}"
            yield Reason("hyperParameter", pair.name, f"hyper-parameter {_pair(pair)} ({why})")


def _metrics(found: Delta, rules: Rules) -> Iterator[Reason]:
    for pair in found.metrics:
        band = rules.metrics.get(pair.name, rules.metric_band)
        if _outside(pair, band):
            yield Reason("metric", pair.name, f"metric {_pair(pair)} is beyond its band of {band}")


def _outside(pair: Pair, band: Margin) -> bool:
    if band.scale == "relative" or pair.before is None or pair.after is None:
        return beyond(pair.before, pair.after, exact(band.value))
    return abs(exact(pair.after) - exact(pair.before)) > exact(band.value)


def _notes(found: Delta, rules: Rules) -> Iterator[str]:
    yield from (change.text for change in found.changes if name_of(change) in rules.minor)
    for flag in found.flags:
        if flag.kind == "importance" and not _weighs(flag, rules):
            yield f"importance of {flag.feature}: {_values(flag)}"
    for pair in found.settings:
        bounds = rules.hyper_parameters.get(pair.name)
        if bounds is not None and bounds.holds(pair.after):
            yield f"hyper-parameter {_pair(pair)} (declared: {bounds.text})"
    for pair in found.metrics:
        if pair.before != pair.after and not _outside(pair, rules.metrics.get(pair.name, rules.metric_band)):
            yield f"metric {_pair(pair)}"


def name_of(change: Change) -> str:
    """As ``minor`` names it; a framework of which only the version differs is another thing than another framework.

    >>> name_of(Change("model", "framework", "scikit-learn 1.6", "scikit-learn 1.7"))
    'model framework version'
    >>> name_of(Change("model", "framework", "scikit-learn 1.7", "xgboost 2.1"))
    'model framework'
    """
    name = f"{change.part} {change.what}"
    if name == "model framework" and _VERSION.sub("", change.before) == _VERSION.sub("", change.after) != "":
        return f"{name} version"
    return name


def _number(value: float | str | None) -> float | None:
    return None if isinstance(value, str) else value


def _values(flag: Flag) -> str:
    relative = "" if flag.relative is None else f" ({flag.relative:+.1%})"
    return f"{_told(flag.old)} → {_told(flag.new)}{relative}"


def _pair(pair: Pair) -> str:
    return f"{pair.name}: {_told(pair.before)} → {_told(pair.after)}"


def _told(value: object) -> str:
    return "unknown" if value is None else str(value)
