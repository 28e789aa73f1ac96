"""``seatrial fallback``, ``review`` and ``kill`` as people use them; what answers is tested in tests/faults."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.project import Project
from seatrial.gateway.kill import read_latches
from seatrial.serving.review_queue import Asked, ReviewQueue
from seatrial.store.db import Store

CARD = "features: {amount: number}\ndefault: {answer: 0.5, reason: DEFAULT}\n"
DEAD = "rules: [{name: never, when: amount < 1 and amount > 2, points: 0.1, reason: R}]\n"


@pytest.fixture
def place(shop: Path) -> Path:
    (shop / "seatrial.yaml").write_text(
        (shop / "seatrial.yaml").read_text() + "timeouts: {request: 12s, attempt: 2s}\n"
    )
    (shop / "card.yaml").write_text(CARD)
    (shop / "dead.yaml").write_text(CARD + DEAD)
    return shop


def chain(run: Any) -> dict[str, Any]:
    found: dict[str, Any] = run("model", "show", "fraud", "--json").json["safety"]["fallback"]
    return found


def test_a_chain_is_set_level_by_level_and_audited(place: Path, run: Any) -> None:
    said = run("fallback", "set", "fraud", "--rules", "card.yaml", "--reviewed-by", "bob@example.com")
    assert (said.code, "✔ fraud: rules sha256:" in said.out) == (0, True), said.err
    assert run("fallback", "set", "fraud", "--last", "review", "--review-limit", "5").code == 0
    known = chain(run)
    assert (known["reviewedBy"], known["last"], known["reviewLimit"]) == ("bob@example.com", "review", 5)
    assert run("model", "safety", "fraud", "--tier", "1").code == 0
    assert chain(run) == known, "the rest of what is safe stays as it is"
    assert run("fallback", "set", "fraud", "--rules", "none", "--last", "none").code == 0
    assert chain(run) == {"reviewLimit": 5}
    told = [entry["action"] for entry in run("audit", "log", "--json").json["entries"]]
    assert told.count("model.safety") == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--rules", "card.yaml"), "ST0146"),
        (("--rules", "dead.yaml", "--reviewed-by", "bob"), "ST0774"),
        (("--rules", "none.yaml", "--reviewed-by", "bob"), "ST0770"),
        (("--review-limit", "0"), "ST0148"),
        ((), "ST0708"),
    ],
)
def test_a_chain_that_nobody_could_trust_is_refused(place: Path, run: Any, words: tuple[str, ...], code: str) -> None:
    said = run("fallback", "set", "fraud", *words)
    assert (said.code, code in said.err) == (2, True), said.err
    assert chain(run) == {}


def test_who_sets_the_rules_is_not_who_reviewed_them(place: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    said = run("fallback", "set", "fraud", "--rules", "card.yaml", "--reviewed-by", "ann")
    assert (said.code, "ST0779" in said.err) == (2, True)
    assert run("fallback", "set", "fraud", "--rules", "card.yaml", "--reviewed-by", "bob").code == 0, "the control"


def test_a_chain_without_time_for_its_last_level_is_refused(place: Path, run: Any) -> None:
    text = (place / "seatrial.yaml").read_text()
    (place / "seatrial.yaml").write_text(text.replace("attempt: 2s", "attempt: 4s"))
    said = run("fallback", "set", "fraud", "--last", "banner")
    assert (said.code, "ST0706" in said.err, "timeouts.attempt to 3000ms" in said.err) == (2, True, True), said.err
    (place / "seatrial.yaml").write_text(text.replace("attempt: 2s", "attempt: 3s"))
    assert run("fallback", "set", "fraud", "--last", "banner").code == 0


def test_people_decide_once(place: Path, run: Any) -> None:
    project = Project.open(place)
    body = json.dumps({"dataframe_records": [{"amount": 7}]})
    asked = [Asked(f"q-{n}", datetime.now(UTC), "/invocations", "application/json", body) for n in range(2)]
    ReviewQueue(project.review("fraud")).put(asked)
    assert [line["id"] for line in run("review", "list", "--json").json["reviews"]] == ["q-0", "q-1"]
    assert json.loads(run("review", "show", "q-0", "--json").json["body"])["dataframe_records"] == [{"amount": 7}]
    words = ("review", "decide", "q-0", "--decision", "approve", "--reason", "known")
    assert run(*words, "--outcome", "approved=1", "--json").json["decision"] == "approve"
    again = run(*words)
    assert (again.code, "ST0777" in again.err) == (1, True)
    assert [line["id"] for line in run("review", "list", "--json").json["reviews"]] == ["q-1"]
    everything = run("review", "list", "--all", "--json").json["reviews"]
    assert [(line["decision"], line["reason"]) for line in everything] == [("approve", "known"), ("pending", None)]
    with Store.open(project.store_url) as store, store.read() as tx:
        assert [entry.object for entry in tx.audit.log() if entry.action == "review.decide"] == ["fraud/q-0"]
    assert '"q-0", "approved", 1.0' in (project.outcomes / "outcomes.jsonl").read_text()


def test_all_models_at_once(place: Path, run: Any) -> None:
    assert run("model", "adopt", "churn", "--url", "http://127.0.0.1:9/").code == 0
    assert run("fallback", "set", "churn", "--last", "banner").code == 0
    said = run("kill", "--all", "--to", "banner", "--reason", "bad source", "--json")
    latches = {latch.model: latch.mode for latch in read_latches(Project.open(place).kill_latches)}
    assert (said.code, latches) == (1, {"churn": "banner"}), "one that has no such level saves no other"
    assert [one["code"] for one in said.json["failed"]] == ["ST0735"]
    assert run("kill", "--all", "--mode", "off", "--reason", "bad source").code == 0
    latches = {latch.model: latch.mode for latch in read_latches(Project.open(place).kill_latches)}
    assert latches == {"churn": "off", "fraud": "off"}


def test_a_model_of_the_first_tier_is_revived_by_somebody_else(
    place: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert run("kill", "fraud", "--reason", "x").code == 0
    assert run("revive", "fraud", "--reason", "second tier: alone").code == 0
    assert run("model", "safety", "fraud", "--tier", "1").code == 0
    assert run("kill", "fraud", "--reason", "x").code == 0
    said = run("revive", "fraud", "--reason", "me again")
    assert (said.code, "ST0736" in said.err) == (1, True)
    monkeypatch.setattr("getpass.getuser", lambda: "bob")
    assert run("revive", "fraud", "--reason", "checked").code == 0
