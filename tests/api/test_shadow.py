"""The shadow report and what both models had seen, over HTTP: what the command line says, and a page linked from its
rollout's."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apisystem import call
from seatrial.api.app import create_app
from seatrial.control.analyses.inputs import rollout_inputs
from seatrial.control.analyses.shadow import Options, rollout_report
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.events.schema import to_micros
from seatrial.rollout.plan import ServingDecision
from seatrial.store.db import Store
from seatrial.store.plans import check_plan, parse_plan
from shadowlog import T0, looked_at

PLAN = check_plan(
    parse_plan("""
name: kinds
lookEvery: 1h
segments: [{name: kind, field: kind}]
metrics: [{name: errors, kind: error_rate, margin: 5pp}]
steps: [{shadow: {share: 50%}}]
""")
)


def events(n: int = 400) -> list[dict[str, Any]]:
    rng, found = random.Random(4), []
    for number in range(n):
        base = {"request_id": f"q{number}", "unit": f"u{number}", "bucket": number % 256, "latency_us": 2_000,
                "time": to_micros(T0) + number + 1, "seg_kind": rng.choice(["odd", "plain"])}  # fmt: skip
        score = rng.random()
        found += [base | {"arm": "champion", "score": score}, base | {"arm": "shadow", "score": score**2}]
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shadowed")
    looked_at(root, PLAN, events(), T0 + timedelta(hours=2))
    return root


@pytest.fixture
def app(root: Path) -> Iterator[Any]:
    project = Project.open(root)
    with Store.open(project.store_url) as store:
        yield create_app(Operations(project, store), project, store)


def test_the_report_is_that_of_the_command_line(app: Any) -> None:
    answer = call(
        app, "GET", "/v1/rollouts/rank/shadow?threshold=0.5&above=block&below=allow&costPerDay=100&minPairs=50"
    )
    wired = app.state.services
    options = Options(
        decision=ServingDecision(threshold=0.5, above="block", below="allow"), cost_per_day=100.0, min_pairs=50
    )
    with wired.store.read() as tx:
        told = rollout_report(wired.project, tx, "rank", options).document
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(told))
    assert told["segments"][0]["flips"]["lowered"] > 0


def test_inputs_are_those_of_the_command_line(app: Any) -> None:
    wired = app.state.services
    with wired.store.read() as tx:
        told = rollout_inputs(wired.project, tx, "r-0001")
    assert call(app, "GET", "/v1/rollouts/r-0001/inputs").json() == told
    assert told["result"] == "not_observed", "nobody said what was used"


def test_the_rollouts_page_leads_to_the_report(app: Any) -> None:
    assert 'href="/shadows/r-0001"' in call(app, "GET", "/rollouts/rank").text
    page = call(app, "GET", "/shadows/r-0001")
    assert page.status_code == 200
    assert "script-src" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "agreement, not quality" in page.text
    assert page.text.count("<svg") == 2


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/rollouts/r-0099/shadow", 404, "ST0661"),
        ("/v1/rollouts/r-0099/inputs", 404, "ST0661"),
        ("/v1/rollouts/rank/shadow?minPairs=0", 422, "ST0841"),
        ("/v1/rollouts/rank/shadow?threshold=nan", 422, "ST0841"),
        ("/v1/rollouts/rank/shadow?costPerDay=much", 422, "ST0841"),
    ],
)
def test_what_cannot_be_told(path: str, status: int, code: str, app: Any) -> None:
    answer = call(app, "GET", path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_rollout_without_a_shadow_has_none_to_show(api: Any, rollout: str) -> None:
    plain = api.get(f"/shadows/{rollout}", headers={"accept": "text/html"})
    assert (plain.status_code, "ST0288" in plain.text) == (404, True)
    assert api.get(f"/v1/rollouts/{rollout}/shadow").json()["code"] == "ST0288"
