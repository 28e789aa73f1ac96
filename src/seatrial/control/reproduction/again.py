"""Code, data, environment, command, model, metrics: compared in this order, up to the first difference."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from seatrial.control.reproduction.command import run_again
from seatrial.control.reproduction.environment import pins, unlike
from seatrial.control.reproduction.worktree import checked_out
from seatrial.errors import NotFound, UsageError
from seatrial.ids import Digest
from seatrial.registry.lineage import CodeRef, DataRef, ModelRef
from seatrial.registry.recipe import Check, Environment, Recipe, compare_metrics
from seatrial.registry.version import ModelVersion
from seatrial.store.artifacts import ArtifactStore

_STORED_AS: Final = ("model.skops", "model.joblib", "model.onnx")
"""What a single file is called in the artifact store, unless its own name ends as its format does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """With what a version is made again. ``data``: a copy of the snapshot; looked for where it may be, if not given."""

    repository: Path
    artifacts: ArtifactStore
    scratch: Path
    data: Path | None = None
    python: Path = field(default_factory=lambda: Path(sys.executable))
    timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Reproduction:
    """``by``: the same bytes (*hash*), or metrics inside the stated tolerance; None if it was not reproduced."""

    model: str
    version: int
    checks: tuple[Check, ...]
    by: Literal["hash", "metrics"] | None

    @property
    def difference(self) -> Check | None:
        """The first thing that differs; None if the version was reproduced."""
        return None if self.by else self.checks[-1]

    def document(self) -> dict[str, Any]:
        """``seatrial.reproduction.v1``"""

        def told(check: Check) -> dict[str, Any]:
            return {"what": check.what, "expected": check.expected, "found": check.found, "same": check.same}

        return {
            "schema": "seatrial.reproduction.v1",
            "model": self.model,
            "version": self.version,
            "reproduced": self.by is not None,
            "by": self.by,
            "difference": None if self.difference is None else told(self.difference),
            "checks": [told(check) for check in self.checks],
        }


def reproduce(version: ModelVersion, means: Means) -> Reproduction:
    """Make a version again, and compare.

    Raises UsageError (``ST1584``) for a version whose lineage does not say how, NotFound (``ST1585``, ``ST1587``)
    where its code or its data cannot be found here.
    """
    lineage = version.lineage
    if lineage is None or lineage.code is None or lineage.data is None or lineage.model is None:
        raise _no_recipe(version)
    if lineage.recipe is None:
        raise _no_recipe(version)
    checks: list[Check] = []
    with closing(_compared(lineage.code, lineage.data, lineage.model, lineage.recipe, means)) as steps:
        for check in steps:
            checks.append(check)
            if check.same is False:
                break
    last = checks[-1]
    by: Literal["hash", "metrics"] = "hash" if last.what == "model" else "metrics"
    return Reproduction(version.model, version.number, tuple(checks), by if last.same else None)


def _compared(code: CodeRef, data: DataRef, model: ModelRef, recipe: Recipe, means: Means) -> Generator[Check]:
    """Each step is taken only if the one before it found no difference."""
    if code.dirty:
        yield Check("code", f"{code.commit}, all of it committed", "changes that were not committed", False)
        return
    with checked_out(means.repository, code.commit, means.scratch / "tree") as tree:
        yield Check("code", code.commit, code.commit, True)
        yield _data(data, recipe, tree, means)
        if recipe.environment is not None:
            yield _environment(recipe.environment, tree, means)
        for made in (recipe.model, recipe.metrics):
            _clear(tree, made)
        yield _command(recipe, tree, means)
        same = _model(model.digest, tree / recipe.model, means)
        yield same
        if not same.same:
            yield compare_metrics(model.metrics, _measured(tree, recipe), recipe.tolerance)


def _data(data: DataRef, recipe: Recipe, tree: Path, means: Means) -> Check:
    """The snapshot at its place in the tree, and whether it is the one that was registered, by what lies there."""
    source = _snapshot(data, recipe, tree, means)
    place = tree / recipe.data
    if source != place:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # a link that was committed would lead out of the tree
        shutil.copyfile(source, place)
    found = _digest(place)
    return Check("data", data.digest, found, found == data.digest)


def _snapshot(data: DataRef, recipe: Recipe, tree: Path, means: Means) -> Path:
    """The file that was given; else the first that has the digest, among those where it may lie."""
    if means.data is not None:
        if not means.data.is_file():
            raise NotFound("ST1587", f"there is no data file '{means.data}'.", remedy="Correct --data.")
        return means.data
    places = [tree / recipe.data, means.repository / recipe.data]
    with suppress(NotFound):
        places.insert(0, means.artifacts.path(data.digest))
    there = [place for place in places if place.is_file()]
    if not there:
        raise NotFound(
            "ST1587", f"the data {data.name or data.digest} is neither among the artifacts nor at '{recipe.data}'.",
            remedy="--data FILE",
        )  # fmt: skip
    return next((place for place in there if _digest(place) == data.digest), there[0])


def _environment(environment: Environment, tree: Path, means: Means) -> Check:
    file = tree / environment.file
    found = _digest(file) if file.is_file() else "there is none"
    if found != environment.digest:
        return Check("environment", f"{environment.file} {environment.digest}", f"{environment.file} {found}", False)
    pinned = pins(file.read_text(encoding="utf-8", errors="replace"))
    if (other := unlike(pinned, means.python)) is not None:
        return Check("environment", *other, same=False)
    return Check("environment", environment.digest, f"{environment.digest}, {len(pinned)} pinned packages", True)


def _command(recipe: Recipe, tree: Path, means: Means) -> Check:
    log = means.scratch / "training.log"
    wrong = run_again(recipe.command, tree, python=means.python, log=log, timeout_s=means.timeout_s)
    if not wrong and not (tree / recipe.model).exists():
        wrong = f"'{recipe.model}' was not written"
    return Check("command", "exit 0", wrong or "exit 0", not wrong)


def _model(expected: Digest, path: Path, means: Means) -> Check:
    """The same bytes, or not known: metrics may still be the same."""
    found = _digests(path, means)
    return Check("model", expected, expected if expected in found else found[0], True if expected in found else None)


def _digests(path: Path, means: Means) -> list[str]:
    """Of a file: its own, and what it has in the artifact store under each name that it may have there."""
    if path.is_dir():
        return [ArtifactStore(means.scratch / "made").put_tree(path)]
    own = _digest(path)
    listings = (f"{own.removeprefix('sha256:')}  {name}\n" for name in (path.name, *_STORED_AS))
    return [own, *(f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}" for listing in listings)]


def _measured(tree: Path, recipe: Recipe) -> dict[str, float]:
    """What the command wrote as metrics; what is no number is not measured."""
    try:
        written = json.loads((tree / recipe.metrics).read_bytes()) if recipe.metrics else {}
    except (OSError, ValueError):
        return {}
    numbers = written.items() if isinstance(written, dict) else ()
    return {name: float(value) for name, value in numbers if isinstance(value, int | float)}


def _clear(tree: Path, made: str) -> None:
    """What was committed is not what is made now."""
    if made and (tree / made).is_dir():
        shutil.rmtree(tree / made)
    elif made:
        (tree / made).unlink(missing_ok=True)


def _digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")


def _no_recipe(version: ModelVersion) -> UsageError:
    return UsageError(
        "ST1584", f"{version.name}: its lineage does not say how it was made.",
        remedy="Register versions with 'recipe' in the lineage file: command, data, model (docs/lineage.md).",
    )  # fmt: skip
