"""A real MLflow server, real ``mlflow models serve``: aliases moved by hand, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline import run_command
from livefixtures import Make
from livesystem import Live
from mlflowserver import MlflowServer, needs_mlflow
from seatrial.control.mlflow.documents import status_document
from seatrial.control.mlflow.linking import link, register, tracking_of
from seatrial.control.mlflow.scores import require_scores
from seatrial.control.mlflow.sync import Round
from seatrial.control.project import Project
from seatrial.errors import PlanError, Unavailable, UsageError
from seatrial.integrations.mlflow.endpoint import probe
from seatrial.integrations.mlflow.tracking import Tracking
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow, needs_mlflow]

PLAN = """
name: careful
deadline: 30d
metrics:
  - {name: errors, kind: error_rate, margin: 10%}
steps:
  - setWeight: 20%
  - pause: {duration: 1d}
"""
ROW = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
NAME = "credit-risk"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    server.train(NAME, "proba", "proba", "proba", "orphan", "labels")
    yield server
    server.stop()


class Registry:
    """A person at MLflow."""

    def __init__(self, live: Live) -> None:
        self.live, self.mlflow = live, tracking_of(live.project)

    def aliases(self) -> dict[str, int]:
        return self.mlflow.aliases_of(NAME)

    def tags(self, number: int) -> dict[str, str]:
        return dict(self.mlflow.version(NAME, number).tags)

    def sync(self) -> Round:
        return self.live.operations.mlflow.round()

    def kinds(self) -> list[str]:
        """Of all alerts of MLflow, oldest first."""
        with self.live.store.read() as tx:
            return [one.alert.kind for one in tx.alerts.after(0) if one.alert.kind.startswith("mlflow.")]


@pytest.fixture(scope="module")
def first(server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where MLflow serves version 1."""
    serving = server.serve(f"models:/{NAME}/1", tmp_path_factory.mktemp("serving"))
    serving.start()
    yield serving.url
    serving.stop()


@pytest.fixture
def person(make: Make, server: MlflowServer, first: str) -> Registry:
    """Version 1 is adopted, and ``@champion`` in MLflow."""
    live = make(more=f"mlflow: {{trackingUri: '{server.url}', plan: plan.yaml}}", attempt="4s")
    live.model = "credit"
    (live.project.root / "plan.yaml").write_text(PLAN)
    live.operations.adopt("credit", first, actor="ann")
    found = Registry(live)
    for number in range(1, 6):
        for tag in ("seatrial.request", "seatrial.answer", "seatrial.url"):
            found.mlflow.tag_version(NAME, number, tag, "")
    for alias in found.aliases():
        found.mlflow.point(NAME, alias, None)
    found.mlflow.point(NAME, "champion", 1)
    assert link(live.project, live.store, found.mlflow, "credit", NAME, actor="ann", now=live.t0) == 1
    return found


def predict(live: Live, unit: str) -> float:
    body = {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}}
    answer = live.client.predict("credit", body, unit=unit, headers={"x-event-time": live.t0.isoformat()})
    live.client.close()
    assert answer.ok, answer
    return float(answer.body["predictions"][0][1])


