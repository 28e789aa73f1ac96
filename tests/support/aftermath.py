"""A release that is over, and what became of its users: written straight into the log, as capture would have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seatrial.control.clock import StoredClock
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.recorder import record
from seatrial.control.states import state_from_json, state_to_json
from seatrial.events.parts import fit, model_directory, write_part
from seatrial.events.schema import MOMENT, OUTCOME_SCHEMA, event_schema, to_micros
from seatrial.events.units import unit_bucket, unit_hash
from seatrial.ids import Digest, ModelName, RolloutId, VersionNumber
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.rollout.start import by_hand, start
from seatrial.store.canonical import canonical
from seatrial.store.db import Store
from seatrial.store.plans import check_plan, parse_plan, plan_to_json
from seatrial.store.releases import adopt_champion

T0 = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday; the canary begins."""

SECRETS = {"unit_key": "0f" * 32, "bucket_salt": "buckets"}
DAY = timedelta(days=1)
DAY_US = 86_400_000_000
MODEL, ROLLOUT = "shop", "r-0001"
LINEAGE = ArtifactLineage(
    CodeRef("1f0c2aa", dirty=False),
    DataRef(Digest("sha256:" + "b" * 64), 1000),
    ModelRef(Digest("sha256:" + "a" * 64), "sklearn"),
)
PLAN = """
name: feed
metrics:
  - {name: errors, kind: error_rate, margin: 1pp}
  - {name: day1_return, kind: proportion, outcome: returned, horizon: 1d, missing: zero, margin: 5%,
     surrogateOf: {metric: retention_7d, correlation: 0.62}}
  - {name: retention_7d, kind: proportion, outcome: retained, horizon: 7d, missing: zero, margin: 1%, role: signal}
  - {name: conversion_30d, kind: proportion, outcome: subscribed, horizon: 30d, missing: zero, role: signal}
steps:
  - setWeight: 50%
  - pause: {duration: 3d}
"""
"""Three days of canary, a return within 7 days, a subscription within 30: the exercise."""


@dataclass(frozen=True)
class Users:
    """Who came: first exposure (microseconds since T0), arm, and when they came back after the release (or -1)."""

    names: list[str]
    first: np.ndarray
    canary: np.ndarray
    again: np.ndarray


