"""Outcomes at the door and in the books: which models they may be about, and what was received of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from seatrial.control.documents.catalog import load
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.control.way_home.emergency import STORE_DOWN
from seatrial.engines.receipts import Receipt, receipts
from seatrial.errors import UsageError
from seatrial.store.db import Store, Transaction

COUNTS = ("received", "outcomes", "matched", "pending", "late", "repeated", "revised", "contradicted")


class KnownModels:
    """Names that outcomes may have. A model is never deleted, so a name that was found once needs no store again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: frozenset[str] = frozenset()

    def require(self, names: Iterable[str], where: str = "outcomes") -> None:
        """Raises UsageError for a name that no model has: such an outcome would be kept and never looked at.

        While the store is away, nothing is refused: an outcome too many does no harm, one that is lost does.
        """
        asked = {*names}
        if asked <= self._names:
            return
        try:
            with self._store.read() as tx:
                self._names = frozenset(model.name for model in tx.models.list_models())
        except STORE_DOWN:
            return
        if unknown := sorted(asked - self._names):
            known = ", ".join(sorted(self._names)) or "none"
            raise UsageError("ST0727", f"{where}: there is no model '{unknown[0]}'.", remedy=f"Known: {known}.")


def outcomes_document(tx: Transaction, project: Project, model: str, *, now: datetime, days: int) -> Document:
    """What was received for a model in the last days, by name and day of the first record. Raises NotFound."""
    tx.models.get_model(model)
    since = now - timedelta(days=days)
    horizons = _horizons(tx, model)
    found = receipts(project.events, project.outcomes, model, since=since, horizons=horizons)
    names = dict.fromkeys(receipt.name for receipt in found)
    return {
        "schema": "seatrial.outcomes.v1",
        "model": model,
        "days": days,
        "names": [
            {
                "name": name,
                "horizonSeconds": horizons.get(name),
                **_sums([receipt for receipt in found if receipt.name == name]),
                "byDay": [{"day": r.day.isoformat(), **_sums([r])} for r in found if r.name == name],
            }
            for name in names
        ],
    }


def _sums(found: list[Receipt]) -> dict[str, int | None]:
    judged = any(receipt.late is not None for receipt in found)
    sums = {name: sum(getattr(receipt, name) or 0 for receipt in found) for name in COUNTS}
    return {name: None if name == "late" and not judged else number for name, number in sums.items()}


def _horizons(tx: Transaction, model: str) -> dict[str, float]:
    """The longest horizon of each outcome in the plan of the model's latest rollout, in seconds."""
    horizons: dict[str, float] = {}
    metrics = [metric for stored in tx.rollouts.list(model)[-1:] for metric in load(stored).plan.metrics]
    for metric in metrics:
        if metric.horizon is not None:
            horizons |= {name: max(metric.horizon.seconds, horizons.get(name, 0.0)) for name in metric.outcomes}
    return horizons