def test_a_moved_alias_is_a_rollout_that_ends_with_the_alias_there(person: Registry, server: MlflowServer) -> None:
    live, mlflow = person.live, person.mlflow
    calm = person.sync()
    assert (calm.written, calm.asked, calm.troubles) == (0, 0, [])
    before = predict(live, "u1")

    mlflow.point(NAME, "champion", 2)  # by hand, in MLflow
    seen = person.sync()
    assert (seen.asked, seen.troubles) == (1, [])
    assert person.aliases()["champion"] == 1  # not flipped
    assert "r-0001" in person.tags(2)["seatrial.answer"]
    assert live.weight() == 2000
    assert live.pointers()["champion"] == 1

    person.sync()
    assert person.aliases() == {"champion": 1, "challenger": 2}
    assert person.tags(2)["seatrial.stage"] == "Canary"
    assert person.tags(2)["seatrial.rollout"] == "r-0001"

    live.operations.by_hand("r-0001", "promote", full=True, reason="shown", actor="ann")
    person.sync()
    assert person.aliases() == {"champion": 2, "previous": 1}
    assert person.tags(2)["seatrial.stage"] == "Production"
    assert person.tags(1)["seatrial.stage"] == "Standby"
    assert person.tags(2)["seatrial.decision"].startswith("promote")
    assert predict(live, "u1") != before

    run = mlflow.run(mlflow.version(NAME, 2).run)
    assert run.data.tags["seatrial.rollout"] == "r-0001"
    folder = mlflow.download(f"{run.info.artifact_uri}/seatrial", live.project.root / "evidence")
    document = json.loads((folder / "r-0001.json").read_text())
    assert [one["action"] for one in document["decisions"]["decisions"]][-1] == "promote"
    with live.store.read() as tx:
        version = tx.models.get_version("credit", 2)
        told = status_document(tx, live.project)["models"][0]
    assert version.lineage is not None
    assert version.lineage.code is not None
    assert (version.lineage.code.commit, version.lineage.model and version.lineage.model.metrics) == (
        "1f0c2aa1",
        {"auc": 0.9},
    )
    assert told["tagsWaiting"] == told["evidenceWaiting"] == 0
    assert told["evidenceDelivered"] == 1
    assert all(alias["inOrder"] for alias in told["aliases"])
    quiet = person.sync()
    assert (quiet.written, quiet.asked, quiet.tags, quiet.evidence) == (0, 0, 0, 0)  # no echo of its own writes


def test_of_two_promoters_one_wins_and_the_other_is_told(person: Registry) -> None:
    live, mlflow = person.live, person.mlflow
    person.sync()
    mlflow.point(NAME, "champion", 2)
    mlflow.tag_version(NAME, 3, "seatrial.request", "rollout")
    person.sync()
    with live.store.read() as tx:
        requests = tx.mlflow.requests()
        (rollout,) = tx.rollouts.list("credit")
    assert [(one.number, one.via, one.state) for one in requests] == [
        (2, "alias", "started"), (3, "tag", "refused")]  # fmt: skip
    assert tx_candidate(live, rollout.id) == 2
    assert "r-0001" in person.tags(3)["seatrial.answer"]
    assert "abort" in person.tags(3)["seatrial.answer"]
    assert person.tags(3)["seatrial.request"] == "refused"
    assert person.kinds() == ["mlflow.moved", "mlflow.request", "mlflow.refused"]

    # One who promotes here while another moves the alias there: the alias was moved away from an old champion.
    live.operations.by_hand("r-0001", "promote", full=True, reason="shown", actor="ann")
    mlflow.point(NAME, "champion", 3)
    person.sync()
    assert person.aliases()["champion"] == 2
    assert "ST1544" not in person.tags(3)["seatrial.answer"]
    assert "is the champion since" in person.tags(3)["seatrial.answer"]
    with live.store.read() as tx:
        assert len(tx.rollouts.list("credit")) == 1
    mlflow.point(NAME, "champion", 3)  # and once more, knowing what serves
    person.sync()
    with live.store.read() as tx:
        assert [one.candidate for one in tx.rollouts.list("credit", active=True)] == [3]


def tx_candidate(live: Live, rollout: str) -> int:
    with live.store.read() as tx:
        return tx.rollouts.get(rollout).candidate