class Aftermath:
    """A project with one promoted release; no gateway, no control plane. The clock is that of a replay."""

    def __init__(self, root: Path, *, plan: str = PLAN, standby: str = "artifact", more: str = "") -> None:
        root.mkdir(parents=True, exist_ok=True)
        (root / "seatrial.yaml").write_text(
            f"project: shop\nclock: replay\napi: {{port: 1}}\ngateway: {{port: 2}}\n{more}"  # nothing listens there
        )
        self.root, self.project, self.plan = root, Project.open(root), check_plan(parse_plan(plan))
        self.project.prepare()
        (self.project.state / "secrets.json").write_text(json.dumps(SECRETS))  # the same names in every log
        self.standby = standby
        with Store.open(self.project.store_url) as store:
            self._release(store)

    def _release(self, store: Store) -> None:
        operations = Operations(self.project, store)
        if self.standby == "url":
            operations.adopt(MODEL, "http://127.0.0.1:9/", actor="ann")
        else:
            artifact = Serving(kind="artifact", format="skops", artifact=LINEAGE.model.digest, features=("a",))
            operations.register(MODEL, artifact, LINEAGE, actor="ann")
            self._make_champion(store)
        operations.register(MODEL, Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="ann")
        with store.begin() as tx:
            decision, state = start(
                self.plan, RolloutId(ROLLOUT), ModelName(MODEL), VersionNumber(1), VersionNumber(2), "salt", T0, "ann"
            )
            text = canonical(plan_to_json(self.plan))
            stored = tx.rollouts.create(ROLLOUT, MODEL, 2, 1, text, state_to_json(state), T0)
            record(tx, decision, state, revision=stored.revision, digest=None, store_decision=True)
        self.move(T0)

    def _make_champion(self, store: Store) -> None:
        with store.begin() as tx:
            adopt_champion(tx.models, MODEL, 1, actor="ann", now=T0 - DAY)

    def promote(self, at: datetime = T0 + 3 * DAY) -> None:
        """Give it to everybody."""
        with Store.open(self.project.store_url) as store, store.begin() as tx:
            stored = tx.rollouts.get(ROLLOUT)
            state = state_from_json(stored.state)
            decision, after = by_hand(
                self.plan, state, "promote", full=True, reason="the canary is fine", actor="ann", now=at
            )
            record(tx, decision, after, revision=stored.revision, digest=None, store_decision=True)
        self.move(at)

    def move(self, to: datetime) -> None:
        """The replay's clock."""
        with Store.open(self.project.store_url) as store, store.begin() as tx:
            StoredClock.move(tx, to)

    # ── who came ───────────────────────────────────────────────────────────────────────────────────────────────────

    def users(self, count: int, *, seed: int = 1, returning: float = 0.4) -> Users:
        """Users of the canary's three days, one half in each arm; some come again after the release."""
        rng = np.random.default_rng(seed)
        first = np.sort(rng.integers(0, 3 * DAY_US, count))
        again = np.where(rng.random(count) < returning, rng.integers(3 * DAY_US, 30 * DAY_US, count), -1)
        return Users([f"u{n}" for n in range(count)], first, rng.random(count) < 0.5, again)

    def write_events(self, users: Users, *, key_by_unit: bool = False, held: float = 0.0) -> None:
        """First exposures during the canary; afterwards everybody meets version 2.

        ``key_by_unit``: the model's contract says that outcomes are reported by user. ``held``: how many of those who
        are not in the canary are held out, and never meet it.
        """
        out = ~users.canary & (np.random.default_rng(9).random(len(users.names)) < held)
        key, salt = self.project.secrets().unit_key, self.project.secrets().bucket_salt
        names = [unit_hash(name, key) for name in users.names]
        buckets = [unit_bucket(name, salt) for name in users.names]
        requests = [f"q{n}" for n in range(len(names))]
        during = {
            "request_id": requests, "outcome_key": users.names if key_by_unit else requests,
            "unit": names, "bucket": buckets, "time": users.first,
            "rollout": [ROLLOUT] * len(names), "phase": [1] * len(names),
            "arm": np.where(users.canary, "canary", np.where(out, "holdout", "champion")).tolist(),
            "served_version": np.where(users.canary, "2", "1").tolist(),
        }  # fmt: skip
        came = np.flatnonzero(users.again >= 0)
        later = {
            "request_id": [f"p{n}" for n in came], "outcome_key": [f"p{n}" for n in came],
            "unit": [names[n] for n in came], "bucket": [buckets[n] for n in came], "time": users.again[came],
            "arm": np.where(out[came], "holdout", "champion").tolist(),
            "served_version": np.where(out[came], "1", "2").tolist(),
        }  # fmt: skip
        for piece, rows in enumerate((during, later)):
            write_part(model_directory(self.project.events, MODEL), "live", "a.1", 10 * piece, 10 * piece + 9,
                       _table(rows, event_schema()))  # fmt: skip

    # ── what became of them ────────────────────────────────────────────────────────────────────────────────────────

    def outcomes(
        self, users: Users, *, harm: float, retention: float = 0.8, conversion: float = 0.1, seed: int = 2
    ) -> list[dict[str, Any]]:
        """Of each user: back within 7 days by the user's name, subscribed within 30 by the first request's id.

        ``harm``: by how much fewer of the canary's users are back, in points.
        """
        rng = np.random.default_rng(seed)
        back = rng.random(len(users.names)) < np.where(users.canary, retention - harm, retention)
        bought = rng.random(len(users.names)) < conversion
        after = rng.integers(DAY_US // 2, 7 * DAY_US, (2, len(users.names)))
        records = []
        for n, name in enumerate(users.names):
            if back[n]:
                records.append(_outcome(name, "retained", users.first[n] + after[0][n]))
            if bought[n]:
                records.append(_outcome(f"q{n}", "subscribed", users.first[n] + 3 * after[1][n]))
        return records

    def write_outcomes(self, records: list[dict[str, Any]], *, piece: int = 0, received: datetime = T0) -> None:
        """One part of the outcome log, received at a time; whether late or twice, it is only one more part."""
        columns = {name: [record[name] for record in records] for name in ("key", "name", "value", "time")}
        columns |= {"revision": [0] * len(records), "model": [MODEL] * len(records)}
        columns["received_at"] = [to_micros(received) - to_micros(T0)] * len(records)
        write_part(model_directory(self.project.outcomes, MODEL), "log", "a.1", 10 * piece, 10 * piece + 9,
                   _table(columns, OUTCOME_SCHEMA))  # fmt: skip

    # ── what is kept of it ─────────────────────────────────────────────────────────────────────────────────────────

    def audit(self, *actions: str) -> list[dict[str, Any]]:
        """Entries of these actions, oldest first."""
        with Store.open(self.project.store_url) as store, store.read() as tx:
            found = [entry for entry in tx.audit.entries() if entry.action in actions]
        return [{"action": e.action, "actor": e.actor, "object": e.object, **json.loads(e.detail)} for e in found]

    def alerts(self, kind: str) -> list[Any]:
        with Store.open(self.project.store_url) as store, store.read() as tx:
            return [one.alert for one in tx.alerts.latest(100) if one.alert.kind == kind]


def _outcome(key: str, name: str, time: int) -> dict[str, Any]:
    return {"key": key, "name": name, "value": 1.0, "time": int(time)}


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """Times are given in microseconds since T0."""
    made = {name: pa.array(values) for name, values in columns.items()}
    for name in ("time", "received_at"):
        if name in made:
            made[name] = pa.array(np.asarray(columns[name], dtype=np.int64) + to_micros(T0)).cast(MOMENT)
    return fit(pa.table(made), schema)
