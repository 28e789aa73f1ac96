"""Rollouts and their decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from seatrial.errors import Conflict, IntegrityError, NotFound, SeatrialError
from seatrial.store.db import Store, Transaction

Register = Callable[[int], None]


def start(tx: Transaction, candidate: int, now: datetime) -> str:
    id = tx.rollouts.next_id()
    return tx.rollouts.create(id, "fraud", candidate, 1, '{"steps":[]}', '{"step":0}', now).id


def test_a_rollout_comes_back_as_it_was(store: Store, register: Register, now: datetime) -> None:
    register(2)
    with store.begin() as tx:
        assert start(tx, 2, now) == "r-0001"
    with store.read() as tx:
        rollout = tx.rollouts.get("r-0001")
        assert (rollout.model, rollout.candidate, rollout.champion, rollout.revision) == ("fraud", 2, 1, 1)
        assert (rollout.plan, rollout.state, rollout.status) == ('{"steps":[]}', '{"step":0}', "running")
        assert rollout.active
        assert rollout.created_at == now
        with pytest.raises(NotFound, match="r-0002"):
            tx.rollouts.get("r-0002")


def test_a_model_has_one_active_rollout(store: Store, register: Register, now: datetime) -> None:
    register(3)
    with store.begin() as tx:
        start(tx, 2, now)
        with pytest.raises(Conflict, match=r"in rollout r-0001 \(v2, running\)"):
            start(tx, 3, now)
        tx.rollouts.save("r-0001", "{}", "aborted", expected_revision=1, active=False, now=now)
        assert start(tx, 3, now) == "r-0002"
        assert [rollout.id for rollout in tx.rollouts.list("fraud", active=True)] == ["r-0002"]
        assert [rollout.id for rollout in tx.rollouts.list(active=False)] == ["r-0001"]
        assert [rollout.id for rollout in tx.rollouts.list()] == ["r-0001", "r-0002"]
        assert tx.rollouts.list("churn") == ()
    with pytest.raises(Conflict, match="refuses the change"), store.begin() as tx:
        tx.connection.exec_driver_sql("UPDATE rollouts SET active = (1 = 1)")


def test_ids_go_on_after_9999(store: Store, register: Register, now: datetime) -> None:
    register(2)
    with store.begin() as tx:
        for id in ("r-9999", "r-10000"):
            tx.rollouts.create(id, "fraud", 2, 1, "{}", "{}", now)
            tx.rollouts.save(id, "{}", "done", expected_revision=1, active=False, now=now)
        assert tx.rollouts.next_id() == "r-10001"


def test_a_save_over_a_revision_that_is_not_there_any_more_is_refused(
    store: Store, register: Register, now: datetime
) -> None:
    register(2)
    later = now + timedelta(seconds=10)
    with store.begin() as tx:
        start(tx, 2, now)
        assert tx.rollouts.save("r-0001", '{"step":1}', "running", expected_revision=1, active=True, now=later) == 2
        with pytest.raises(Conflict, match="at revision 2, expected 1"):
            tx.rollouts.save("r-0001", '{"step":9}', "running", expected_revision=1, active=True, now=later)
        rollout = tx.rollouts.get("r-0001")
        assert (rollout.state, rollout.revision, rollout.updated_at) == ('{"step":1}', 2, later)
        with pytest.raises(NotFound, match="r-0007"):
            tx.rollouts.save("r-0007", "{}", "running", expected_revision=1, active=True, now=later)


def test_a_finished_rollout_stays_finished(store: Store, register: Register, now: datetime) -> None:
    register(2)
    with store.begin() as tx:
        start(tx, 2, now)
        tx.rollouts.save("r-0001", "{}", "promoted", expected_revision=1, active=False, now=now)
        with pytest.raises(Conflict, match=r"is over \(promoted\)"):
            tx.rollouts.save("r-0001", "{}", "running", expected_revision=2, active=True, now=now)


def test_a_rollout_of_a_version_that_does_not_exist_is_refused(store: Store, register: Register, now: datetime) -> None:
    register(1)
    with pytest.raises(Conflict, match="refuses the change"), store.begin() as tx:
        start(tx, 2, now)
    with store.read() as tx:
        assert tx.rollouts.list() == ()


DECISION: dict[str, Any] = {
    "action": "hold",
    "rule": "sample",
    "step": 1,
    "document_json": '{"n":10}',
    "evidence_digest": "sha256:e",
}


def test_a_decision_is_stored_once_however_often_it_is_taken(store: Store, register: Register, now: datetime) -> None:
    register(2)
    with store.begin() as tx:
        start(tx, 2, now)
        assert tx.decisions.append("r-0001", 1, now, **DECISION)
    with store.begin() as tx:
        assert not tx.decisions.append("r-0001", 1, now, **DECISION)
        assert tx.decisions.append("r-0001", 2, now, **{**DECISION, "step": None, "evidence_digest": None})
        first, second = tx.decisions.list("r-0001")
        assert (first.seq, first.at, first.action, first.document) == (1, now, "hold", '{"n":10}')
        assert tx.decisions.last("r-0001") == second
        assert tx.decisions.last("r-0002") is None


@pytest.mark.parametrize(
    "statement",
    ["UPDATE decisions SET rule = 'harm'", "DELETE FROM decisions", "UPDATE pointer_moves SET actor = 'bob'"],
)
def test_the_database_refuses_to_change_what_was_decided(
    store: Store, register: Register, now: datetime, statement: str
) -> None:
    register(2)
    with store.begin() as tx:
        start(tx, 2, now)
        tx.decisions.append("r-0001", 1, now, **DECISION)
        tx.models.move_pointer("fraud", "challenger", expected=None, to=2, actor="ann", now=now)
    with pytest.raises((DBAPIError, SeatrialError), match="append-only"), store.begin() as tx:
        tx.connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("action", "abort"),
        ("rule", "harm"),
        ("step", None),
        ("document_json", '{"n":11}'),
        ("evidence_digest", "sha256:f"),
        ("at", None),
    ],
)
def test_another_decision_under_the_same_number_is_an_error(
    store: Store, register: Register, now: datetime, changed: str, value: object
) -> None:
    register(2)
    other = {**DECISION, "at": now, changed: value if changed != "at" else now + timedelta(microseconds=1)}
    with store.begin() as tx:
        start(tx, 2, now)
        tx.decisions.append("r-0001", 1, now, **DECISION)
        with pytest.raises(IntegrityError, match=f"another {changed.removesuffix('_json')}"):
            tx.decisions.append("r-0001", 1, **other)
