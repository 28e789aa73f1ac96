"""Retraining over HTTP and on its page: who may set policies, and what triggers, runs and rollouts look like."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apisystem import Api
from seatrial.control.retraining.loop import Loop
from trainings import HOUR, T0, Hands, Instant, Readings, policy


@pytest.fixture
def trained(api: Api) -> Api:
    """A model whose inputs moved: one run, which registered v3, and one that waits."""
    clock = api.operations.clock = Hands(T0)
    assert _set(api, api.token).status_code == 200
    sensor = Readings()
    loop = Loop(api.operations, {"process": Instant()}, sensor=sensor)
    sensor.psi, sensor.loss = {"x": 0.35}, 0.04
    for _ in range(2):
        clock.time += HOUR
        loop.tick()
    return api


def _set(api: Api, headers: Any) -> Any:
    return api.call("PUT", "/v1/retraining/policies/fraud", json={"text": policy(api.project)}, headers=headers)


def test_a_policy_runs_commands_so_only_admins_set_one(api: Api) -> None:
    assert _set(api, api.person("olga", "operator")).status_code == 403
    assert _set(api, api.person("root", "admin")).json()["schema"] == "seatrial.trigger-policy.v1"
    assert api.get("/v1/retraining/policies").json()["policies"][0]["setBy"] == "root"


def test_a_run_is_asked_for_by_people_and_webhooks_and_not_by_strangers(trained: Api) -> None:
    asked = trained.post("/v1/retraining/models/fraud/run")
    assert (asked.status_code, asked.json()["trigger"], asked.json()["after"]) == (202, "by-hand", 1)
    assert trained.post("/v1/retraining/models/fraud/webhooks/feature-store").status_code == 202
    assert trained.post("/v1/retraining/models/fraud/webhooks/weekly").json()["code"] == "ST1304"
    assert trained.call("POST", "/v1/retraining/models/fraud/run", json={}).status_code == 401
    assert trained.call("POST", "/v1/retraining/models/fraud/webhooks/feature-store").status_code == 401


def test_status_runs_and_timeline_tell_one_story(trained: Api) -> None:
    (model,) = trained.get("/v1/retraining").json()["models"]
    assert (model["champion"], model["lastRun"]["status"], model["waiting"][0]["trigger"]) == (
        1, "registered_only", "inputs",
    )  # fmt: skip
    (run,) = trained.get("/v1/retraining/runs", params={"model": "fraud"}).json()["runs"]
    assert trained.get(f"/v1/retraining/runs/{run['id']}").json() == run
    entries = trained.get("/v1/retraining/timeline/fraud").json()["entries"]
    assert [(e["lane"], e["what"]) for e in entries][-1] == ("triggers", "suppressed")
    assert trained.get("/v1/retraining/runs/t-0009").status_code == 404
    assert trained.post(f"/v1/retraining/runs/{run['id']}/cancel").json()["code"] == "ST1307"


def test_the_page_shows_why_and_what_came_of_it_with_a_picture(trained: Api) -> None:
    text = trained.get("/retraining/fraud", headers={"accept": "text/html"}).text
    assert "PSI of x is 0.35" in text
    assert "/retraining/fraud/timeline.svg" in text
    assert "t-0001" in trained.get("/retraining", headers={"accept": "text/html"}).text
    picture = trained.get("/retraining/fraud/timeline.svg")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    assert "t-0001" in picture.text
    assert "suppressed" in picture.text


def test_a_model_that_nothing_trains_has_a_page_without_a_picture(api: Api) -> None:
    assert "No model has a policy" in api.get("/retraining", headers={"accept": "text/html"}).text
    assert "timeline.svg" not in api.get("/retraining/fraud", headers={"accept": "text/html"}).text
    assert api.get("/retraining/fraud/timeline.svg").status_code == 404


def test_age_and_last_run_are_metrics(trained: Api) -> None:
    families = {f.name: f for f in text_string_to_metric_families(trained.get("/metrics").text)}
    (info,) = families["seatrial_training_run_info"].samples
    assert info.labels == {"model": "fraud", "run": "t-0001", "status": "registered_only", "trigger": "inputs"}
    assert families["seatrial_training_cost"].samples[0].value == 3.0
    assert families["seatrial_model_loss_increase_ratio"].samples[0].value == 0.04
    assert families["seatrial_training_blocked"].samples[0].value == 0.0
    assert families["seatrial_model_champion_since_timestamp_seconds"].samples[0].labels == {"model": "fraud"}
