"""Projects whose audit log is anchored: a key and a file of anchors beside the project, as an operator has them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from seatrial.control.project import Project
from seatrial.signing import SigningKey
from seatrial.store.db import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def anchored_project(root: Path, more: str = "") -> Project:
    """``root/shop`` with its key in ``root/key.pem`` and its anchors in ``root/worm/anchors.jsonl``."""
    SigningKey.create(root / "key.pem")
    shop = root / "shop"
    shop.mkdir()
    targets = f"[{{name: vault, file: ../worm/anchors.jsonl}}{more}]"
    (shop / "seatrial.yaml").write_text(f"project: shop\naudit: {{key: ../key.pem, anchors: {targets}}}\n")
    project = Project.open(shop)
    project.prepare()
    return project


def act(store: Store, count: int = 5, actor: str = "ann") -> None:
    """So many entries in the audit log."""
    with store.begin() as tx:
        for n in range(count):
            tx.audit.append(actor, "test.act", f"thing/{n}", {"n": n}, NOON)


def rewrite_log(store: Store, first: int) -> None:
    """Another history from an entry on, each hash made to fit: what only an anchor elsewhere can tell."""
    with store.begin() as tx:
        last = tx.audit.head().seq
        for verb in ("update", "delete"):
            tx.connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS audit_no_{verb}")
        tx.connection.exec_driver_sql(f"DELETE FROM audit WHERE seq >= {first}")
        if first == 1:
            tx.connection.exec_driver_sql("DELETE FROM audit_head")
        else:
            kept = tx.connection.exec_driver_sql(f"SELECT hash FROM audit WHERE seq = {first - 1}").scalar()
            tx.connection.exec_driver_sql(f"UPDATE audit_head SET seq = {first - 1}, hash = '{kept}'")
    act(store, last - first + 1, "bob")
