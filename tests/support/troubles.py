"""A model with a history: champions, kills and a log of what was answered, written as capture would have."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.control.clock import StoredClock
from seatrial.control.project import Project
from seatrial.control.recorder import record_kill, record_revival
from seatrial.events.parts import fit, model_directory, write_part
from seatrial.events.schema import MOMENT, OUTCOME_SCHEMA, event_schema, to_micros
from seatrial.events.units import unit_hash
from seatrial.gateway.kill import KillLatch
from seatrial.ids import Digest, ModelName
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Model, Serving
from seatrial.store import releases
from seatrial.store.db import Store

MODEL = "credit"
T0 = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def lineage(commit: str, data: str, rows: int = 1000) -> ArtifactLineage:
    digest = Digest("sha256:" + "a" * 64)
    snapshot = DataRef(Digest("sha256:" + data * 64), rows, T0 - 60 * DAY, T0 - 30 * DAY, "bureau_v2")
    return ArtifactLineage(CodeRef(commit, dirty=False), snapshot, ModelRef(digest, "sklearn"))


class Troubled:
    """No control plane runs. Version 1 is the champion from T0 - 60 days on, version 2 from T0 - 20 days on."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        (root / "seatrial.yaml").write_text("project: bank\nclock: replay\napi: {port: 1}\ngateway: {port: 2}\n")
        self.project = Project.open(root)
        self.project.prepare()
        self._pieces = 0
        with Store.open(self.project.store_url) as store, store.begin() as tx:
            start = T0 - 60 * DAY
            tx.models.create_model(Model(ModelName(MODEL)), actor="ann", now=start)
            for commit, data in (("1f0c2aa", "b"), ("77ab310", "c")):
                serving = Serving(kind="url", url="http://127.0.0.1:9/")
                tx.models.register_version(MODEL, serving, lineage(commit, data), actor="ann", now=start)
            releases.adopt_champion(tx.models, MODEL, 1, actor="ann", now=start)
            for stage in (Stage.STAGING, Stage.CANARY):
                tx.models.set_stage(MODEL, 2, stage, actor="ann", now=T0 - 20 * DAY)
            releases.promote(tx.models, MODEL, 2, expected_champion=1, actor="ann", now=T0 - 20 * DAY)
        self.move(T0)

    def store(self) -> Store:
        return Store.open(self.project.store_url)

    def move(self, to: datetime) -> None:
        """The replay's clock."""
        with self.store() as store, store.begin() as tx:
            StoredClock.move(tx, to)

    def kill(self, at: datetime, until: datetime | None, reason: str) -> None:
        latch = KillLatch(MODEL, "previous", "ann", reason, at)
        with self.store() as store, store.begin() as tx:
            record_kill(tx, latch, at)
            if until is not None:
                record_revival(tx, latch, "bob", "well again", until)

    def answered(
        self, start: datetime, end: datetime, n: int, *, version: str, failing: float = 0.0, paid: float | None = None,
        arm: str = "champion",
    ) -> None:  # fmt: skip
        """Requests, evenly spread: a share of them failing, and the mean of the outcome ``paid`` of the others."""
        self._pieces += 1
        times = np.linspace(to_micros(start), to_micros(end) - 1, n).astype(np.int64)
        bad = (np.arange(n) % 10) < 10 * failing
        keys = [f"p{self._pieces}-{k}" for k in range(n)]
        rows = {
            "request_id": keys, "outcome_key": keys, "row": [0] * n, "arm": [arm] * n,
            "served_version": np.where(bad, "0", version).tolist(), "served_level": ["primary"] * n,
            "status": [200] * n, "time": pa.array(times).cast(MOMENT),
            "unit": [f"u{k % 97}" for k in range(n)], "score": (np.arange(n) / n).tolist(),
        }  # fmt: skip
        self._write("events", rows, event_schema())
        if paid is not None:
            rng = np.random.default_rng(self._pieces)
            outcomes = {
                "key": keys, "name": ["paid"] * n, "value": rng.normal(paid, 1.0, n), "revision": [0] * n,
                "time": pa.array(times).cast(MOMENT), "received_at": pa.array(times).cast(MOMENT), "model": [MODEL] * n,
            }  # fmt: skip
            self._write("outcomes", outcomes, OUTCOME_SCHEMA)

    def _write(self, kind: str, columns: dict[str, object], schema: pa.Schema) -> None:
        directory = model_directory(self.project.state / kind, MODEL)
        table = fit(pa.table({name: pa.array(values) for name, values in columns.items()}), schema)
        write_part(directory, "log", "a.1", 10 * self._pieces, 10 * self._pieces + 9, table)

    def audited(self, *actions: str) -> list[dict[str, object]]:
        with self.store() as store, store.read() as tx:
            found = [entry for entry in tx.audit.entries() if entry.action in actions]
        return [{"action": e.action, "object": e.object, "actor": e.actor, **json.loads(e.detail)} for e in found]

    def rename(self, unit: str, name: str) -> None:
        """Give a unit of the log the hash that a unit of this name would have."""
        hashed = unit_hash(name, self.project.secrets().unit_key)
        for path in sorted(model_directory(self.project.events, MODEL).glob("*.parquet")):
            table = pq.read_table(path)
            units = pa.array([hashed if one == unit else one for one in table["unit"].to_pylist()])
            pq.write_table(table.set_column(table.schema.get_field_index("unit"), "unit", units), path)
