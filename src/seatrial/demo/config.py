"""What a demo run releases: a YAML file, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.demo.features import RELEASES
from seatrial.errors import UsageError
from seatrial.values import to_camel

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}
Window = tuple[date, date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """A later release of the feature service, published when the given day on the canary begins (1 is the first)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    features: str
    canary_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """What serves before seatrial comes: the team's own app, trained on this window."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    train: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One candidate. ``artifact`` is hosted by seatrial from its registry; ``app`` is the team's own server."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    train: Window
    serve: Literal["artifact", "app"] = "app"
    features: str = "minutes"
    then: Then | None = None
    salt: str | None = None

    def uses(self) -> set[str]:
        return {self.features} | ({self.then.features} if self.then else set())


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """The whole run, in replayed time (UTC)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    begin: date
    end: date
    champion: Champion
    releases: tuple[Release, ...]


def read_config(path: Path) -> DemoConfig:
    """Raises UsageError for anything that the demo cannot do."""
    try:
        config = TypeAdapter(DemoConfig).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise UsageError("ST0901", f"'{path}' is not a demo configuration: {error}") from None
    for release in config.releases:
        for name in sorted(release.uses() - set(RELEASES)):
            known = ", ".join(RELEASES)
            raise UsageError("ST0902", f"release '{release.name}': no feature release '{name}'; known are {known}.")
        if release.serve == "artifact" and release.uses() != {"minutes"}:
            raise UsageError(
                "ST0903", f"release '{release.name}': an artifact has no feature service of its own.",
                remedy="Use 'serve: app' for another release of the features.",
            )  # fmt: skip
    return config
