"""What the API answers: documents, statuses of errors, outcomes that are kept before they are acknowledged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from seatrial.errors import Unavailable
from seatrial.events.outcomes import OutcomeLog

OUTCOME = {"model": "fraud", "key": "q1", "name": "label", "value": 1, "time": "2026-03-01T12:00:00Z"}
PLAN = {
    "name": "quick",
    "metrics": [{"name": "errors", "kind": "error_rate", "margin": "1pp"}],
    "steps": [{"setWeight": "10%"}],
}


# ── documents ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_models_and_versions(api: Any) -> None:
    listed = api.get("/v1/models").json()
    assert listed["schema"] == "seatrial.models.v1"
    assert [(m["name"], m["pointers"]["champion"]) for m in listed["models"]] == [("fraud", 1)]
    model = api.get("/v1/models/fraud").json()
    assert model["schema"] == "seatrial.model.v1"
    assert [(v["version"], v["stage"], v["source"]) for v in model["versions"]] == [
        (1, "Production", "adopted"),
        (2, "None", "registered"),
    ]
    assert model["versions"][1]["lineage"]["data"]["rows"] == 1000


def test_a_rollout_from_start_to_abort(api: Any) -> None:
    started = api.post("/v1/rollouts", {"model": "fraud", "version": 2, "plan": PLAN})
    assert (started.status_code, started.json()["rollout"]) == (201, "r-0001")
    document = api.get("/v1/rollouts/fraud").json()
    assert document["schema"] == "seatrial.rollout.v1"
    assert (document["id"], document["status"], document["setWeight"]) == ("r-0001", "running", 10.0)
    assert document["actualWeight"] is None, "no gateway runs, and nothing is made up"
    aborted = api.post("/v1/rollouts/r-0001/abort", {"reason": "enough"}, headers={"x-seatrial-actor": "ann"}).json()
    assert (aborted["action"], aborted["actor"], aborted["reason"]) == ("abort", "ann", "enough")
    assert api.get("/v1/rollouts", params={"active": True}).json()["rollouts"] == []
    told = api.get("/v1/rollouts/r-0001/decisions").json()
    assert [d["action"] for d in told["decisions"]] == ["start", "abort"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_that_no_calendar_has_is_refused(api: Any, time: str) -> None:
    run = {"event": "commit", "startedAt": time, "steps": []}
    refused = api.post("/v1/ci/runs", run)
    assert (refused.status_code, refused.json()["code"]) == (422, "ST0601")
    assert api.post("/v1/ci/runs", run | {"startedAt": "9999-12-31T23:59:59Z"}).status_code == 201


def test_an_actor_that_is_no_name_is_not_believed(api: Any, rollout: str) -> None:
    decision = api.post(f"/v1/rollouts/{rollout}/pause", headers={"x-seatrial-actor": "a b\x7f"}).json()
    assert decision["actor"] == "local"


def test_a_switch_answers_what_was_measured(api: Any) -> None:
    document = api.post("/v1/models/fraud/kill", {"reason": "fire", "mode": "off"}).json()
    assert document["schema"] == "seatrial.switched.v1"
    assert (document["to"], document["tookMs"], document["split"]) == ("off", 1.25, {"v1": 1.0})


def test_registration_takes_serving_and_lineage(api: Any) -> None:
    digest = "sha256:" + "c" * 64
    body = {
        "serving": {"kind": "url", "url": "http://127.0.0.1:9/"},
        "lineage": {
            "code": {"commit": "77ab310", "dirty": True},
            "data": {"digest": digest, "rows": 5, "start": "2026-01-01T00:00:00Z"},
            "model": {"digest": digest, "framework": "xgboost", "metrics": {"auc": 0.9}},
        },
        "tags": {"team": "risk"},
    }
    answer = api.post("/v1/models/fraud/versions", body)
    assert (answer.status_code, answer.json()["version"], answer.json()["tags"]) == (201, 3, {"team": "risk"})


def test_health_readiness_schema_and_docs(api: Any) -> None:
    assert api.get("/healthz").json()["project"] == "shop"
    assert api.get("/readyz").status_code == 200
    api.missing = "the gateway is starting"
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, "the gateway is starting")
    assert "setWeight" in json.dumps(api.get("/v1/schema/plan").json())
    assert "/v1/rollouts/{rollout}/{verb}" in api.get("/openapi.json").json()["paths"]
    assert api.get("/docs").status_code == 200


def test_the_audit_log(api: Any) -> None:
    document = api.get("/v1/audit", params={"limit": 2}).json()
    assert [e["action"] for e in document["entries"]] == ["version.register", "stage.adopt"]
    assert api.get("/v1/audit/verify").json()["ok"]


def test_metrics_are_prometheus_text_with_the_names_of_peers(api: Any, rollout: str) -> None:
    api.post(f"/v1/rollouts/{rollout}/pause")
    families = {f.name: f for f in text_string_to_metric_families(api.get("/metrics").text)}
    (info,) = families["seatrial_rollout_info"].samples
    assert info.labels == {
        "rollout": rollout, "model": "fraud", "candidate": "2", "champion": "1", "plan": "quick",
        "status": "paused", "stage": "shadow",
    }  # fmt: skip
    assert [s.value for s in families["seatrial_rollout_weight"].samples] == [0.0]
    assert [s.value for s in families["seatrial_rollout_status"].samples] == [1.0]
    assert [s.value for s in families["seatrial_model_killed"].samples] == [0.0]


# ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/models/nix/adopt", {"url": "ftp://x"}, 422, "ST0122"),
        ("/v1/models/fraud/adopt", {"url": "http://127.0.0.1:9/"}, 409, "ST0632"),
        ("/v1/models/fraud/adopt", {"uri": "http://127.0.0.1:9/"}, 422, "ST0841"),
        ("/v1/models/fraud/revive", {"reason": "x"}, 503, "ST0800"),
        ("/v1/rollouts/r-9999/abort", {}, 404, "ST0661"),
        ("/v1/rollouts/r-0001/explode", {}, 422, "ST0841"),
        ("/v1/rollouts", {"model": "fraud", "version": 2, "plan": {**PLAN, "metrix": []}}, 422, "ST0200"),
        ("/v1/rollouts", {"model": "fraud", "version": 2, "plan": {**PLAN, "metrics": []}}, 422, "ST0211"),
        ("/v1/nothing", {}, 404, "ST0842"),
    ],
)
def test_an_error_says_what_and_with_which_status(api: Any, path: str, body: Any, status: int, code: str) -> None:
    answer = api.post(path, body)
    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), document
    assert document["schema"] == "seatrial.error.v1"
    assert document["message"]


def test_a_rollout_that_is_over_is_a_conflict(api: Any, rollout: str) -> None:
    assert api.post(f"/v1/rollouts/{rollout}/abort").status_code == 200
    assert api.post(f"/v1/rollouts/{rollout}/abort").status_code == 409


def test_an_unknown_field_gets_the_nearest_name(api: Any) -> None:
    plan = {**PLAN, "metrics": [{"name": "errors", "kind": "error_rate", "margn": "1pp"}]}
    answer = api.post("/v1/rollouts", {"model": "fraud", "version": 2, "plan": plan}).json()
    assert "did you mean 'margin'?" in answer["message"]
    body = {"serving": {"kind": "url", "url": "http://x/"}, "lineage": {"data": {"digets": "sha256:0", "rows": 1}}}
    answer = api.post("/v1/models/fraud/versions", body).json()
    assert (answer["message"], answer["remedy"]) == ("lineage.data.digets is unknown.", "Did you mean 'digest'?")


def test_a_bug_answers_500_without_its_insides(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **named: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(api.operations, "adopt", broken)
    answer = api.post("/v1/models/new/adopt", {"url": "http://x/"})
    assert (answer.status_code, answer.json()["code"]) == (500, "ST0840")
    assert "hunter2" not in answer.text


# ── outcomes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _send(api: Any, body: bytes, **params: str) -> Any:
    return api.call("POST", "/v1/outcomes", content=body, headers=api.token, params=params)


def test_outcomes_are_on_disk_when_acknowledged(api: Any) -> None:
    answer = _send(api, _lines(OUTCOME, {**OUTCOME, "key": "q2"}))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    assert (api.project.outcomes / "outcomes.jsonl").read_text().count("\n") == 2


def test_what_could_not_be_kept_is_not_acknowledged(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(log: OutcomeLog, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(OutcomeLog, "_write", full)
        answer = _send(api, _lines(OUTCOME))
        assert (answer.status_code, answer.json()["code"]) == (503, "ST0520")
        assert "accepted" not in answer.json()
    assert _send(api, _lines(OUTCOME)).json()["accepted"] == 1, "the client sends again, and it is kept"


def test_a_store_that_does_not_answer_is_503(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(outcomes: object) -> int:
        raise Unavailable("ST0611", "the store does not answer.", remedy="Try again.")

    monkeypatch.setattr(api.operations, "ingest", unavailable)
    assert _send(api, _lines(OUTCOME)).status_code == 503


def test_one_bad_line_keeps_nothing(api: Any) -> None:
    answer = _send(api, _lines(OUTCOME, {**OUTCOME, "value": "much"}))
    assert answer.status_code == 422
    assert "line 2" in answer.json()["message"]
    assert not (api.project.outcomes / "outcomes.jsonl").exists()
    assert _send(api, _lines({k: v for k, v in OUTCOME.items() if k != "model"}), model="fraud").status_code == 200
