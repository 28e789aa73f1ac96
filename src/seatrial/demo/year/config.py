"""What a year is: a YAML file, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.demo.features import RELEASES
from seatrial.errors import UsageError
from seatrial.values import Duration, to_camel

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The model that serves when the year begins."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    train: tuple[date, date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """In money: of a training, and of one answer of a shadow."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    run: float
    shadowed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Releases that show what the gates can tell: over each storm a model against itself, and with a fault.

    ``splits``: how often each, with other aircraft on the canary; ``before``: how long before its storm it begins.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    storms: Sequence[date]
    before: Duration
    fault: str
    splits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A second history: the first model was kept until ``begin``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    begin: date


@dataclass(frozen=True, slots=True, kw_only=True)
class YearConfig:
    """The whole year in UTC; ``end`` is exclusive."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    begin: date
    end: date
    first: First
    costs: Costs
    controls: Controls
    late: Late | None = None
    seed: int = 0


def read_config(path: Path) -> YearConfig:
    """Raises UsageError (ST0930, ST0931) for what is no year of the flights."""
    try:
        config = TypeAdapter(YearConfig).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError("ST0930", f"there is no year '{path}'.") from None
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise UsageError("ST0930", f"'{path}' is not a year of the demo: {error}") from None
    if wrong := _wrong(config):
        raise UsageError("ST0931", f"'{path}': {wrong}.", remedy="The flights are those of 2013, out of New York.")
    return config


def _wrong(config: YearConfig) -> str:
    start, end = config.first.train
    if not date(2013, 1, 1) <= start < end <= config.begin < config.end <= date(2014, 1, 1):
        return "2013 begins, the first model is trained, its window ends, the year begins and ends, in this order"
    if config.controls.fault not in RELEASES or config.controls.fault == "minutes":
        known = ", ".join(name for name in RELEASES if name != "minutes")
        return f"'{config.controls.fault}' is no fault of the feature service; there are {known}"
    outside = [day for day in config.controls.storms if not config.begin <= day < config.end]
    if config.late is not None and not config.begin <= config.late.begin < config.end:
        outside.append(config.late.begin)
    return f"{outside[0]} is not in the year" if outside else ""
