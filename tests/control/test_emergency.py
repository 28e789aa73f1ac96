"""Kill, revive and rollback while the control plane is down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from seatrial.control.journal import Journal
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.recorder import record
from seatrial.control.states import state_to_json
from seatrial.control.way_home import emergency
from seatrial.errors import NotFound, Unavailable, UsageError
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.kill import read_latches
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.rollout.start import start
from seatrial.store import releases
from seatrial.store.canonical import canonical
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan, plan_to_json

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1), ModelRef(DIGEST, "sklearn"))
PLAN = parse_plan("""
name: quick
metrics: [{name: errors, kind: error_rate, margin: 1pp}]
steps: [{setWeight: 10%}, {pause: {duration: 2h}}]
""")


def backend(version: int, level: str = "primary") -> Backend:
    return Backend(str(version), Endpoint("127.0.0.1", 9000 + version), level)


def table(*, weight: int = 0, fallback: bool = True) -> RouteTable:
    """fraud: v2 serves, v1 is the standby, v3 may be the canary. other: not to be touched."""
    route = ModelRoute(
        model="fraud",
        salt="s",
        unit_header="x-unit-id",
        champion=backend(2),
        fallbacks=(backend(1, "previous"),) if fallback else (),
        canary=backend(3) if weight else None,
        canary_weight=weight,
        rollout="r-0001" if weight else None,
        phase=1 if weight else None,
    )
    other = ModelRoute(model="other", salt="other", unit_header="x-unit-id", champion=backend(7))
    return RouteTable(5, (route, other))


def stored_table(project: Project) -> RouteTable:
    return RouteTable.from_json((project.gateway / "run" / "table.json").read_text())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "seatrial.yaml").write_text("project: shop\ngateway: {port: 1}\n")
    project = Project.open(tmp_path)
    project.prepare()
    (project.gateway / "run").mkdir()
    (project.gateway / "run" / "table.json").write_text(table().to_json())
    return project


def fill(project: Project, *, rollout: bool = False) -> None:
    """v1 was the champion, v2 is, v3 is registered, and in a rollout if asked for."""
    url = Serving(kind="url", url="http://127.0.0.1:9/")
    with Store.open(project.store_url) as store:
        operations = Operations(project, store)
        operations.adopt("fraud", "http://127.0.0.1:9/", actor="ann")
        for _ in range(2):
            operations.register("fraud", url, LINEAGE, actor="ann")
        with store.begin() as tx:
            for stage in (Stage.STAGING, Stage.CANARY):
                tx.models.set_stage("fraud", 2, stage, actor="ann", now=NOW)
            releases.promote(tx.models, "fraud", 2, expected_champion=1, actor="ann", now=NOW)
            if rollout:
                id = tx.rollouts.next_id()
                decision, state = start(
                    PLAN, id, ModelName("fraud"), VersionNumber(2), VersionNumber(3), "s", NOW, "ann"
                )
                text = canonical(plan_to_json(PLAN))
                kept = tx.rollouts.create(id, "fraud", 3, 2, text, state_to_json(state), NOW)
                record(tx, decision, state, revision=kept.revision, digest=None, store_decision=True)


# ── no gateway runs ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kill_without_anything_running_writes_the_latch_and_says_so(project: Project) -> None:
    told = emergency.kill(project, "fraud", "off", reason="fire", actor="ann")
    assert told.text == (
        "fraud: the latch is written and in force at the next start; no gateway is running, so nothing is served now"
    )
    assert told.split == {}
    (latch,) = read_latches(project.kill_latches)
    assert (latch.model, latch.mode, latch.actor, latch.reason) == ("fraud", "off", "ann", "fire")
    assert not Path(project.store_url).exists(), "a kill needs no store"


def test_a_kill_of_nobody_is_refused(project: Project) -> None:
    fill(project)
    with pytest.raises(NotFound, match="frau"):
        emergency.kill(project, "frau", "off", reason="fire", actor="ann")
    with pytest.raises(UsageError, match="reason"):
        emergency.kill(project, "fraud", "off", reason=" ", actor="ann")
    assert read_latches(project.kill_latches) == ()


def test_a_kill_works_where_the_store_is_broken(project: Project) -> None:
    Path(project.store_url).write_bytes(b"this is no database" * 100)
    (project.gateway / "run" / "table.json").unlink()
    emergency.kill(project, "fraud", "champion", reason="fire", actor="ann")
    assert len(read_latches(project.kill_latches)) == 1


def test_a_revival_is_recorded(project: Project) -> None:
    fill(project)
    with pytest.raises(NotFound, match="not killed"):
        emergency.revive(project, "fraud", reason="over", actor="ann")
    emergency.kill(project, "fraud", "off", reason="fire", actor="ann")
    told = emergency.revive(project, "fraud", reason="over", actor="bob")
    assert "the latch is removed" in told.text
    assert read_latches(project.kill_latches) == ()
    with Store.open(project.store_url) as store, store.read() as tx:
        entry = tx.audit.log(1)[0]
        assert (entry.actor, entry.action, json.loads(entry.detail)["killed_by"]) == ("bob", "model.revive", "ann")
        assert tx.audit.verify().ok


def test_a_rollback_in_the_store_brings_the_standby_back(project: Project) -> None:
    fill(project)
    told = emergency.rollback(project, "fraud", reason="worse", actor="ann")
    assert (told.to, told.split) == ("v1", {})
    assert "no gateway is running" in told.text
    with Store.open(project.store_url) as store, store.read() as tx:
        assert tx.models.pointers("fraud") == {"champion": 1}
        assert tx.models.get_version("fraud", 2).stage is Stage.ARCHIVED
    again = emergency.rollback(project, "fraud", reason="again", actor="ann")
    assert (again.changed, again.text) == (
        False, "fraud: nothing to roll back: v1 is the champion, without a rollout and without a standby"
    )  # fmt: skip


def test_a_rollback_in_a_rollout_aborts_it_and_keeps_the_champion(project: Project) -> None:
    fill(project, rollout=True)
    emergency.rollback(project, "fraud", reason="", actor="ann")
    with Store.open(project.store_url) as store, store.read() as tx:
        (stored,) = tx.rollouts.list("fraud")
        assert (stored.status, stored.active) == ("aborted", False)
        assert tx.models.pointers("fraud") == {"champion": 2, "previous": 1}
        assert tx.models.get_version("fraud", 3).stage is Stage.STAGING
    (move,) = Journal(project.run / "journal.jsonl").moves()
    assert (move.rollout, move.revision) == ("r-0001", stored.revision - 1), "a stale line: never recorded twice"


# ── the gateway runs ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "seatrial.yaml").write_text("project: shop\ngateway: {port: 0}\n")
    project = Project.open(tmp_path)
    project.prepare()
    gateway = Envoy(project.gateway, 0)
    gateway.start()
    try:
        gateway.apply(table(weight=1000))
        yield project
    finally:
        gateway.stop()


@pytest.mark.live
def test_the_gateway_is_switched_without_control_plane(envoy: Project) -> None:
    fill(envoy, rollout=True)
    assert emergency.observed_weights(envoy)["fraud"] == {"canary": 1000, "mirrored": 0, "champion": 9000}

    told = emergency.kill(envoy, "fraud", "off", reason="fire", actor="ann")
    assert (told.split, told.generation) == ({"off": 1.0}, 6)
    assert "Envoy now sends off 100.00%" in told.text
    assert emergency.observed_weights(envoy)["other"]["champion"] == 10_000

    told = emergency.kill(envoy, "fraud", "previous", reason="fire", actor="ann")
    assert told.split == {"v1": 1.0}, "another kind of kill replaces the first"

    told = emergency.revive(envoy, "fraud", reason="over", actor="ann")
    assert "routes change when `seatrial up` starts" in told.text, "v2's address is not in the table any more"
    assert told.split == {"v1": 1.0}


@pytest.mark.live
def test_a_revival_restores_the_split_of_the_rollout(envoy: Project) -> None:
    fill(envoy, rollout=True)
    assert emergency.kill(envoy, "fraud", "champion", reason="fire", actor="ann").split == {"v2": 1.0}
    assert emergency.revive(envoy, "fraud", reason="over", actor="ann").split == {"v2": 0.9, "v3": 0.1}


@pytest.mark.live
def test_a_rollback_moves_traffic_and_record(envoy: Project) -> None:
    fill(envoy, rollout=True)
    assert emergency.rollback(envoy, "fraud", reason="", actor="ann").split == {"v2": 1.0}
    again = emergency.rollback(envoy, "fraud", reason="", actor="ann")
    assert (again.changed, again.split) == (False, {"v2": 1.0}), "a second call goes back no further"
    emergency.kill(envoy, "fraud", "off", reason="fire", actor="ann")
    assert not emergency.rollback(envoy, "fraud", reason="", actor="ann").changed
    assert emergency.observed_weights(envoy).get("fraud") is None, "what is killed stays killed"


@pytest.mark.live
def test_a_rollback_after_a_promotion_brings_the_standby_back(envoy: Project) -> None:
    fill(envoy)
    told = emergency.rollback(envoy, "fraud", reason="worse", actor="ann")
    assert (told.to, told.split, told.changed) == ("v1", {"v1": 1.0}, True)
    assert not emergency.rollback(envoy, "fraud", reason="again", actor="ann").changed


@pytest.mark.live
def test_a_gateway_that_refuses_is_said_and_the_latch_stays(envoy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(gateway: Envoy, table: RouteTable) -> None:
        raise Unavailable("ST0710", "Envoy does not answer.")

    monkeypatch.setattr(Envoy, "apply", refuse)
    with pytest.raises(Unavailable, match="latch is written, but the gateway was not switched"):
        emergency.kill(envoy, "fraud", "off", reason="fire", actor="ann")
    assert len(read_latches(envoy.kill_latches)) == 1
