"""Versions that answer with class labels, and the metrics that cannot be measured of them."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.errors import PlanError
from seatrial.integrations.mlflow.flavor import REMEDY
from seatrial.registry.version import ModelVersion
from seatrial.rollout.plan import Plan


def require_scores(plan: Plan, versions: Iterable[ModelVersion]) -> None:
    """Raises PlanError (``ST1553``) for metrics of scores where a version is known to have none."""
    wanted = [metric.name for metric in plan.metrics if metric.kind == "loss" or metric.among is not None]
    for version in versions:
        if wanted and version.serving.kind == "url" and version.tags.get("mlflow.output") == "labels":
            raise PlanError(
                "ST1553", f"plan '{plan.name}': {', '.join(wanted)} cannot be measured: {version.name} answers with "
                "class labels, and a metric of scores needs scores.",
                remedy=f"{REMEDY} Or measure what labels have: a proportion or mean of an outcome, or agreement.",
            )  # fmt: skip
