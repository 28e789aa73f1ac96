"""How careful to be with a model, over HTTP: read, changed, audited, and refused."""

from __future__ import annotations

from typing import Any

import pytest

DEFAULT = {"tier": 2, "impact": "ordinary", "standby": "hot"}


def put(api: Any, body: object, **headers: str) -> Any:
    return api.call("PUT", "/v1/models/fraud/safety", json=body, headers=headers or api.token)


def shown(api: Any) -> dict[str, Any]:
    known: dict[str, Any] = api.get("/v1/models/fraud").json()["safety"]
    return {name: known[name] for name in DEFAULT}


def test_safety_is_the_whole_of_what_was_put_and_audited_once(api: Any) -> None:
    assert shown(api) == DEFAULT
    for _ in range(2):  # the same again is no change
        assert put(api, {"tier": 1, "impact": "irreversible"}).status_code == 200
    assert shown(api) == {**DEFAULT, "tier": 1, "impact": "irreversible"}
    assert put(api, {"standby": "warm"}).status_code == 200
    assert shown(api) == {**DEFAULT, "standby": "warm"}
    with api.store.read() as tx:
        told = [entry for entry in tx.audit.log() if entry.action == "model.safety"]
    assert len(told) == 2
    assert any('"tier":1' in entry.detail for entry in told)


@pytest.mark.parametrize(
    "body", [{"tier": 0}, {"tier": "first"}, {"impact": "grave"}, {"standby": "lukewarm"}, {"t": 1}]
)
def test_what_is_no_safety_is_refused_and_changes_nothing(api: Any, body: object) -> None:
    refused = put(api, body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["remedy"]
    assert shown(api) == DEFAULT


def test_an_operator_does_not_make_a_model_less_careful(api: Any) -> None:
    assert put(api, {"tier": 3}, **api.person("olga", "operator")).status_code == 403
    assert put(api, {"tier": 3}, **api.person("ada", "approver")).status_code == 200
