"""A credit model with versions whose lineage is told in full, in a project without a control plane."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial.control.changes.envelopes import check_document
from seatrial.control.changes.triage import assess
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import ModelVersion, Serving
from seatrial.store.canonical import digest_of
from seatrial.store.db import Store

FEATURES = ("income", "score")


class Bank:
    """``store`` and ``operations`` of a project in ``root``; each version is one month newer than the one before."""

    def __init__(self, root: Path, more: str = "") -> None:
        (root / "seatrial.yaml").write_text(f"project: bank\napi: {{port: 1}}\n{more}")
        self.project = Project.open(root)
        self.project.prepare()
        self.store = Store.open(self.project.store_url)
        self.operations = Operations(self.project, self.store)
        self._made = 0

    def register(self, *, sources: dict[str, str] | None = None, **model: Any) -> ModelVersion:
        """The same pipeline on the next month of data, unless something else is said."""
        self._made += 1
        n, digest = self._made, digest_of({"model": self._made})
        told: dict[str, Any] = {
            "hyperparameters": {"C": 0.5}, "metrics": {"auc": 0.838}, "algorithm": "logistic regression",
            "importances": {"income": 0.41, "score": 0.59}, **model,
        }  # fmt: skip
        lineage = ArtifactLineage(
            CodeRef("1f0c2aa", dirty=False),
            DataRef(
                digest_of({"data": n}), 48_000 + n, datetime(2025, n, 1, tzinfo=UTC), datetime(2026, n, 1, tzinfo=UTC),
                "applications", sources or {"income": "payroll", "score": "credit_bureau_v2"},
                target="90 days past due within 12 months", population="personal loans, EU",
            ),
            ModelRef(digest, "scikit-learn 1.7", **told),
        )  # fmt: skip
        serving = Serving(kind="artifact", artifact=digest, format="skops", features=FEATURES)
        return self.operations.register("credit", serving, lineage, actor="ann")

    def serve(self, version: int) -> None:
        """As if it had been promoted before there was anything to compare."""
        with self.store.begin() as tx:
            now = datetime(2026, 3, 1, tzinfo=UTC)
            tx.models.move_pointer("credit", "champion", expected=None, to=version, actor="ann", now=now)

    def triage(self, version: int, against: int | None = None) -> dict[str, Any]:
        """What ``change triage --json`` answers."""
        with self.store.read() as tx:
            return assess(tx, self.project, "credit", version, against=against).document()

    def envelope_check(self, version: int) -> dict[str, Any]:
        """What ``change envelope check --json`` answers."""
        with self.store.read() as tx:
            return check_document(tx, "credit", version)

    def close(self) -> None:
        self.store.close()
