"""What the store remembers of the anchors that were taken, by target: so that the next is made in time, and a file of
anchors that became shorter is missed. It lies beside the log, and proves nothing by itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from seatrial.store.audit_anchors import SignedAnchor
from seatrial.store.db import Transaction

_KEY: Final = "audit.anchored"


def noted(tx: Transaction) -> dict[str, dict[str, Any]]:
    """Of each target the last anchor that it took: ``seq`` and ``at``."""
    found = tx.settings.get(_KEY)
    return {} if found is None else dict(found.value)


def note(tx: Transaction, anchor: SignedAnchor, targets: tuple[str, ...], now: datetime) -> None:
    taken = {"seq": anchor.statement.seq, "at": anchor.statement.at}
    tx.settings.put(_KEY, {**noted(tx), **dict.fromkeys(targets, taken)}, now)
