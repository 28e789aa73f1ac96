"""The steps of a project's CI (``ci.yaml``), and which of them an event asks for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.errors import NotFound, UsageError
from seatrial.retrain.cron import Cron
from seatrial.values import Duration, Share, to_camel

PIPELINE_FILE = "ci.yaml"
Group = Literal["code", "data", "model"]
Event = Literal["commit", "nightly", "release"]
Metric = Literal[
    "auc", "accuracy", "sensitivity", "specificity", "log_loss", "brier", "squared_error", "absolute_error"
]  # fmt: skip
Kind = Literal["number", "text", "boolean", "time"]

METRICS: tuple[Metric, ...] = get_args(Metric)
GROUPS: tuple[Group, ...] = get_args(Group)
EVENTS: tuple[Event, ...] = get_args(Event)

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column must be. ``nulls``: at most this share; bounds are inclusive."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    type: Kind | None = None
    nulls: Share = Share(0)
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()
    unique: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCheck:
    """What a table must be: its columns, and at least ``rows`` rows. ``closed``: no other column."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    file: str
    columns: dict[str, Column]
    rows: int = 1
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """How good the candidate must be on labelled rows that it was not trained on, and against the champion.

    ``required``: the least good value of the metric. ``margin``: the loss against the champion, in units of the metric,
    that must be excluded at 95%. Each holds in every slice of at least ``min_rows`` rows, a slice being a value of one
    of the columns ``slices``; a smaller one has not passed. ``threshold``: of the decision, for accuracy, sensitivity
    (its rows are those with the label) and specificity (those without).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    file: str
    label: str
    metric: Metric
    required: float
    margin: float | None = None
    threshold: float = 0.5
    slices: tuple[str, ...] = ()
    min_rows: int = 200
    small_slices: Literal["fail", "report"] = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCheck:
    """The candidate's real server answers recorded inputs as it did where they were recorded.

    ``tolerance``: of a score, absolute. ``threshold``: of the decision; at most ``flips`` decisions may change.
    ``precision``: the same once more with inputs and parameters rounded so, on any machine.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    file: str
    tolerance: float = 1e-5
    threshold: float | None = None
    flips: int = 0
    precision: tuple[Literal["float32", "bfloat16"], ...] = ()
    reduced_tolerance: float = 0.02
    reduced_flips: Share = Share(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class CIStep:
    """One step: a command, or a check that seatrial does itself.

    ``events`` ask for it; ``paths``: files whose change asks for it at any event. ``schedule``: cron in UTC,
    for pipelines that are exported. ``blocking``: no release without it green, for this very model, within ``max_age``.
    ``cost_per_hour``: in the currency of the pipeline's budget.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    group: Group
    events: tuple[Event, ...] = ("commit",)
    run: str | None = None
    data: DataCheck | None = None
    validate: ModelCheck | None = None
    golden: GoldenCheck | None = None
    gpu: bool = False
    schedule: str | None = None
    timeout: Duration = Duration(600.0, "10m")
    max_age: Duration | None = None
    blocking: bool = True
    paths: tuple[str, ...] = ()
    cost_per_hour: float = 0.0

    def touched(self, changed: Sequence[str]) -> str | None:
        """The pattern that a changed file matches, if any; ``**`` is any depth."""
        return next((glob for glob in self.paths if any(fnmatchcase(path, glob) for path in changed)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """``ci.yaml``. ``gpu_budget``: what steps with ``gpu`` may cost in a calendar month; not asked without."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    steps: tuple[CIStep, ...]
    gpu_budget: float | None = None

    @property
    def blocking(self) -> tuple[CIStep, ...]:
        return tuple(step for step in self.steps if step.blocking)


@dataclass(frozen=True, slots=True)
class Planned:
    """A step, whether an event asks for it, and why."""

    step: CIStep
    included: bool
    reason: str


def planned(pipeline: Pipeline, event: Event, changed: Sequence[str] = ()) -> tuple[Planned, ...]:
    """Every step in order, with the reason that it is in or out."""
    return tuple(_planned(step, event, changed) for step in pipeline.steps)


def _planned(step: CIStep, event: Event, changed: Sequence[str]) -> Planned:
    if event in step.events:
        return Planned(step, True, f"runs on {event}")
    if (glob := step.touched(changed)) is not None:
        return Planned(step, True, f"{glob} changed")
    return Planned(step, False, f"runs on {', '.join(step.events) or 'no event'}, not on {event}")


# ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _adapter() -> TypeAdapter[Pipeline]:
    return TypeAdapter(Pipeline)


def read_pipeline(path: Path) -> Pipeline:
    """The pipeline in a YAML file. Raises NotFound, and UsageError that names the field."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound("ST1200", f"there is no '{path}'.", remedy="`seatrial ci init` writes one.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError("ST1201", f"'{path}' is not YAML: {error}.") from None
    return pipeline_of(document, source=str(path))


def pipeline_of(document: object, *, source: str = PIPELINE_FILE) -> Pipeline:
    """A pipeline from what YAML holds. Unknown fields are refused with the nearest name that exists."""
    try:
        pipeline = _adapter().validate_python(document)
    except ValidationError as error:
        told = "; ".join(_explained(item["loc"], item["msg"], item["type"]) for item in error.errors()[:3])
        raise UsageError("ST1202", f"'{source}': {told}.", remedy="`seatrial ci schema` names every field.") from None
    for problem in _problems(pipeline):
        raise UsageError("ST1203", f"'{source}': {problem}")
    return pipeline


def pipeline_schema() -> dict[str, Any]:
    """JSON Schema of ``ci.yaml``."""
    return _adapter().json_schema(by_alias=True)


def _problems(pipeline: Pipeline) -> Iterator[str]:
    names = [step.name for step in pipeline.steps]
    if not names:
        yield "there is no step: nothing that passed is not the same as nothing that was asked."
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two steps are named '{name}'."
    for step in pipeline.steps:
        kinds = [kind for kind in ("run", "data", "validate", "golden") if getattr(step, kind) is not None]
        if len(kinds) != 1:
            has = " and ".join(kinds) or "nothing to do"
            yield f"step '{step.name}' has {has}: give one of run, data, validate, golden."
        if not step.name or not all(c.isalnum() or c in "-_." for c in step.name):
            yield f"step '{step.name}': a name is letters, digits, '-', '_' and '.'; it becomes the name of a file."
        if step.timeout.seconds <= 0:
            yield f"step '{step.name}': the timeout {step.timeout} leaves no time."
        if not step.events and not step.paths:
            yield f"step '{step.name}' runs on no event and on no path."
        if step.schedule is not None and (why := _no_cron(step.schedule)):
            yield f"step '{step.name}': the schedule is no cron: {why}, e.g. '0 2 * * *'."
        if step.schedule is not None and "nightly" not in step.events:
            yield f"step '{step.name}' has a schedule and does not run on nightly."
        if step.golden is not None and step.golden.precision and step.golden.threshold is None:
            yield f"step '{step.name}': reduced precision is judged by flips; give the threshold of the decision."


def _no_cron(text: str) -> str:
    try:
        Cron.parse(text)
    except ValueError as error:
        return str(error)
    return ""


def _explained(place: tuple[Any, ...], message: str, kind: str) -> str:
    where = ".".join(str(part) for part in place)
    if kind != "unexpected_keyword_argument":
        return f"{where}: {message}"
    owners = {"data": DataCheck, "validate": ModelCheck, "golden": GoldenCheck, "columns": Column, "steps": CIStep}
    inside = next((owners[str(part)] for part in reversed(place[:-1]) if str(part) in owners), Pipeline)
    known = [to_camel(field.name) for field in fields(inside)]
    near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
    return f"{where} is unknown, " + (f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}")
