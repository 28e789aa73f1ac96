"""What keeps a version from users whatever anybody approves: it is outside its envelope, or has seen its test set."""

from __future__ import annotations

from seatrial.control.changes.envelopes import require_inside
from seatrial.control.changes.test_sets import require_other_data
from seatrial.registry.version import ModelVersion
from seatrial.store.db import Transaction


def require_declared(tx: Transaction, candidate: ModelVersion) -> None:
    """Raises Conflict: ST1422 and ST1423 of an envelope, ST1435 of a locked test set. Nothing where neither is."""
    data = None if candidate.lineage is None else candidate.lineage.data
    require_other_data(tx, candidate.model, None if data is None else data.digest)
    require_inside(tx, candidate.model, candidate.number)
