"""What differs between two versions as a rule reads it, and what nobody knows about either."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from seatrial.registry.diff import Change, changes
from seatrial.registry.flags import Flag, flags, importances, sources
from seatrial.registry.version import ModelVersion

Side = Literal["before", "after"]
LineageField = Literal[
    "code", "data", "timeRange", "features", "sources", "importances", "target", "population", "model", "algorithm",
    "hyperParameters", "metrics",
]  # fmt: skip

FIELDS: Final[tuple[LineageField, ...]] = get_args(LineageField)
"""Everything that has to be known of both versions before somebody may say that a change is small."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A field of one side that is not known, or not of all ``features``."""

    field: LineageField
    side: Side
    features: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """
        >>> Unknown("sources", "after", ("income", "age")).text
        'sources of income, age: not known after'
        """
        of = f" of {', '.join(self.features)}" if self.features else ""
        return f"{self.field}{of}: not known {self.side}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A hyper-parameter or a metric on both sides; None is not known there."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Delta:
    """All that a triage looks at: equal deltas get equal verdicts.

    ``changes`` are those by name, without features and hyper-parameters; ``added`` and ``removed`` are features that
    only one side takes, weighs or names a source of; ``flags`` hold every change of a source and of an importance,
    however small; ``settings`` are the hyper-parameters that differ, ``metrics`` all that either side has.
    """

    changes: tuple[Change, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    settings: tuple[Pair, ...] = ()
    metrics: tuple[Pair, ...] = ()
    unknown: tuple[Unknown, ...] = ()


def delta(before: ModelVersion, after: ModelVersion) -> Delta:
    """The difference of two versions, in a fixed order. Numbers, stages, people and times play no part in it."""
    old, new = _settings(before), _settings(after)
    flagged = flags(before, after, threshold="0")
    named = changes(_without_settings(before), _without_settings(after))
    return Delta(
        tuple(change for change in named if change.part != "features" or change.what == "order"),
        _only_in(after, before, [flag.feature for flag in flagged if flag.kind == "added"]),
        _only_in(before, after, [flag.feature for flag in flagged if flag.kind == "removed"]),
        tuple(flag for flag in flagged if flag.kind in ("importance", "source")),
        tuple(pair for pair in _pairs(old, new) if not same(pair.before, pair.after)),
        tuple(_pairs(_metrics(before), _metrics(after))),
        (*_unknown(before, "before"), *_unknown(after, "after")),
    )


def same(before: Any, after: Any) -> bool:
    """Whether two values of a hyper-parameter are one; True is not 1.

    >>> same(1, 1.0), same(1, True)
    (True, False)
    """
    return isinstance(before, bool) is isinstance(after, bool) and bool(before == after)


def _only_in(here: ModelVersion, there: ModelVersion, flagged: list[str]) -> tuple[str, ...]:
    return tuple(sorted({*flagged, *here.serving.features} - {*there.serving.features}))


def _unknown(version: ModelVersion, side: Side) -> Iterator[Unknown]:
    absent = _absent(version)
    yield from (Unknown(field, side) for field in FIELDS if field in absent)
    features = version.serving.features
    for field, known in (("sources", sources(version)), ("importances", importances(version))):
        missing = tuple(name for name in features if not known.get(name) and known.get(name) != 0)
        if field not in absent and missing:
            yield Unknown(_named(field), side, missing)


def _named(field: str) -> LineageField:
    return next(known for known in FIELDS if known == field)


def _absent(version: ModelVersion) -> set[LineageField]:
    """The fields of which nothing is known. An uncommitted change is known by its digest only."""
    lineage = version.lineage
    code, data, model = (None, None, None) if lineage is None else (lineage.code, lineage.data, lineage.model)
    known: dict[LineageField, object] = {
        "code": code is not None and bool(code.commit) and (not code.dirty or code.changes is not None),
        "data": data,
        "timeRange": data is not None and data.start is not None and data.end is not None,
        "features": version.serving.features,
        "sources": data is not None and data.sources,
        "importances": model is not None and model.importances,
        "target": data is not None and data.target.strip(),
        "population": data is not None and data.population.strip(),
        "model": model,
        "algorithm": model is not None and model.algorithm.strip(),
        "hyperParameters": model is not None and model.hyperparameters,
        "metrics": _metrics(version),
    }
    return {field for field, value in known.items() if not value}


def _metrics(version: ModelVersion) -> Mapping[str, float]:
    """Those that are numbers."""
    model = None if version.lineage is None else version.lineage.model
    return {} if model is None else {name: value for name, value in model.metrics.items() if math.isfinite(value)}


def _settings(version: ModelVersion) -> Mapping[str, Any]:
    model = None if version.lineage is None else version.lineage.model
    return {} if model is None else model.hyperparameters


def _without_settings(version: ModelVersion) -> ModelVersion:
    lineage = version.lineage
    if lineage is None or lineage.model is None:
        return version
    return replace(version, lineage=replace(lineage, model=replace(lineage.model, hyperparameters={})))


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Pair]:
    for name in sorted({*before, *after}):
        yield Pair(name, before.get(name), after.get(name))
