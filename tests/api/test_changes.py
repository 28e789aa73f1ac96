"""Changes over HTTP: triage, baseline, envelope, locked test sets and tickets, as the command line sends them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from apisystem import LINEAGE, Api, Idle
from seatrial.control.changes.test_sets import hashed
from seatrial.control.project import Project
from seatrial.governance.tickets import Shift, Stratum
from seatrial.registry.version import Serving
from seatrial.store.db import Store

ENVELOPE = """
name: newer rows
cumulative: none
modifications:
  - name: training on newer rows
    rationale: the world changes
    changes: [data digest]
    protocol: {dataManagement: a, retraining: b, evaluation: c, update: d}
    criteria: [{metric: auc, step: holdout, min: 0.8}]
    impact: {benefit: x, risk: y, mitigation: z}
"""
STRATUM = Stratum("site", "B", "drift", 400, (Shift("dose", "psi", 0.4, 0.1),))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Api]:
    """Model fraud: v1 serves, mia made v2 and v3; its owners are asked for nothing, approvers are."""
    (tmp_path / "seatrial.yaml").write_text("project: shop\napprovals: {teams: {desk: [carl]}}\n")
    project = Project.open(tmp_path)
    project.prepare()
    with Store.open(project.store_url) as store:
        operations = Idle(project, store)
        operations.adopt("fraud", "http://127.0.0.1:9/", actor="mia", owner="desk")
        for weight in (0.08, 0.15):
            assert LINEAGE.model is not None
            told = replace(LINEAGE, model=replace(LINEAGE.model, importances={"amount": weight}))
            operations.register("fraud", Serving(kind="url", url="http://127.0.0.1:9/"), told, actor="mia")
        yield Api(operations, project, store)


def put(shop: Api, path: str, body: Any, headers: Any) -> Any:
    return shop.call("PUT", path, json=body, headers=headers)


def test_the_difference_of_two_versions_has_its_flags(shop: Api) -> None:
    """29.4 1."""
    (flag,) = shop.get("/v1/models/fraud/diff?before=2&after=3").json()["flags"]
    assert (flag["feature"], flag["kind"], flag["old"], flag["new"]) == ("amount", "importance", 0.08, 0.15)
    assert flag["relative"] == pytest.approx(0.875)


def test_a_baseline_is_declared_by_somebody_who_did_not_make_the_version(shop: Api) -> None:
    path, body = "/v1/changes/fraud/baseline", {"version": 2, "reason": "MRM-2026-017"}
    assert shop.get("/v1/changes/fraud/triage/3").json()["reasons"][0]["rule"] == "first"
    codes = {name: put(shop, path, body, shop.person(name, "approver")).json()["code"] for name in ("Mia", "carl")}
    assert codes == {"Mia": "ST1408", "carl": "ST1408"}
    assert put(shop, path, body, shop.token).json()["code"] == "ST1407", "the project's own token believes any name"
    assert put(shop, path, body, shop.person("olga", "operator")).status_code == 403
    assert shop.get(path).json()["version"] is None
    ada = shop.person("ada", "approver")
    assert put(shop, path, {**body, "reason": " "}, ada).json()["code"] == "ST1403"
    assert put(shop, path, body, ada).json()["by"] == "ada"
    triage = shop.get("/v1/changes/fraud/triage/3").json()
    assert (triage["from"], triage["material"]) == (2, True)
    assert "importance" in {reason["rule"] for reason in triage["reasons"]}


def test_an_envelope_is_declared_and_a_version_held_to_it(shop: Api) -> None:
    path, body = "/v1/changes/fraud/envelope", {"text": ENVELOPE, "reason": "K261234"}
    assert shop.get(path).json()["code"] == "ST1421"
    assert put(shop, path, body, shop.token).json()["code"] == "ST1407"
    ada = shop.person("ada", "approver")
    assert put(shop, path, {**body, "text": "name: x"}, ada).status_code == 422
    assert put(shop, path, body, ada).json()["setBy"] == "ada"
    assert shop.get(path).json()["envelope"]["name"] == "newer rows"
    assert shop.get(f"{path}/3").json()["status"] == "outside", "nothing was ever approved as a whole"


def test_a_test_set_is_locked_used_and_retired(shop: Api, tmp_path: Path) -> None:
    (tmp_path / "reads.csv").write_text("study\n1\n2\n")
    given = hashed(shop.project, "fraud", tmp_path / "reads.csv", (), name="reads", limit=2)
    olga, ada = shop.person("olga", "operator"), shop.person("ada", "approver")
    assert shop.post("/v1/changes/testsets", given, headers=olga).json()["id"] == "s-0001"
    assert shop.post("/v1/changes/testsets", given, headers=olga).json()["code"] == "ST1430", "it is locked"
    forged = {**given, "hashes": "sha256:" + "0" * 64}
    assert shop.post("/v1/changes/testsets", forged, headers=olga).status_code >= 400, "hashes that nobody keeps"
    use = {"version": 2, "purpose": "threshold"}
    for _ in range(2):
        assert shop.post("/v1/changes/testsets/s-0001/uses", use, headers=olga).json()["left"] == 1
    retire = "/v1/changes/testsets/s-0001/retire"
    assert shop.post(retire, {"reason": "worn"}, headers=olga).status_code == 403
    assert shop.post(retire, {"reason": "worn"}, headers=ada).json()["retired"]["by"] == "ada"
    (known,) = shop.get("/v1/changes/testsets?model=fraud").json()["testSets"]
    assert (known["retired"]["reason"], len(known["uses"])) == ("worn", 1)


def test_a_ticket_is_opened_once_and_closed_with_a_word(shop: Api) -> None:
    body = {"model": "fraud", "strata": [asdict(STRATUM)], "cause": "now against then"}
    first, second = (shop.post("/v1/changes/tickets", body) for _ in range(2))
    assert first.status_code == 201
    assert first.json()["id"] == second.json()["id"] == "v-0001"
    assert first.json()["strata"][0]["text"] == "site=B drifted in dose (psi 0.40), 400 rows"
    assert shop.post("/v1/changes/tickets", {**body, "strata": []}).json()["code"] == "ST1442"
    assert shop.post("/v1/changes/tickets/v-0001/close", {"resolution": ""}).json()["code"] == "ST1444"
    closed = shop.post("/v1/changes/tickets/v-0001/close", {"resolution": "recalibrated"}).json()
    assert (closed["open"], closed["resolution"]) == (False, "recalibrated")
    assert shop.get("/v1/changes/tickets?model=fraud&open=true").json()["tickets"] == []
    assert shop.get("/v1/changes/tickets/v-0001").json()["open"] is False
