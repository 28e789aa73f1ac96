"""What changed between two versions of a model, as a document (``seatrial.model_diff.v1``)."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, Final

from seatrial.errors import UsageError
from seatrial.registry.diff import changes
from seatrial.registry.flags import THRESHOLD, flags
from seatrial.store.db import Transaction

_DECIMAL: Final = re.compile(r"\d{1,4}(\.\d{1,12})?")


def difference(tx: Transaction, model: str, before: int, after: int, *, threshold: str = THRESHOLD) -> dict[str, Any]:
    """Changes by name, and the flags among them. ``threshold``: of a change of importance, as a decimal (0.5).

    Raises NotFound for a version that is not there, UsageError for a threshold that is no decimal.
    """
    if not _DECIMAL.fullmatch(threshold):
        raise UsageError("ST0105", f"threshold {threshold!r} is not a decimal.", remedy="e.g. 0.5 for 50%")
    old, new = tx.models.get_version(model, before), tx.models.get_version(model, after)
    return {
        "schema": "seatrial.model_diff.v1",
        "model": model,
        "before": before,
        "after": after,
        "threshold": threshold,
        "changes": [asdict(change) for change in changes(old, new)],
        "flags": [asdict(flag) for flag in flags(old, new, threshold=threshold)],
    }
