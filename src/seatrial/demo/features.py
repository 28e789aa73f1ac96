"""The feature service of the team: the step between a raw flight record and what the model sees.

It has releases of its own, independent of any model version. ``minutes`` is the one the models were trained with; the
others are the mistakes that such services make. The current release is a name in a small JSON file,
``{"release": "minutes"}``; publishing another one replaces that file, and a running app follows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seatrial.demo.flights import CATEGORIES, FEATURES, NUMBERS, WEATHER

Record = dict[str, Any]


def minutes(record: Record) -> Record:
    """The right one: everything in the units of training."""
    return {name: record[name] for name in FEATURES}


def hours(record: Record) -> Record:
    """Scheduled times in hours, where the model was trained on minutes."""
    return minutes(record) | {name: record[name] / 60 for name in ("sched_dep_min", "sched_arr_min")}


def celsius(record: Record) -> Record:
    """Temperature and dew point in degrees Celsius, where the model was trained on Fahrenheit."""
    return minutes(record) | {name: _celsius(record[name]) for name in ("temp", "dewp")}


def no_weather(record: Record) -> Record:
    """The weather feed is gone: nulls."""
    return minutes(record) | dict.fromkeys(WEATHER)


RELEASES: dict[str, Callable[[Record], Record]] = {
    "minutes": minutes,
    "hours": hours,
    "celsius": celsius,
    "no-weather": no_weather,
}


class FeatureService:
    """Applies the release that its file names at the moment of the call.

    Raises ``ValueError`` while the file names no known release, and ``OSError`` while it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._release = ""

    @property
    def release(self) -> str:
        stat = self.path.stat()
        if (seen := (stat.st_ino, stat.st_mtime_ns)) != self._seen:
            self._release, self._seen = read_release(self.path), seen
        return self._release

    def apply(self, records: Iterable[Record]) -> list[Record]:
        step = RELEASES[self.release]
        return [step(record) for record in records]


def read_release(path: Path) -> str:
    """The release name in a release file."""
    content = json.loads(path.read_text())
    name = content.get("release") if isinstance(content, dict) else None
    if name not in RELEASES:
        raise ValueError(f"{path} names the release {name!r}; known are {', '.join(RELEASES)}")
    return str(name)


def publish(path: Path, release: str) -> None:
    """Make ``release`` the current one, by atomic replacement of the file."""
    if release not in RELEASES:
        raise ValueError(f"no release {release!r}; known are {', '.join(RELEASES)}")
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps({"release": release}) + "\n")
    new.replace(path)


def frame(records: list[Record]) -> pd.DataFrame:
    """The model's input: categories as text, numbers as float64, null as NaN."""
    columns: dict[str, Any] = {name: np.array([r[name] for r in records], dtype=object) for name in CATEGORIES}
    columns |= {name: np.array([r[name] for r in records], dtype=np.float64) for name in NUMBERS}
    return pd.DataFrame(columns, copy=False)


def _celsius(fahrenheit: float | None) -> float | None:
    return None if fahrenheit is None else (fahrenheit - 32) * 5 / 9
