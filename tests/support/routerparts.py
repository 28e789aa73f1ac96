"""A project directory with a route table in it, and nothing that runs: all that a router needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from capturelines import read
from seatrial.gateway.kill import KillLatch, write_latch
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable
from seatrial.gateway.tables import TableFiles
from seatrial.router import Router


def backend(version: str, level: str = "primary") -> Backend:
    return Backend(version, Endpoint("127.0.0.1", 9), level)


ROUTE = ModelRoute(
    model="fraud",
    salt="r-1",
    unit_header="x-unit-id",
    champion=backend("1"),
    canary=backend("2"),
    shadow=backend("2", "shadow"),
    canary_weight=1000,
    mirrored=2000,
    rollout="r-1",
    phase=3,
    fallbacks=(backend("0", "previous"),),
)


class Directory:
    """A project's ``.seatrial`` as the gateway's writer leaves it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / ".seatrial"
        self.gateway, self.latches = self.state / "gateway", self.state / "run" / "kill"
        (self.gateway / "run").mkdir(parents=True)
        self.latches.mkdir(parents=True)
        self.files = TableFiles(self.gateway / "run")
        self.generation = 0

    @property
    def table(self) -> Path:
        return self.gateway / "run" / "table.json"

    def put(self, *, generation: int | None = None, confirmed: bool = True, **options: Any) -> RouteTable:
        """A table with the model's route, changed by ``options``, in force."""
        self.generation = self.generation + 1 if generation is None else generation
        table = RouteTable(self.generation, (replace(ROUTE, **options),))
        self.files.write(table)
        if confirmed:
            self.files.confirm(table)
        return table

    def kill(self, mode: Any, now: Any) -> Path:
        return write_latch(self.latches, KillLatch("fraud", mode, "ann", "complaints", now))

    def router(self, **options: Any) -> Router:
        return Router(self.root, "fraud", **options)

    def lines(self) -> list[dict[str, Any]]:
        """Lines of all processes, with their bodies beside the other facts."""
        paths = sorted((self.gateway / "log").glob("router-*.jsonl*"))
        return [read(line) for path in paths for line in path.read_bytes().splitlines()]

    def counts(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in (self.gateway / "log").glob("router-*.counts.json")]


def of_arm(router: Router, arm: str, *, copied: bool = False) -> str:
    """A unit in an arm."""
    units = (f"u{n}" for n in range(10_000))
    return next(u for u in units if (found := router.decide(u)).arm == arm and found.copied is copied)
