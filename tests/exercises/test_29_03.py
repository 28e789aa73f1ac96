"""29.3: the stages of a version, pair by pair, and the trace that ends where an archived version is put back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from seatrial.errors import IllegalTransition
from seatrial.ids import Digest
from seatrial.registry.lifecycle import Operation, Stage, adopt, roll_back, transition
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Model, ModelName, Serving
from seatrial.store import releases
from seatrial.store.db import Store, Transaction

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 9), ModelRef(DIGEST, "xgboost"))

N, ST, SH, CA, PR, SB, AR = "None", "Staging", "Shadow", "Canary", "Production", "Standby", "Archived"
TABLE = {
    #        None   Staging  Shadow   Canary   Production  Standby  Archived
    N:  ("-",   "move",  "-",     "-",     "adopt",    "-",     "move"),
    ST: ("-",   "-",     "move",  "move",  "-",        "-",     "move"),
    SH: ("-",   "move",  "-",     "move",  "-",        "-",     "move"),
    CA: ("-",   "move",  "move",  "-",     "move",     "-",     "move"),
    PR: ("-",   "-",     "-",     "-",     "-",        "move",  "move"),
    SB: ("-",   "-",     "-",     "-",     "rollback", "-",     "move"),
    AR: ("-",   "-",     "-",     "-",     "-",        "-",     "-"),
}  # fmt: skip
"""The whole of what is legal, written down once more: from the row to the column, and by which operation."""

BY = {"move": Operation.TRANSITION, "adopt": Operation.ADOPT, "rollback": Operation.ROLLBACK}


@pytest.mark.parametrize("operation", Operation)
def test_every_pair_of_stages_by_every_operation(operation: Operation) -> None:
    for (current, row), target in itertools.product(TABLE.items(), TABLE):
        legal = row[list(TABLE).index(target)]
        if BY.get(legal) is operation:
            assert transition(Stage(current), Stage(target), operation=operation) is Stage(target)
            continue
        with pytest.raises(ValueError, match=f"ST0110 .*from {current} to {target} is not legal") as raised:
            transition(Stage(current), Stage(target), operation=operation)
        assert isinstance(raised.value, IllegalTransition)


def test_the_table_is_that_of_all_stages() -> None:
    assert list(TABLE) == [stage.value for stage in Stage]
    assert all(len(row) == len(Stage) for row in TABLE.values())
    assert adopt(Stage.NONE) is roll_back(Stage.STANDBY) is Stage.PRODUCTION


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """fraud-detector: v11 serves, v12 is registered."""
    with Store.open(tmp_path / "store.db") as store:
        with store.begin() as tx:
            tx.models.create_model(Model(ModelName("fraud-detector")), actor="ann", now=NOW)
            for _ in range(12):
                tx.models.register_version(
                    "fraud-detector", Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="ann", now=NOW
                )
            releases.adopt_champion(tx.models, "fraud-detector", 11, actor="ann", now=NOW)
        yield store


def move(tx: Transaction, number: int, to: Stage) -> Stage:
    return tx.models.set_stage("fraud-detector", number, to, actor="ann", now=NOW).stage


def stages(tx: Transaction) -> tuple[Stage, Stage]:
    return tuple(tx.models.get_version("fraud-detector", n).stage for n in (11, 12))  # type: ignore[return-value]


def test_the_trace_of_the_exercise_ends_in_an_illegal_transition(store: Store) -> None:
    with store.begin() as tx:
        assert stages(tx)[1] is Stage.NONE
        trace = [move(tx, 12, to) for to in (Stage.STAGING, Stage.SHADOW, Stage.CANARY)]
        releases.promote(tx.models, "fraud-detector", 12, expected_champion=11, actor="ann", now=NOW)
        assert (trace, stages(tx)) == ([Stage.STAGING, Stage.SHADOW, Stage.CANARY], (Stage.STANDBY, Stage.PRODUCTION))
        move(tx, 11, Stage.ARCHIVED)
    with (
        store.begin() as tx,
        pytest.raises(ValueError, match=r"fraud-detector v11: .* from Archived to Production") as no,
    ):
        move(tx, 11, Stage.PRODUCTION)
    assert isinstance(no.value, IllegalTransition)
    assert "Archived is final: register the artifact again as a new version." in str(no.value)
    with store.read() as tx:
        assert stages(tx) == (Stage.ARCHIVED, Stage.PRODUCTION), "nothing moved"
        assert tx.models.pointers("fraud-detector")["champion"] == 12
        assert tx.audit.verify().ok


def test_the_way_back_is_an_operation_of_its_own_while_v11_stands_by(store: Store) -> None:
    with store.begin() as tx:
        for to in (Stage.STAGING, Stage.SHADOW, Stage.CANARY):
            move(tx, 12, to)
        releases.promote(tx.models, "fraud-detector", 12, expected_champion=11, actor="ann", now=NOW)
    with store.begin() as tx, pytest.raises(ValueError, match="Rollback is its own operation"):
        move(tx, 11, Stage.PRODUCTION)
    with store.begin() as tx:
        home = releases.roll_back(tx.models, "fraud-detector", expected_champion=12, actor="ann", now=NOW)
        assert (home.number, stages(tx)) == (11, (Stage.PRODUCTION, Stage.ARCHIVED))
        last = [entry.action for entry in tx.audit.log(3)]
        assert last[0] == "stage.rollback", "on the record as what it is"
