"""The audit log's anchors as tags of the registered models: MLflow is kept by others than this store is."""

from __future__ import annotations

from collections.abc import Callable

from seatrial.control.mlflow.linking import tracking_of
from seatrial.control.project import Project

TARGET = "mlflow"
"""The name of MLflow among the places where anchors are kept."""


def tagger(project: Project) -> Callable[[str, str], None]:
    """Sets a tag, by name and value, on every registered model of seatrial.yaml.

    Raises, when it is called, what asking MLflow raises: an anchor that one of them has not got is not kept.
    """

    def tag(name: str, value: str) -> None:
        tracking = tracking_of(project)
        for registered in project.config.mlflow.models.values():
            tracking.tag_model(registered, name, value)

    return tag
