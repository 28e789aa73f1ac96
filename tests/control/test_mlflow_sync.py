"""Rounds with MLflow's own registry, on a database beside the project; nothing of seatrial runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.control.mlflow.documents import status_document
from seatrial.control.mlflow.linking import link, tracking_of
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.errors import Conflict, NotFound
from seatrial.store.db import Store

NAME = "fraud-risk"


@pytest.fixture
def operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operations:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "seatrial.yaml").write_text("project: shop\n")
    project = Project.open(tmp_path)
    project.prepare()
    made = Operations(project, Store.open(project.store_url))
    made.adopt("fraud", "http://127.0.0.1:9000", actor="ann")
    return made


@pytest.mark.filterwarnings("default")  # MLflow's own
def test_a_round_puts_down_what_it_saw_and_puts_it_back(operations: Operations) -> None:
    from mlflow.tracking import MlflowClient  # takes seconds

    project, store, now = operations.project, operations.store, operations.clock.now()
    tracking = tracking_of(project)
    registry = MlflowClient(tracking.uri)  # a person at MLflow
    registry.create_registered_model("other")
    registry.create_registered_model(NAME)
    run = registry.create_run("0").info.run_id
    for _ in range(3):
        registry.create_model_version(NAME, "runs:/none/model", run)
    tracking.point(NAME, "champion", 1)
    assert link(project, store, tracking, "fraud", NAME, actor="ann", now=now) == 1
    with pytest.raises(Conflict, match="ST1540"):
        link(project, store, tracking, "fraud", "other", actor="ann", now=now)
    with pytest.raises(NotFound, match="ST1534"):
        link(project, store, tracking, "fraud", "none", actor="ann", now=now)

    first = operations.mlflow.round()
    assert (first.written, first.asked, first.troubles) == (0, 0, [])
    assert tracking.version(NAME, 1).tags["seatrial.stage"] == "Production"

    tracking.point(NAME, "champion", 2)
    tracking.tag_version(NAME, 3, "seatrial.request", "rollout")
    second = operations.mlflow.round()
    assert (second.written, second.asked) == (1, 2)
    assert tracking.aliases_of(NAME) == {"champion": 1}
    with store.read() as tx:
        document = status_document(tx, project)
        assert [(one.number, one.via, one.state) for one in tx.mlflow.requests()] == [
            (2, "alias", "refused"), (3, "tag", "refused")]  # fmt: skip
        assert tx.audit.verify().ok
        kinds = [stored.alert.kind for stored in tx.alerts.after(0)]
    assert kinds == ["mlflow.moved", "mlflow.refused", "mlflow.refused"]
    assert tracking.version(NAME, 2).tags["seatrial.answer"].startswith("refused: ")
    assert tracking.version(NAME, 3).tags["seatrial.request"] == "refused"
    assert [alias["inOrder"] for alias in document["models"][0]["aliases"]] == [True] * 4

    third = operations.mlflow.round()
    assert (third.written, third.asked, third.tags) == (0, 0, 0)
    tracking.tag_version(NAME, 1, "seatrial.stage", "Archived")  # somebody else's hand
    assert operations.mlflow.round(full=True).tags > 0
    assert tracking.version(NAME, 1).tags["seatrial.stage"] == "Production"
