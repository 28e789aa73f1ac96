"""Where a version came from: the code, the data and the model, each by content."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from seatrial.errors import UsageError
from seatrial.ids import Digest
from seatrial.registry.provenance import InputType, check_provenance
from seatrial.registry.recipe import Recipe

Part = Literal["code", "data", "model"]
PARTS: Final[tuple[Part, ...]] = ("code", "data", "model")

_WANTED: Final[Mapping[Part, str]] = {
    "code": "code (the commit, and whether the tree was dirty)",
    "data": "data (the digest, rows and time range of the training snapshot)",
    "model": "model (the digest of the artifact)",
}


@dataclass(frozen=True, slots=True)
class CodeRef:
    """The commit a version was trained from. ``changes`` is the digest of what was not committed, if that is known."""

    commit: str
    dirty: bool
    repository: str | None = None
    changes: Digest | None = None


@dataclass(frozen=True, slots=True)
class DataRef:
    """The training snapshot: content digest, number of rows, and the event time it covers (end exclusive).

    ``sources``: where each feature comes from, by name (``credit_bureau_v2``). ``target``: what is predicted, as it is
    defined (``default within 12 months``). ``population``: whom the rows stand for (``personal loans, EU``).
    ``type``: what kind of input it is; ``provenance``: what must be told of that kind (registry.provenance).
    """

    digest: Digest
    rows: int
    start: datetime | None = None
    end: datetime | None = None
    name: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    population: str = ""
    type: InputType | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_provenance(self.type, self.provenance)
        for time in (self.start, self.end):
            if time is not None and time.tzinfo is None:
                raise UsageError(
                    "ST0101", f"data {self.name or self.digest}: {time} has no time zone.", remedy="Give times in UTC."
                )


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The trained artifact (the whole pipeline) by digest, with how it was set up and how it scored in training.

    ``importances``: how much each feature weighs, in the measure of whoever trained it. Finite. ``algorithm``: how it
    learns, without its settings (``gradient-boosted trees``).
    """

    digest: Digest
    framework: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    importances: Mapping[str, float] = field(default_factory=dict)
    algorithm: str = ""

    def __post_init__(self) -> None:
        for name, value in self.importances.items():
            if not math.isfinite(value):
                raise UsageError(
                    "ST0104", f"model: the importance of '{name}' is {value}.", remedy="Leave out what is not known."
                )


@dataclass(frozen=True, slots=True)
class ArtifactLineage:
    """The three things that make a version. A part that is ``None`` is not known.

    ``recipe``: how they are put together, so that somebody else can do it again.
    """

    code: CodeRef | None = None
    data: DataRef | None = None
    model: ModelRef | None = None
    recipe: Recipe | None = None


def missing(lineage: ArtifactLineage | None) -> tuple[Part, ...]:
    """The parts that are not known.

    >>> missing(ArtifactLineage(code=CodeRef("1f0c2aa", dirty=False)))
    ('data', 'model')
    """
    return tuple(part for part in PARTS if lineage is None or getattr(lineage, part) is None)


def require_complete(lineage: ArtifactLineage | None, *, model: str) -> ArtifactLineage:
    """The lineage, or an error that names every missing part."""
    absent = missing(lineage)
    if lineage is None or absent:
        raise UsageError(
            "ST0102",
            f"model {model!r}: the version has no {' and no '.join(_WANTED[part] for part in absent)}.",
            remedy="A version is registered with all three; an endpoint of unknown origin can be adopted instead.",
        )
    return lineage


def diff(a: ArtifactLineage, b: ArtifactLineage) -> tuple[Part, ...]:
    """Which of code, data and model differ, by content: names, locations, metrics and row counts do not count.

    Two dirty trees on one commit are told apart only by ``CodeRef.changes``.

    >>> data, model = DataRef(Digest("sha256:d"), 10), ModelRef(Digest("sha256:m"), "sklearn")
    >>> old = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), data, model)
    >>> diff(old, ArtifactLineage(CodeRef("77ab310", dirty=False), data, model))
    ('code',)
    """
    return tuple(part for part in PARTS if _content(getattr(a, part)) != _content(getattr(b, part)))


def _content(ref: CodeRef | DataRef | ModelRef | None) -> object:
    match ref:
        case None:
            return None
        case CodeRef():
            return ref.commit, ref.dirty, ref.changes
        case DataRef() | ModelRef():
            return ref.digest
