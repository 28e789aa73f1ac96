"""What changed between two versions, by name: code, data, model, recipe, serving and features, with both values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.recipe import Recipe
from seatrial.registry.version import ModelVersion, Serving

ChangedPart = Literal["code", "data", "model", "recipe", "serving", "features", "lineage"]

UNKNOWN: Final = "unknown"
SHORT: Final = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. ``what`` is its name in the part; ``before`` and ``after`` are for people."""

    part: ChangedPart
    what: str
    before: str
    after: str

    @property
    def text(self) -> str:
        """In one line.

        >>> Change("data", "rows", "1,000", "1,200").text
        'data rows: 1,000 → 1,200'
        """
        return f"{self.part} {self.what}: {self.before} → {self.after}"


def changes(before: ModelVersion, after: ModelVersion) -> tuple[Change, ...]:
    """Everything that differs, in a fixed order. A lineage that is not known is a change, never "no change"."""
    return (
        *_lineages(before.lineage, after.lineage),
        *_named("serving", _serving(before.serving), _serving(after.serving)),
        *_features(before, after),
    )


def _lineages(before: ArtifactLineage | None, after: ArtifactLineage | None) -> Iterator[Change]:
    if before is None or after is None:
        yield Change("lineage", "known", _known(before), _known(after))
        return
    parts: tuple[tuple[ChangedPart, Mapping[str, str], Mapping[str, str]], ...] = (
        ("code", _code(before.code), _code(after.code)),
        ("data", _data(before.data), _data(after.data)),
        ("model", _model(before.model), _model(after.model)),
        ("recipe", _recipe(before.recipe), _recipe(after.recipe)),
    )
    for part, old, new in parts:
        yield from _named(part, old, new)


def _named(part: ChangedPart, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for what in dict.fromkeys([*old, *new]):
        if old.get(what, "") != new.get(what, ""):
            yield Change(part, what, old.get(what) or UNKNOWN, new.get(what) or UNKNOWN)


def _known(lineage: ArtifactLineage | None) -> str:
    return UNKNOWN if lineage is None else "yes"


def _features(before: ModelVersion, after: ModelVersion) -> Iterator[Change]:
    """Of versions that say which features they take; an endpoint does not."""
    old, new = before.serving.features, after.serving.features
    if not old or not new:
        return
    removed, added = [name for name in old if name not in new], [name for name in new if name not in old]
    if added:
        yield Change("features", "added", "none", ", ".join(added))
    if removed:
        yield Change("features", "removed", ", ".join(removed), "none")
    if not added and not removed and old != new:
        yield Change("features", "order", ", ".join(old), ", ".join(new))


def _code(ref: CodeRef | None) -> Mapping[str, str]:
    if ref is None:
        return {}
    dirty = "yes" if ref.dirty else "no"
    return {"repository": ref.repository or "", "commit": ref.commit, "dirty": dirty, "changes": _short(ref.changes)}


def _data(ref: DataRef | None) -> Mapping[str, str]:
    if ref is None:
        return {}
    span = f"{_day(ref.start)} to {_day(ref.end)}" if ref.start or ref.end else ""
    return {
        "source": ref.name, "digest": _short(ref.digest), "rows": f"{ref.rows:,}", "time range": span,
        "target": ref.target, "population": ref.population, "type": ref.type or "", **ref.provenance,
    }  # fmt: skip


def _model(ref: ModelRef | None) -> Mapping[str, str]:
    if ref is None:
        return {}
    settings = {name: str(value) for name, value in sorted(ref.hyperparameters.items())}
    return {"digest": _short(ref.digest), "framework": ref.framework, "algorithm": ref.algorithm, **settings}


def _recipe(recipe: Recipe | None) -> Mapping[str, str]:
    """Where it reads and writes is no part of what it makes."""
    if recipe is None:
        return {}
    pinned = recipe.environment
    environment = "" if pinned is None else f"{pinned.file} {_short(pinned.digest)}"
    return {"command": " ".join(recipe.command), "environment": environment}


def _serving(serving: Serving) -> Mapping[str, str]:
    """How an artifact is asked; of a URL only its owner knows."""
    if serving.kind == "url":
        return {}
    return {"output": serving.output, "format": serving.format or "", "dtypes": ", ".join(serving.dtypes)}


def _short(digest: str | None) -> str:
    return (digest or "")[:SHORT]


def _day(moment: datetime | None) -> str:
    """The day, and the time where it is not its beginning."""
    if moment is None:
        return UNKNOWN
    told = moment.astimezone(UTC).isoformat().removesuffix("+00:00")
    return told.removesuffix("T00:00:00") if told.endswith("T00:00:00") else f"{told}Z"
