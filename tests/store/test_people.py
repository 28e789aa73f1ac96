"""People as stored: by the digest of their token, one token each, and every change in the audit log."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from seatrial.errors import NotFound, UsageError
from seatrial.ids import Digest
from seatrial.registry.people import Person, Role
from seatrial.store.db import Store

FIRST, SECOND = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)


def test_a_person_is_found_by_their_token_alone(store: Store, now: datetime) -> None:
    until = now + timedelta(days=90)
    with store.begin() as tx:
        made = tx.people.grant("ann", Role.OPERATOR, FIRST, actor="root", now=now, expires_at=until)
    with store.read() as tx:
        assert made == tx.people.find(FIRST) == Person("ann", Role.OPERATOR, now, "root", until)
        assert tx.people.find(SECOND) is None
        assert tx.people.list() == (made,)
        (entry,) = tx.audit.log()
    assert (entry.actor, entry.action, entry.object) == ("root", "access.grant", "ann")
    assert FIRST not in entry.detail, "the log is read by people who must not see it"


def test_granting_again_replaces_the_token(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        tx.people.grant("ann", Role.VIEWER, FIRST, actor="root", now=now, expires_at=None)
        tx.people.grant("ann", Role.ADMIN, SECOND, actor="root", now=now, expires_at=None)
        assert tx.people.find(FIRST) is None
        assert [person.role for person in tx.people.list()] == [Role.ADMIN]


def test_a_revoked_person_is_gone_and_cannot_be_revoked_again(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        tx.people.grant("ann", Role.VIEWER, FIRST, actor="root", now=now, expires_at=None)
        tx.people.revoke("ann", actor="bob", now=now)
        assert tx.people.find(FIRST) is None
        assert next((e.actor, e.action) for e in tx.audit.log()) == ("bob", "access.revoke")
        with pytest.raises(NotFound, match="nobody named 'ann'"):
            tx.people.revoke("ann", actor="bob", now=now)


def test_the_end_is_exclusive(now: datetime) -> None:
    person = Person("ann", Role.VIEWER, now, "root", now)
    assert person.expired(now)
    assert not person.expired(now - timedelta(microseconds=1))
    assert not Person("ann", Role.VIEWER, now, "root").expired(now + timedelta(days=36_500))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..\n", "x" * 65, "local", "controller"])
def test_names_are_those_of_the_audit_log(name: str, now: datetime) -> None:
    with pytest.raises(UsageError, match=r"ST062[24]"):
        Person(name, Role.VIEWER, now, "root")
