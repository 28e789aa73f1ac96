"""Four changes of a credit model, two material and two not, that any rules of triage should tell apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from seatrial.governance.change_delta import delta
from seatrial.governance.change_rules import Rules
from seatrial.governance.materiality import Triage, triage
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import ModelVersion, Serving


@dataclass(frozen=True, slots=True)
class Example:
    """A change with the verdict that it must get."""

    title: str
    material: bool
    before: ModelVersion
    after: ModelVersion

    def triage(self, rules: Rules) -> Triage:
        return triage(delta(self.before, self.after), rules)


def _digest(letter: str) -> Digest:
    return Digest("sha256:" + letter * 64)


_CODE: Final = CodeRef("1f0c2aa", dirty=False, repository="https://git.example.com/credit")
_DATA: Final = DataRef(
    _digest("a"), 48_210, datetime(2025, 2, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), "applications",
    sources={"income": "payroll", "score": "credit_bureau_v2"},
    target="90 days past due within 12 months", population="personal loans, EU",
)  # fmt: skip
_MODEL: Final = ModelRef(
    _digest("b"), "scikit-learn 1.6.1", {"C": 0.5}, {"auc": 0.838}, {"income": 0.41, "score": 0.59},
    algorithm="logistic regression",
)  # fmt: skip
_CHAMPION: Final = ModelVersion(
    ModelName("credit"), VersionNumber(1), Stage.PRODUCTION, ArtifactLineage(_CODE, _DATA, _MODEL),
    Serving(kind="artifact", artifact=_digest("b"), format="skops", features=("income", "score")),
    "registered", datetime(2026, 2, 3, tzinfo=UTC), "ann",
)  # fmt: skip


def _next(*, code: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **model: Any) -> ModelVersion:
    made = {"digest": _digest("d"), **model}
    lineage = ArtifactLineage(replace(_CODE, **(code or {})), replace(_DATA, **(data or {})), replace(_MODEL, **made))
    serving = replace(_CHAMPION.serving, artifact=made["digest"])
    return replace(_CHAMPION, number=VersionNumber(2), stage=Stage.NONE, lineage=lineage, serving=serving)


_MONTH: Final[dict[str, Any]] = {
    "digest": _digest("c"), "rows": 48_944,
    "start": datetime(2025, 3, 1, tzinfo=UTC), "end": datetime(2026, 3, 1, tzinfo=UTC),
}  # fmt: skip

EXAMPLES: Final = (
    Example(
        "another data source: score from credit_bureau_v3 instead of v2", True, _CHAMPION,
        _next(data={**_MONTH, "sources": {"income": "payroll", "score": "credit_bureau_v3"}}, metrics={"auc": 0.841}),
    ),
    Example(
        "another algorithm: gradient-boosted trees instead of logistic regression", True, _CHAMPION,
        _next(framework="xgboost 2.1.0", algorithm="gradient-boosted trees", hyperparameters={"max_depth": 4},
              metrics={"auc": 0.859}),
    ),
    Example(
        "the same pipeline on the next month of data", False, _CHAMPION,
        _next(data=_MONTH, metrics={"auc": 0.835}, importances={"income": 0.43, "score": 0.57}),
    ),
    Example(
        "a refactoring and a newer library, with the same data and metrics", False, _CHAMPION,
        _next(code={"commit": "77ab310"}, framework="scikit-learn 1.7.0", metrics={"auc": 0.838}),
    ),
)  # fmt: skip
"""As they are documented; ``seatrial change triage --examples`` runs them by the rules in force."""
