"""The contract of a model over HTTP: with a model, with a version, and on its own."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.registry.contract import Contract
from seatrial.values import Duration

POINTED = {"format": "json", "score": "/output", "outcomeKey": "order", "features": ["amount"], "retention": "30d"}


def put(api: Any, model: str, body: object, **headers: str) -> Any:
    return api.call("PUT", f"/v1/models/{model}/contract", json=body, headers={**api.token, **headers})


def test_a_contract_is_the_whole_of_what_was_put(api: Any) -> None:
    assert put(api, "fraud", POINTED).json()["contract"] == POINTED
    assert api.get("/v1/models/fraud").json()["contract"] == POINTED
    assert put(api, "fraud", {"label": "/class"}).json()["contract"] == {"label": "/class"}
    with api.store.read() as tx:
        newest = tx.audit.log(1)[0]
    assert (newest.action, newest.object) == ("model.configure", "fraud")
    assert '"after":{"label":"/class"}' in newest.detail


def test_a_new_model_begins_with_its_contract(api: Any) -> None:
    made = api.post("/v1/models/churn/adopt", {"url": "http://127.0.0.1:9/", "contract": POINTED})
    assert made.status_code == 201
    assert api.get("/v1/models/churn").json()["contract"] == POINTED
    other = {**POINTED, "features": ["*"]}
    version = {"serving": {"kind": "url", "url": "http://127.0.0.1:9/"}, "lineage": lineage(), "contract": other}
    assert api.post("/v1/models/churn/versions", version).status_code == 201
    assert api.get("/v1/models/churn").json()["contract"] == other
    del version["contract"]
    assert api.post("/v1/models/churn/versions", version).status_code == 201
    assert api.get("/v1/models/churn").json()["contract"] == other, "nothing said, nothing changed"


def lineage() -> dict[str, Any]:
    digest = "sha256:" + "a" * 64
    return {
        "code": {"commit": "1f0c2aa", "dirty": False},
        "data": {"digest": digest, "rows": 3},
        "model": {"digest": digest, "framework": "sklearn"},
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"score": "output"}, "ST0131"),
        ({"format": "mlflow", "rows": "/x"}, "ST0134"),
        ({"format": "xml"}, "ST0841"),
        ({"outcome": "x"}, "ST0841"),
        ({"retention": "soon"}, "ST0841"),
        ([], "ST0841"),
    ],
)
def test_what_cannot_be_honoured_is_refused_and_changes_nothing(api: Any, body: object, code: str) -> None:
    refused = put(api, "fraud", body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert api.get("/v1/models/fraud").json()["contract"] == {}


def test_nobody_configures_without_a_token_or_what_does_not_exist(api: Any) -> None:
    assert api.call("PUT", "/v1/models/fraud/contract", json={}).status_code == 401
    assert put(api, "churn", {}).status_code == 404


def test_an_operator_brings_versions_and_agrees_on_nothing(api: Any) -> None:
    operator = api.person("olga", "operator")
    adoption = {"url": "http://127.0.0.1:9/"}
    assert api.call("POST", "/v1/models/churn/adopt", json=adoption, headers=operator).status_code == 201
    asked = [
        ("PUT", "fraud/contract", POINTED),
        ("POST", "credit/adopt", {**adoption, "contract": POINTED}),
        ("POST", "fraud/versions", {"serving": {"kind": "url", **adoption}, "lineage": lineage(), "contract": {}}),
    ]
    for method, path, body in asked:
        assert api.call(method, f"/v1/models/{path}", json=body, headers=operator).status_code == 403, path
        assert api.call(method, f"/v1/models/{path}", json=body, headers=api.token).status_code < 300, path


def test_a_rollouts_evidence_is_read_in_one_way(api: Any, rollout: str) -> None:
    refused = put(api, "fraud", {"score": "/output"})
    assert (refused.status_code, refused.json()["code"]) == (409, "ST0761")
    assert rollout in refused.json()["message"]
    kept = put(api, "fraud", {"features": ["amount"], "retention": "7d"})
    assert kept.status_code == 200, "what is kept changes no reading"
    with api.store.read() as tx:
        agreed = Contract(features=("amount",), retention=Duration.parse("7d"))
        assert tx.models.get_model("fraud").contract == agreed
    api.operations.by_hand(rollout, "abort", actor="ann")
    assert put(api, "fraud", {"score": "/output"}).status_code == 200
