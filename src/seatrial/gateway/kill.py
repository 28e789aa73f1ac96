"""Kill latches: files that switch a rollout or a model off, also when store and controller are down.

The gateway's writer reads them first of all. The controller never deletes one; ``seatrial revive`` does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from seatrial.errors import IntegrityError, NotFound, UsageError
from seatrial.gateway.files import sync_directory, write_atomically
from seatrial.gateway.routes import OFF, ORDER, ModelRoute, RouteTable

KillMode = Literal["previous", "champion", "rules", "review", "banner", "off"]


@dataclass(frozen=True, slots=True)
class KillLatch:
    """Who switched off what, why and when.

    ``mode``: the level that the chain begins at from now on. ``champion``: no canary; ``previous``: not the champion
    either, where there is anybody else; ``rules``, ``review``, ``banner``: no version of the model; ``off``: 503.
    """

    model: str
    mode: KillMode
    actor: str
    reason: str
    time: datetime

    def __post_init__(self) -> None:
        if self.mode not in get_args(KillMode):
            modes = ", ".join(get_args(KillMode))
            raise UsageError(
                "ST0730", f"model {self.model!r}: {self.mode!r} is not a way to kill.", remedy=f"Use {modes}."
            )
        if self.time.tzinfo is None:
            raise UsageError("ST0731", f"kill of model {self.model!r}: the time has no zone.")


def write_latch(directory: Path, latch: KillLatch) -> Path:
    """Store a latch in ``run/kill/``; when this returns it survives a power cut. An older latch is replaced.

    On a full disk the reserve beside the directory is spent.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = _path(directory, latch.model)
    record = {**asdict(latch), "time": latch.time.astimezone(UTC).isoformat()}
    write_atomically(path, json.dumps(record, indent=1) + "\n", mode=0o600, reserve=directory.parent / "reserve")
    return path


def read_latches(directory: Path) -> tuple[KillLatch, ...]:
    """All latches, by model.

    Nothing unreadable is taken for a revival. A damaged latch switches its model off. A directory that cannot be listed
    is an ``IntegrityError``: who is killed is not known, so no routes are made; those in force stay.
    """
    try:
        with os.scandir(directory) as entries:
            paths = sorted(directory / entry.name for entry in entries if entry.name.endswith(".json"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise IntegrityError(
            "ST0734",
            f"the kill latches in {directory} cannot be read: {error.strerror}.",
            remedy="Make it a directory that this user can read. Until then the routes stay as they are.",
        ) from error
    return tuple(_read(path) for path in paths)


def remove_latch(directory: Path, model: str) -> KillLatch:
    """Revive a model; returns the latch that was there. ``NotFound`` if the model was not killed."""
    path = _path(directory, model)
    if not path.exists():
        raise NotFound("ST0733", f"model {model!r} is not killed.", remedy="`seatrial model list` shows who is.")
    latch = _read(path)
    os.unlink(path)
    sync_directory(directory)
    return latch


def apply_latches(table: RouteTable, latches: Iterable[KillLatch]) -> RouteTable:
    """The table with every killed model made safe. Its requests belong to no rollout: the planned split is not run."""
    modes = {latch.model: latch.mode for latch in latches}
    return replace(table, models=tuple(_safe(route, modes.get(route.model)) for route in table.models))


def latched(table: RouteTable, latches: Iterable[KillLatch]) -> RouteTable:
    """The same, as a table of its own to put in force: under the next generation if the latches change anything."""
    killed = apply_latches(table, latches)
    return replace(killed, generation=table.generation + (killed.models != table.models))


def _safe(route: ModelRoute, mode: KillMode | None) -> ModelRoute:
    if mode is None:
        return route
    calm = replace(route, canary_weight=0, mirrored=0, mirrored_by=(), standing=(), rollout=None, phase=None, held=0)
    chain = (route.champion, *route.fallbacks)
    left = [] if mode == OFF else [backend for backend in chain if ORDER.get(backend.level, 0) >= ORDER[mode]]
    if not left and mode == "previous":  # the champion is all there is
        return calm
    if not left:
        return replace(calm, killed=OFF)
    lowered = route.lowered if left[0] is route.champion else "killed"
    return replace(calm, champion=left[0], fallbacks=tuple(left[1:]), lowered=lowered)


def _path(directory: Path, model: str) -> Path:
    if not model or "/" in model or model.startswith("."):
        raise UsageError("ST0732", f"{model!r} is not the name of a model.")
    return directory / f"{model}.json"


def _read(path: Path) -> KillLatch:
    try:
        record = json.loads(path.read_text())
        latch = KillLatch(**{**record, "time": datetime.fromisoformat(record["time"])})
    except (OSError, KeyError, TypeError, ValueError, UsageError) as error:
        return _damaged(path, str(error))
    return latch if latch.model == path.stem else _damaged(path, f"it speaks of {latch.model!r}")


def _damaged(path: Path, why: str) -> KillLatch:
    """Somebody killed this model; how, nobody knows any more. Nobody answers until it is revived or killed again."""
    try:
        changed = path.stat().st_mtime
    except OSError:
        changed = 0.0
    return KillLatch(path.stem, "off", "seatrial", f"{path} is damaged: {why}", datetime.fromtimestamp(changed, UTC))
