"""What a training command hands in (``seatrial.training-result.v1``), and everything that may be wrong with it."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from seatrial.errors import SeatrialError
from seatrial.registry.lineage import CodeRef
from seatrial.registry.version import ColumnKind
from seatrial.values import to_camel

SCHEMA = "seatrial.training-result.v1"
MOST_BYTES = 4 << 20

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedOn:
    """The rows of training: digest, number, and the event time that they cover (end exclusive).

    ``sources``: where each feature comes from. ``target``: what is predicted; ``population``: whom the rows stand for.
    ``file``: the rows themselves, where the command leaves them in its directory; they are held against the locked test
    sets of the model.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    digest: str
    rows: int
    start: AwareDatetime
    end: AwareDatetime
    name: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    population: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A trained model: ``artifact`` is a path in the run's directory, ``features`` its columns in order, ``algorithm``
    how it learns, without its settings.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    schema: Literal["seatrial.training-result.v1"]
    artifact: str
    format: Literal["skops", "joblib", "onnx"]
    features: tuple[str, ...]
    framework: str
    code: CodeRef
    data: TrainedOn
    dtypes: tuple[ColumnKind, ...] = ()
    output: Literal["predict_proba", "predict"] = "predict_proba"
    trusted_types: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    importances: Mapping[str, float] = field(default_factory=dict)
    algorithm: str = ""
    message: str = ""


@cache
def _adapter() -> TypeAdapter[Result]:
    return TypeAdapter(Result)


def read_result(path: Path, *, since: datetime | None = None, until: datetime | None = None) -> tuple[Result, Path]:
    """The result and where its artifact lies. ``since``, ``until``: rows before, or from then on, were not to be
    trained on.

    Raises SeatrialError (ST1311 to ST1314, ST1317): none, not readable, an artifact that is not there, rows after the
    cut-off or before the window.
    """
    result = _parsed(path)
    for problem in _problems(result):
        raise SeatrialError("ST1312", f"the result is not one: {problem}.", remedy="See docs/retraining.md.")
    if until is not None and result.data.end > until:
        raise SeatrialError(
            "ST1314", f"it trained on rows up to {result.data.end.isoformat()}, after the cut-off {until.isoformat()}.",
            remedy="Train on rows before SEATRIAL_TRAIN_END: later ones are what the model is judged on.",
        )  # fmt: skip
    if since is not None and result.data.start < since:
        raise SeatrialError(
            "ST1317",
            f"it trained on rows from {result.data.start.isoformat()} on, before its window, {since.isoformat()}.",
            remedy="Train on rows from SEATRIAL_TRAIN_START on, or make the policy's training.window longer.",
        )
    return result, _inside(path.parent, result.artifact, "artifact")


def rows_of(result: Result, directory: Path) -> Path | None:
    """The table that a run of this directory says it trained on, if it left it there. Raises SeatrialError (ST1313)."""
    return _inside(directory, result.data.file, "data file") if result.data.file else None


def _parsed(path: Path) -> Result:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError:
        raise SeatrialError(
            "ST1311", "the command succeeded and left no result.", remedy="It writes one to $SEATRIAL_RESULT."
        ) from None
    if len(data) > MOST_BYTES:
        raise SeatrialError("ST1312", f"the result is larger than {MOST_BYTES >> 20} MiB.")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SeatrialError("ST1312", f"the result is not JSON: {error}.") from None
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        told = "; ".join(_explained(item["loc"], item["msg"], item["type"]) for item in error.errors()[:3])
        raise SeatrialError("ST1312", f"the result is not one: {told}.", remedy="See docs/retraining.md.") from None


def _problems(result: Result) -> list[str]:
    found = []
    if not result.features:
        found.append("features are the columns of the model in order, and there are none")
    if result.data.rows <= 0:
        found.append(f"data.rows is {result.data.rows}")
    if result.data.end <= result.data.start:
        found.append("data.end is not after data.start")
    for part in ("metrics", "importances"):
        numbers: Mapping[str, float] = getattr(result, part)
        found += [f"{part}.{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
    return found


def _inside(directory: Path, name: str, what: str) -> Path:
    """Inside the run's directory, whatever links say."""
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()) or path == directory.resolve():
        raise SeatrialError("ST1313", f"the {what} '{name}' is not in the run's directory.")
    if not path.exists():
        raise SeatrialError("ST1313", f"there is no {what} '{name}' in the run's directory.")
    return path


def _explained(place: tuple[int | str, ...], message: str, kind: str) -> str:
    where = ".".join(str(part) for part in place)
    if kind != "unexpected_keyword_argument":
        return f"{where}: {message}"
    owner = {"data": TrainedOn, "code": CodeRef}.get(str(place[0]), Result) if len(place) > 1 else Result
    near = difflib.get_close_matches(str(place[-1]), [to_camel(f.name) for f in fields(owner)], n=1, cutoff=0.5)
    return f"{where} is unknown" + (f", did you mean '{near[0]}'?" if near else "")