def test_mlflow_may_be_down_and_a_controller_may_die_in_between(person: Registry, server: MlflowServer) -> None:
    live = person.live
    person.sync()
    person.mlflow.point(NAME, "champion", 3)
    person.sync()
    live.operations.by_hand("r-0001", "promote", full=True, reason="shown", actor="ann")
    server.stop()
    try:
        for _ in range(2):
            with pytest.raises(Unavailable, match="ST1533"):
                person.sync()
        assert live.pointers()["champion"] == 2  # the store does not wait for MLflow
    finally:
        server.start()
    live.start()  # another controller
    after = person.sync()
    assert person.aliases() == {"champion": 3, "previous": 1}
    assert (after.asked, after.evidence) == (0, 1)
    assert person.kinds()[-2:] == ["mlflow.down", "mlflow.back"]


def test_a_quote_in_a_name_is_part_of_the_name(server: MlflowServer) -> None:
    server.train("o'brien", "labels")
    tracking = Tracking(server.url)
    assert [(one.name, one.number) for one in tracking.versions("o'brien")] == [("o'brien", 1)]
    assert tracking.versions("o' OR name = 'x") == ()
    with pytest.raises(UsageError, match="ST1543"):
        tracking.versions("""o'"brien""")


def test_what_has_no_known_origin_is_refused_and_an_alias_is_no_release(person: Registry) -> None:
    live, mlflow = person.live, person.mlflow
    person.sync()
    mlflow.tag_version(NAME, 4, "seatrial.request", "rollout")
    person.sync()
    assert "log_input" in person.tags(4)["seatrial.answer"]
    assert live.stages().keys() == {1}
    with pytest.raises(UsageError, match="ST1531"):
        register(live.operations, mlflow, "credit", f"models:/{NAME}@champion", actor="ann")
    mlflow.point(NAME, "fresh", 2)
    pinned, _ = register(live.operations, mlflow, "credit", f"models:/{NAME}@fresh", resolved=True, actor="ann")
    assert pinned.tags["mlflow.uri"] == f"models:/{NAME}/2"
    assert pinned.serving.artifact == pinned.tags["mlflow.digest"]
    same, _ = register(live.operations, mlflow, "credit", f"models:/{NAME}/2", actor="ann")
    assert same.number == pinned.number
    run = mlflow.version(NAME, 3).run
    logged, _ = register(live.operations, mlflow, "credit", f"runs:/{run}/model", actor="ann")
    assert logged.number == pinned.number + 1
    assert logged.lineage is not None
    assert logged.lineage.data is not None
    assert (logged.lineage.data.rows, logged.lineage.data.sources["a"]) == (200, "loans")


def test_a_model_server_of_mlflow_is_known_by_what_it_answers(
    server: MlflowServer, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serving = server.serve(f"models:/{NAME}/5", tmp_path / "serving")
    serving.start()
    (tmp_path / "seatrial.yaml").write_text("project: shop\n")
    example = tmp_path / "example.json"
    example.write_text(json.dumps([ROW, ROW]))
    try:
        for model, url in (("scored", first), ("labelled", serving.url)):
            told = ("--mlflow", url, "--example", str(example), "--json")
            run_command(capsys, "--project", str(tmp_path), "model", "adopt", model, *told)
    finally:
        serving.stop()
    with Store.open(Project.open(tmp_path).store_url) as store, store.read() as tx:
        scored, labelled = (tx.models.get_version(model, 1) for model in ("scored", "labelled"))
        assert tx.models.get_model("scored").contract.format == "mlflow"
    assert (scored.tags["mlflow.output"], labelled.tags["mlflow.output"]) == ("scores", "labels")
    assert scored.tags["mlflow.server"].startswith("3.")
    loss = "{name: worth, kind: loss, loss: log_loss, outcome: y, horizon: 1h, margin: 5%}"
    plan = parse_plan(PLAN.replace("steps:", f"  - {loss}\nsteps:"))
    require_scores(plan, [scored])
    with pytest.raises(PlanError, match=r"ST1553.*worth.*labelled v1"):
        require_scores(plan, [labelled])
    require_scores(parse_plan(PLAN), [labelled])
    with pytest.raises(UsageError, match="ST1551"):
        probe(server.url)
