"""The audit log's anchors in a real MLflow server: kept as tags that still prove the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditparts import NOON, act, anchored_project, rewrite_log
from mlflowserver import MlflowServer, needs_mlflow
from seatrial.control.anchoring.anchoring import take_anchor
from seatrial.control.anchoring.keys import trusted_keys
from seatrial.control.anchoring.sinks import TAG_PREFIX
from seatrial.control.project import Project
from seatrial.store.audit_anchors import SignedAnchor
from seatrial.store.db import Store

pytestmark = [pytest.mark.live, pytest.mark.slow, needs_mlflow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.stop()


def test_an_anchor_in_a_tag_betrays_a_log_that_was_rewritten(server: MlflowServer, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(server.url, server.url)
    client.create_registered_model("shop-ranker")
    project = anchored_project(tmp_path)
    with (project.root / "seatrial.yaml").open("a") as file:
        file.write(f"mlflow: {{trackingUri: '{server.url}', models: {{shop: shop-ranker}}, anchors: true}}\n")
    project = Project.open(project.root)
    with Store.open(project.store_url) as store:
        act(store)
        taken = take_anchor(project, store, NOON)
        assert (set(taken.kept), dict(taken.failed)) == ({"vault", "mlflow"}, {})
        tags = client.get_registered_model("shop-ranker").tags
        signed = SignedAnchor.of(json.loads(tags[f"{TAG_PREFIX}shop.5"]))
        signed.require(trusted_keys(project), "the tag")
        with store.read() as tx:
            assert tx.audit.verify(signed.statement.anchor).ok
        rewrite_log(store, 2)
        with store.read() as tx:
            assert tx.audit.verify(signed.statement.anchor).first_bad == 5
