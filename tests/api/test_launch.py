"""Which plan a model allows, and the same release tried again: over HTTP, on the record."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seatrial.control.states import state_from_json
from seatrial.store.plans import parse_plan, plan_digest, plan_from_json, plan_to_json

METRICS = "metrics: [{name: errors, kind: error_rate, margin: 1pp}]"
CAREFUL = f"name: careful\n{METRICS}\nsteps: [{{shadow: {{}}}}, {{setWeight: 10%}}, {{pause: {{duration: 2h}}}}]"
FLIP = f"name: flip\n{METRICS}\nsteps: [{{shadow: {{}}}}, {{pause: {{duration: 2h}}}}]"


def start(api: Any, plan: str, headers: Any = None, **more: Any) -> Any:
    body = {"model": "fraud", "version": 2, "plan": plan_to_json(parse_plan(plan)), **more}
    return api.post("/v1/rollouts", body, headers=headers or {})


def told(api: Any, action: str) -> list[Any]:
    with api.store.read() as tx:
        return [entry for entry in tx.audit.log() if entry.action == action]


def mark(api: Any, impact: str) -> None:
    assert api.call("PUT", "/v1/models/fraud/safety", json={"impact": impact}, headers=api.token).status_code == 200


@pytest.mark.parametrize("impact", ["immediate", "irreversible"])
def test_a_model_that_acts_at_once_takes_no_plan_that_flips(impact: str, api: Any) -> None:
    """29.1c 1. What the plan says of itself does not make the model harmless."""
    mark(api, impact)
    for plan in (FLIP, f"{FLIP}\nimpact: ordinary"):
        refused = start(api, plan)
        assert (refused.status_code, refused.json()["code"]) == (422, "ST0344")
        assert f"the impact is {impact}" in refused.json()["message"]
    assert api.get("/v1/rollouts").json()["rollouts"] == []
    assert start(api, CAREFUL).status_code == 201, "and one that looks first is taken"


def test_an_ordinary_model_takes_it_and_the_graver_word_counts(api: Any) -> None:
    grave = start(api, f"{FLIP}\nimpact: immediate")
    assert grave.json()["code"] == "ST0344"
    assert start(api, FLIP).status_code == 201


def test_an_override_needs_an_approver_and_a_reason_and_is_audited(api: Any) -> None:
    mark(api, "irreversible")
    olga, ada = api.person("olga", "operator"), api.person("ada", "approver")
    assert start(api, FLIP, olga, override="it is urgent").status_code == 403
    assert start(api, FLIP, ada, override="  ").status_code == 422
    assert told(api, "rollout.override") == []
    assert start(api, FLIP, ada, override="the champion is down").status_code == 201
    (entry,) = told(api, "rollout.override")
    assert entry.actor == "ada"
    assert all(word in entry.detail for word in ("the champion is down", "ST0344", "irreversible"))


def test_a_plan_that_keeps_to_the_rules_leaves_no_override_behind(api: Any) -> None:
    assert start(api, CAREFUL, override="just in case").status_code == 201
    assert told(api, "rollout.override") == []


def test_a_rollout_is_tried_again_when_it_is_over_and_not_before(api: Any) -> None:
    assert start(api, CAREFUL).status_code == 201
    busy = api.post("/v1/rollouts/r-0001/retry")
    assert (busy.status_code, busy.json()["code"]) == (409, "ST0313")
    assert api.post("/v1/rollouts/r-0001/abort").status_code == 200
    again = api.post("/v1/rollouts/r-0001/retry", {"reason": "the features are fixed"})
    assert (again.status_code, again.json()["rollout"], again.json()["retries"]) == (201, "r-0002", "r-0001")
    with api.store.read() as tx:
        first, second = (tx.rollouts.get(name) for name in ("r-0001", "r-0002"))
    digests = {plan_digest(plan_from_json(json.loads(stored.plan))) for stored in (first, second)}
    assert len(digests) == 1, "the plan is the same, to the digest"
    assert (second.model, second.candidate, second.status) == (first.model, first.candidate, "running")
    salts = {state_from_json(stored.state).salt for stored in (first, second)}
    assert len(salts) == 2, "and the units are drawn anew"
    (entry,) = told(api, "rollout.retry")
    assert '"of":"r-0001"' in entry.detail
    assert "the features are fixed" in entry.detail


def test_a_retry_is_held_to_what_the_model_asks_for_now(api: Any) -> None:
    assert start(api, FLIP).status_code == 201
    assert api.post("/v1/rollouts/r-0001/abort").status_code == 200
    mark(api, "irreversible")
    assert api.post("/v1/rollouts/r-0001/retry").json()["code"] == "ST0344"
    assert api.post("/v1/rollouts/r-0001/retry", {"override": "urgent"}).status_code == 201
    assert len(told(api, "rollout.override")) == 1
