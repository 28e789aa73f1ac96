"""The registry as stored: versions, stages, pointers, and the operations that change the champion."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime

import pytest

from seatrial.errors import Conflict, IllegalTransition, NotFound, UsageError
from seatrial.ids import ModelName
from seatrial.registry.contract import Contract
from seatrial.registry.lifecycle import Operation, Stage
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.version import Model, Serving
from seatrial.store import releases
from seatrial.store.db import Store, Transaction
from seatrial.values import Duration

Register = Callable[[int], None]


def test_a_model_is_created_once(store: Store, register: Register, now: datetime) -> None:
    register(0)
    with store.begin() as tx:
        assert tx.models.get_model("fraud") == Model(ModelName("fraud"), "risk", "block fraud")
        with pytest.raises(Conflict, match="'fraud' already"):
            tx.models.create_model(Model(ModelName("fraud")), actor="bob", now=now)
        tx.models.create_model(Model(ModelName("churn")), actor="bob", now=now)
        assert [model.name for model in tx.models.list_models()] == ["churn", "fraud"]
        with pytest.raises(NotFound, match="no model 'credit'"):
            tx.models.get_model("credit")


def test_a_contract_is_stored_and_its_changes_are_audited(store: Store, register: Register, now: datetime) -> None:
    register(0)
    agreed = Contract(format="json", score="/risk", features=("amount",), retention=Duration.parse("30d"))
    with store.begin() as tx:
        assert tx.models.get_model("fraud").contract == Contract()
        tx.models.configure("fraud", agreed, actor="bob", now=now)
        tx.models.configure("fraud", agreed, actor="eve", now=now)  # the same again is no change
        tx.models.create_model(Model(ModelName("churn"), contract=agreed), actor="ann", now=now)
        with pytest.raises(NotFound, match="no model 'credit'"):
            tx.models.configure("credit", agreed, actor="bob", now=now)
    with store.read() as tx:
        assert [model.contract for model in tx.models.list_models()] == [agreed, agreed]
        created, configured, _ = tx.audit.log()
        assert json.loads(created.detail)["contract"] == agreed.document()
        assert (configured.actor, configured.action, configured.object) == ("bob", "model.configure", "fraud")
        assert json.loads(configured.detail) == {"before": {}, "after": agreed.document()}
        assert tx.audit.verify().ok


def test_versions_are_numbered_and_come_back_as_they_were(
    store: Store, register: Register, serving: Serving, lineage: ArtifactLineage, now: datetime
) -> None:
    register(1)
    with store.begin() as tx:
        made = tx.models.register_version("fraud", serving, lineage, actor="ann", now=now, tags={"ticket": "ML-7"})
    with store.read() as tx:
        assert made.number == 2
        assert made.stage is Stage.NONE
        assert tx.models.get_version("fraud", 2) == made
        assert tx.models.list_versions("fraud")[1:] == (made,)
        with pytest.raises(NotFound, match="fraud v3"):
            tx.models.get_version("fraud", 3)
        with pytest.raises(NotFound, match="no model 'credit'"):
            tx.models.list_versions("credit")


def test_a_version_without_lineage_is_not_registered_but_may_be_adopted(
    store: Store, register: Register, lineage: ArtifactLineage, now: datetime
) -> None:
    register(0)
    endpoint = Serving("url", url="http://models.internal:8080/predict")
    partial = ArtifactLineage(lineage.code, None, lineage.model)
    with pytest.raises(UsageError, match="has no data"), store.begin() as tx:
        tx.models.register_version("fraud", endpoint, partial, actor="ann", now=now)
    with store.begin() as tx:
        assert tx.models.list_versions("fraud") == ()
        tx.models.register_version("fraud", endpoint, None, source="adopted", actor="ann", now=now)
        (adopted,) = tx.models.list_versions("fraud")
        assert (adopted.source, adopted.lineage) == ("adopted", None)
        assert [entry.action for entry in tx.audit.log()] == ["version.adopt", "model.create"]


def test_concurrent_registrations_get_numbers_of_their_own(
    url: str, store: Store, register: Register, serving: Serving, lineage: ArtifactLineage, now: datetime
) -> None:
    register(0)
    numbers: list[int] = []

    def work() -> None:
        with Store.open(url) as own:
            for _ in range(10):
                with own.begin() as tx:
                    version = tx.models.register_version("fraud", serving, lineage, actor="ann", now=now)
                numbers.append(version.number)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 31))


def test_stages_follow_the_table_and_every_move_is_audited(store: Store, register: Register, now: datetime) -> None:
    register(1)
    with store.begin() as tx:
        tx.models.set_stage("fraud", 1, Stage.STAGING, actor="ann", now=now)
        with pytest.raises(IllegalTransition, match="fraud v1: transition from Staging to Production"):
            tx.models.set_stage("fraud", 1, Stage.PRODUCTION, actor="ann", now=now)
        with pytest.raises(Conflict, match="is in Staging, expected Shadow"):
            tx.models.set_stage("fraud", 1, Stage.CANARY, expected=Stage.SHADOW, actor="ann", now=now)
        moved = tx.models.set_stage("fraud", 1, Stage.CANARY, actor="bob", now=now, reason="shadow agreed")
        assert moved.stage is Stage.CANARY
        assert [version.number for version in tx.models.list_versions("fraud", Stage.CANARY)] == [1]
        newest = tx.audit.log(1)[0]
        assert (newest.actor, newest.action, newest.object) == ("bob", "stage.transition", "fraud/1")
        assert json.loads(newest.detail) == {"from": "Staging", "to": "Canary", "reason": "shadow agreed"}


def test_one_version_is_in_production_whoever_writes(store: Store, register: Register, now: datetime) -> None:
    register(2)
    with store.begin() as tx:
        releases.adopt_champion(tx.models, "fraud", 1, actor="ann", now=now)
        with pytest.raises(Conflict, match="fraud v1 is in Production"):
            tx.models.set_stage("fraud", 2, Stage.PRODUCTION, operation=Operation.ADOPT, actor="ann", now=now)
    with pytest.raises(Conflict, match="refuses the change"), store.begin() as tx:
        tx.connection.exec_driver_sql("UPDATE versions SET stage = 'Production'")


def test_a_pointer_moves_only_from_where_it_is_expected(store: Store, register: Register, now: datetime) -> None:
    register(3)
    with store.begin() as tx:
        tx.models.move_pointer("fraud", "challenger", expected=None, to=2, actor="ann", now=now)
        for expected, said in ((None, "expected it not to be set"), (1, "expected v1")):
            with pytest.raises(Conflict, match=f"challenger is v2, moved by ann at 2026-03-01T12:30:00Z; {said}"):
                tx.models.move_pointer("fraud", "challenger", expected=expected, to=3, actor="bob", now=now)
        tx.models.move_pointer("fraud", "challenger", expected=2, to=3, actor="bob", now=now, reason="better")
        assert tx.models.pointers("fraud") == {"challenger": 3}
        tx.models.move_pointer("fraud", "challenger", expected=3, to=None, actor="bob", now=now)
        assert tx.models.pointers("fraud") == {}
        history = tx.models.pointer_history("fraud", "challenger")
        assert [(move.from_version, move.to_version, move.actor) for move in history] == [
            (None, 2, "ann"),
            (2, 3, "bob"),
            (3, None, "bob"),
        ]
        assert (history[1].at, history[1].reason) == (now, "better")
        assert tx.models.pointer_history("fraud", "champion") == ()


def test_a_pointer_points_to_what_exists(store: Store, register: Register, now: datetime) -> None:
    register(1)
    with store.begin() as tx:
        with pytest.raises(NotFound, match="fraud v9"):
            tx.models.move_pointer("fraud", "champion", expected=None, to=9, actor="ann", now=now)
        with pytest.raises(NotFound, match="'credit'"):
            tx.models.move_pointer("credit", "champion", expected=None, to=1, actor="ann", now=now)
        with pytest.raises(UsageError, match="champion, challenger, shadow, previous"):
            tx.models.move_pointer("fraud", "latest", expected=None, to=1, actor="ann", now=now)  # type: ignore[arg-type]


def test_of_two_who_race_for_a_pointer_one_wins_and_the_other_is_told(
    url: str, store: Store, register: Register, now: datetime
) -> None:
    register(3)
    start = threading.Barrier(2)
    outcomes: dict[int, Conflict | None] = {}

    def race(to: int) -> None:
        with Store.open(url) as own:
            start.wait()
            try:
                with own.begin() as tx:
                    tx.models.move_pointer("fraud", "champion", expected=None, to=to, actor=f"racer-{to}", now=now)
                outcomes[to] = None
            except Conflict as conflict:
                outcomes[to] = conflict

    threads = [threading.Thread(target=race, args=(to,)) for to in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [to for to, outcome in outcomes.items() if outcome is None]
    (conflict,) = [outcome for outcome in outcomes.values() if outcome is not None]
    assert f"champion is v{winner}, moved by racer-{winner}" in str(conflict)
    with store.read() as tx:
        assert tx.models.pointers("fraud") == {"champion": winner}
        assert len(tx.models.pointer_history("fraud")) == 1


def stages(tx: Transaction) -> list[str]:
    return [version.stage.value for version in tx.models.list_versions("fraud")]


def canary(tx: Transaction, number: int, now: datetime) -> None:
    for stage in (Stage.STAGING, Stage.CANARY):
        tx.models.set_stage("fraud", number, stage, actor="ann", now=now)


def test_promotion_and_rollback_keep_a_way_home(store: Store, register: Register, now: datetime) -> None:
    register(3)
    with store.begin() as tx:
        releases.adopt_champion(tx.models, "fraud", 1, actor="ann", now=now)
        with pytest.raises(Conflict, match="no previous champion"):
            releases.roll_back(tx.models, "fraud", expected_champion=1, actor="ann", now=now)
        canary(tx, 2, now)
        tx.models.move_pointer("fraud", "challenger", expected=None, to=2, actor="ann", now=now)
        releases.promote(tx.models, "fraud", 2, expected_champion=1, actor="ann", now=now)
        assert stages(tx) == ["Standby", "Production", "None"]
        assert tx.models.pointers("fraud") == {"champion": 2, "previous": 1}
        canary(tx, 3, now)
        releases.promote(tx.models, "fraud", 3, expected_champion=2, actor="ann", now=now)
        assert stages(tx) == ["Archived", "Standby", "Production"]
        assert tx.models.pointers("fraud") == {"champion": 3, "previous": 2}
        restored = releases.roll_back(tx.models, "fraud", expected_champion=3, actor="ann", now=now, reason="harm")
        assert restored.number == 2
        assert stages(tx) == ["Archived", "Production", "Archived"]
        assert tx.models.pointers("fraud") == {"champion": 2}
        assert "stage.rollback" in {entry.action for entry in tx.audit.log(object="fraud/2")}
        assert tx.audit.verify().ok


@pytest.mark.parametrize("number", [1, 3])
def test_a_promotion_that_is_not_legal_changes_nothing(
    store: Store, register: Register, now: datetime, number: int
) -> None:
    register(3)
    with store.begin() as tx:
        releases.adopt_champion(tx.models, "fraud", 1, actor="ann", now=now)
        canary(tx, 2, now)
    with pytest.raises(IllegalTransition), store.begin() as tx:
        releases.promote(tx.models, "fraud", number, expected_champion=1, actor="ann", now=now)
    with pytest.raises(Conflict, match="champion is v1"), store.begin() as tx:
        releases.promote(tx.models, "fraud", 2, expected_champion=3, actor="ann", now=now)
    with store.read() as tx:
        assert stages(tx) == ["Production", "Canary", "None"]
        assert tx.models.pointers("fraud") == {"champion": 1}


def test_a_second_champion_is_not_adopted(store: Store, register: Register, now: datetime) -> None:
    register(2)
    with store.begin() as tx:
        releases.adopt_champion(tx.models, "fraud", 1, actor="ann", now=now)
        with pytest.raises(Conflict, match="champion is v1"):
            releases.adopt_champion(tx.models, "fraud", 2, actor="ann", now=now)
