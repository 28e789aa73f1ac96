"""Approvals of releases over HTTP and on the page: who may sign what, and what a release waits for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from apisystem import LINEAGE, NOW, PLAN, A, Api, Idle
from outline import Outline
from seatrial.ci.results import Run, StepResult
from seatrial.control.approvals import gate
from seatrial.control.approvals.watch import alerts_of
from seatrial.control.project import Project
from seatrial.registry.version import Serving
from seatrial.store.db import Store

FORM = {"content-type": "application/x-www-form-urlencoded"}
POLICY = """
project: shop
approvals:
  people: {bob: [b.smith@example.com]}
  roles: {risk: [bob, cleo]}
  teams: {credit-team: [carl]}
  least: {count: 2, roles: [risk]}
  emergency: {roles: [risk], lasts: 4h, reviewWithin: 3d}
"""
START = {"model": "fraud", "version": 2, "plan": yaml.safe_load(PLAN)}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Api]:
    """Model fraud: v1 serves, mia made v2; two people have to say yes, one of them of the function risk."""
    (tmp_path / "seatrial.yaml").write_text(POLICY)
    project = Project.open(tmp_path)
    project.prepare()
    with Store.open(project.store_url) as store:
        operations = Idle(project, store)
        operations.adopt("fraud", "http://127.0.0.1:9/", actor="mia", owner="credit-team")
        operations.register("fraud", Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="mia")
        yield Api(operations, project, store)


class People:
    """Everybody with a token of their own, and one request."""

    def __init__(self, shop: Api) -> None:
        self.shop = shop
        self._headers: dict[str, Any] = {}

    def headers(self, name: str) -> Any:
        """Olga starts releases, everybody else is an approver."""
        if name not in self._headers:
            self._headers[name] = self.shop.person(name, "operator" if name == "olga" else "approver")
        return self._headers[name]

    def start(self, **more: Any) -> Any:
        return self.shop.post("/v1/rollouts", {**START, **more}, headers=self.headers("olga"))

    def digest(self, request: str = "a-0001") -> str:
        return str(self.shop.get(f"/v1/approvals/{request}").json()["digest"])

    def do(self, name: str, verb: str = "approve", request: str = "a-0001", **body: Any) -> Any:
        given = {"digest": self.digest(request)} if verb in ("approve", "reject") else {}
        return self.shop.post(f"/v1/approvals/{request}/{verb}", {**given, **body}, headers=self.headers(name))

    def code(self, name: str, verb: str = "approve", **body: Any) -> str:
        return str(self.do(name, verb, **body).json().get("code", "fine"))

    def holds(self) -> list[tuple[str, str]]:
        found = self.shop.get("/v1/approvals/a-0001").json()["signatures"]
        return [(one["by"], one["holds"]) for one in found]


@pytest.fixture
def people(shop: Api) -> People:
    return People(shop)


def ci(shop: Api, status: Any = "passed") -> None:
    step = StepResult(name="unit", group="code", status=status)
    shop.operations.record_ci(
        Run(id="", event="commit", started_at=NOW, actor="", model="fraud", version=2, steps=(step,)), actor="pipeline"
    )


def test_without_a_policy_nobody_is_asked(api: Any) -> None:
    assert api.post("/v1/approvals", START).json()["code"] == "ST1460"
    assert api.post("/v1/rollouts", START).status_code == 201
    assert api.get("/v1/approvals").json()["approvals"] == []


def test_a_release_waits_and_says_for_whom(people: People) -> None:
    refused = people.start()
    assert (refused.status_code, refused.json()["code"], refused.json()["exitCode"]) == (409, "ST1450", 5)
    assert "fraud v2 waits for approval a-0001: 1 approval of role risk; 1 approval of anybody" in refused.text
    assert people.start().json()["message"] == refused.json()["message"], "the same request, once"
    asked = people.shop.get("/v1/approvals?waiting=true").json()["approvals"]
    assert [(one["id"], one["requestedBy"], one["status"], one["needed"]) for one in asked] == [
        ("a-0001", "olga", "waiting", 2)
    ]
    assert people.do("ann").json()["missing"] == ["1 approval of role risk"]
    assert people.start().status_code == 409
    assert people.do("bob").json()["status"] == "approved"
    assert people.start().status_code == 201
    assert people.shop.get("/v1/approvals/a-0001").json()["rollout"] == "r-0001"


def test_nobody_approves_what_is_their_own_under_any_spelling(people: People) -> None:
    people.start()
    for name in ("MIA", "mia+review", "Olga"):
        assert people.code(name) == "ST1452"
    assert people.code("carl") == "ST1469", "of the team that owns it"
    assert people.code("ann") == "fine"


def test_one_person_signs_once_under_all_their_names(people: People) -> None:
    people.start()
    assert people.code("bob") == "fine"
    assert people.code("B.Smith+2@example.com") == "ST1454"
    assert people.code("ann") == "fine"
    assert people.code("B.Smith@example.com", meaning="review") == "fine", "another meaning is another signature"


def test_who_cannot_bring_it_further_is_told(people: People) -> None:
    people.start()
    assert people.code("ann") == "fine"
    assert people.code("dan") == "ST1453"
    assert people.code("dan", meaning="review") == "fine"
    assert people.code("cleo") == "fine"
    assert people.code("dan") == "fine", "one more than is asked for does no harm"


def test_the_owners_token_signs_for_nobody(people: People) -> None:
    people.start()
    body = {"digest": people.digest()}
    answer = people.shop.post("/v1/approvals/a-0001/approve", body, headers={"x-seatrial-actor": "ann"})
    assert answer.json()["code"] == "ST1458"
    assert people.code("ann") == "fine"


def test_a_signature_names_the_evidence_that_was_reviewed(people: People) -> None:
    people.start()
    for given, code in (("", "ST1455"), ("sha256:", "ST1455"), ("zz" * 8, "ST1455"), ("0" * 12, "ST1456")):
        assert people.code("ann", digest=given) == code
    assert people.code("ann", digest=people.digest()[len("sha256:") :][:12]) == "fine"


def test_a_change_of_the_evidence_voids_it_and_says_what_changed(people: People) -> None:
    people.start()
    people.do("ann")
    before = people.digest()
    ci(people.shop)
    assert people.code("bob", digest=before) == "ST1456"
    assert people.holds() == [("ann", "void")]
    assert "ann's approval is void: what CI found changed since" in people.start().json()["message"]
    assert people.code("ann") == "fine"
    assert people.code("bob") == "fine"
    ci(people.shop)  # the same found again
    assert people.start().status_code == 201


def test_another_plan_is_another_request(people: People) -> None:
    people.start()
    people.do("ann")
    people.do("bob")
    other = people.start(plan={**START["plan"], "name": "bold"})
    assert other.json()["code"] == "ST1450"
    assert "a-0002" in other.json()["message"]
    assert "a-0001 is about another plan" in other.json()["message"]
    assert people.start().status_code == 201, "what was approved is still approved"


def test_a_rejection_stops_it_until_it_is_taken_back(people: People) -> None:
    people.start()
    people.do("ann")
    people.do("bob")
    assert people.code("cleo", "reject", reason="  ") == "ST1459"
    assert people.do("cleo", "reject", reason="no holdout").json()["status"] == "rejected"
    assert "rejected by cleo: no holdout" in people.start().json()["message"]
    assert people.code("olga", "withdraw", reason="ask anew") == "ST1462"
    assert people.code("dan", "withdraw", reason="mine?") == "ST1463"
    assert people.code("cleo", "withdraw", reason="found it") == "fine"
    assert people.start().status_code == 201


def test_who_asked_can_take_it_back_and_ask_anew(people: People) -> None:
    people.start()
    people.do("ann")
    assert people.do("olga", "withdraw", reason="not yet").json()["status"] == "closed"
    assert people.shop.post("/v1/approvals/a-0001/approve", {"digest": "0" * 12},
                            headers=people.headers("bob")).json()["code"] == "ST1461"  # fmt: skip
    assert "a-0002: 1 approval of role risk; 1 approval of anybody" in people.start().json()["message"]


def test_a_release_under_way_waits_for_a_signature_that_is_taken_back(people: People) -> None:
    people.start()
    people.do("ann")
    people.do("bob")
    rollout = people.start().json()["rollout"]
    project, now = people.shop.project, people.shop.operations.clock.now
    with people.shop.store.read() as tx:
        assert gate.hold(tx, project, rollout, now()) == ""
        later = now() + timedelta(days=365)
        assert gate.hold(tx, project, rollout, later) == "", "signatures do not run out under way"
    people.do("ann", "withdraw", reason="I was wrong")
    with people.shop.store.read() as tx:
        assert "1 approval of anybody" in gate.hold(tx, project, rollout, now())


def test_an_emergency_is_let_go_for_a_time_and_reviewed_by_somebody_else(people: People) -> None:
    people.start()
    assert people.code("ann", "emergency", reason="fraud wave") == "ST1464"
    assert people.code("bob", "emergency", reason="") == "ST1459"
    glass = people.do("bob", "emergency", reason="fraud wave").json()
    assert (glass["status"], len(glass["reviews"])) == ("emergency", 1)
    assert people.start().status_code == 201
    store, project, now = people.shop.store, people.shop.project, people.shop.operations.clock.now()
    with store.read() as tx:
        later = now + timedelta(hours=5)
        assert "2 approvals" in gate.hold(tx, project, "r-0001", later) or "role risk" in gate.hold(
            tx, project, "r-0001", later
        )
        assert [a.kind for a in alerts_of(tx, project, now + timedelta(days=2))] == []
        assert [a.kind for a in alerts_of(tx, project, now + timedelta(days=4))] == ["approval.review_overdue"]
        gate.check_reviews(tx, "fraud", now + timedelta(days=2))
        with pytest.raises(Exception, match=r"ST1451 .*a-0001 by bob was to be reviewed"):
            gate.check_reviews(tx, "fraud", now + timedelta(days=4))
    assert people.code("B.Smith@example.com", "review", reason="fine") == "ST1465", "whoever let it go"
    assert people.code("mia", "review", reason="fine") == "ST1465", "whoever made it"
    assert people.code("ann", "review", reason="justified, holdout added") == "fine"
    assert people.code("cleo", "review", reason="again") == "ST1466"
    with store.read() as tx:
        gate.check_reviews(tx, "fraud", now + timedelta(days=4))


def test_what_waits_is_told_once_and_told_again_when_it_is_late(people: People) -> None:
    people.start()
    store, project, now = people.shop.store, people.shop.project, people.shop.operations.clock.now()
    with store.read() as tx:
        assert [a.kind for a in alerts_of(tx, project, now)] == ["approval.requested"]
        late = alerts_of(tx, project, now + timedelta(days=8))
        assert [a.kind for a in late] == ["approval.requested", "approval.late"]
        assert "fraud v2, asked for by olga, waits for 1 approval of role risk" in late[1].text
    people.do("ann")
    people.do("bob")
    with store.read() as tx:
        assert alerts_of(tx, project, now + timedelta(days=8)) == []


def test_everything_is_in_the_audit_log(people: People) -> None:
    people.start()
    people.do("ann", reason="read all of it")
    people.do("ann", "withdraw", reason="wrong file")
    people.do("cleo", "emergency", reason="wave")
    people.start()
    people.do("ann", "review", reason="fine")
    everything = people.shop.get("/v1/audit").json()["entries"][::-1]
    entries = [entry for entry in everything if entry["object"] == "a-0001"]
    assert [(e["actor"], e["action"]) for e in entries] == [
        ("olga", "approval.request"), ("ann", "approval.sign"), ("ann", "approval.withdraw"),
        ("cleo", "approval.break_glass"), ("olga", "approval.start"), ("ann", "approval.review"),
    ]  # fmt: skip
    signed = entries[1]["detail"]
    assert (signed["meaning"], signed["role"], signed["reason"]) == ("approval", "approver", "read all of it")
    assert signed["digest"].startswith("sha256:")


def test_a_role_that_nobody_holds_is_said_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "seatrial.yaml").write_text("project: x\napprovals: {least: {roles: [risk]}}\n")
    with pytest.raises(Exception, match=r"ST0803 .*role 'risk' is asked for 1 times, and held by nobody"):
        Project.open(tmp_path)


# ── the page ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Session:
    """Somebody at the page."""

    def __init__(self, shop: Api, name: str, role: str) -> None:
        self.shop = shop
        token = shop.person(name, role)["authorization"].split()[1]
        login = shop.call("POST", "/login", content=urlencode({"token": token}), headers=FORM)
        self.cookie = {"cookie": login.headers["set-cookie"].partition(";")[0], "accept": "text/html"}

    def look(self, path: str) -> tuple[Outline, str]:
        answer = self.shop.get(path, headers=self.cookie)
        assert answer.status_code == 200, answer.text
        outline = Outline(answer.text)
        assert outline.faults == []
        return outline, answer.text

    def press(self, path: str, **fields: str) -> Any:
        page, _ = self.look(path.rpartition("/")[0])
        shown = {given["name"]: given["value"] for _, given in page.elements if given.get("type") == "hidden"}
        return self.shop.call("POST", path, content=urlencode({**shown, **fields}), headers=self.cookie | FORM)


def test_an_approver_sees_what_changes_and_signs_it(people: People) -> None:
    evil = "<script>alert(1)</script>"
    people.shop.post("/v1/approvals", {**START, "reason": evil}, headers=people.headers("olga"))
    ci(people.shop)
    ann = Session(people.shop, "ann", "approver")
    _, text = ann.look("/approvals/a-0001")
    assert evil not in text
    digest = people.digest().removeprefix("sha256:")[:12]
    for shown in ("against v1", "unit", "ci-0001", "errors", "0.01 absolute", digest):
        assert shown in text, shown
    _, listed = ann.look("/approvals")
    assert "a-0001" in listed
    assert "1 approval of role risk" in listed
    done = ann.press("/approvals/a-0001/approve", meaning="approval", reason="read")
    assert done.status_code == 303
    assert "a-0001 was signed by ann" in ann.look(done.headers["location"])[1]
    assert people.holds() == [("ann", "holds")]
    again = ann.press("/approvals/a-0001/approve", meaning="approval")
    assert (again.status_code, "ST1454" in again.text) == (409, True)


def test_the_page_signs_what_it_showed_and_nothing_newer(people: People) -> None:
    people.start()
    ann = Session(people.shop, "ann", "approver")
    page, _ = ann.look("/approvals/a-0001")
    shown = {given["name"]: given["value"] for _, given in page.elements if given.get("type") == "hidden"}
    ci(people.shop, "failed")
    stale = people.shop.call("POST", "/approvals/a-0001/approve", content=urlencode(shown), headers=ann.cookie | FORM)
    assert (stale.status_code, "ST1456" in stale.text) == (409, True)
    assert people.holds() == []


def test_who_may_not_sign_has_no_form_and_no_way_round_it(people: People) -> None:
    people.start()
    _, text = Session(people.shop, "vic", "viewer").look("/approvals/a-0001")
    assert 'action="/approvals/a-0001/approve"' not in text
    oli = Session(people.shop, "oli", "operator")
    assert oli.press("/approvals/a-0001/approve", meaning="approval").status_code == 403
    assert oli.press("/approvals/a-0001/sign").status_code == 404
    assert people.holds() == []


def test_the_artifact_and_the_lineage_are_what_is_signed(people: People) -> None:
    """The three artifacts of exercise 29.24(a), each by digest, in a record that is ready to be signed."""
    people.start()
    document = people.shop.get("/v1/approvals/a-0001").json()
    assert set(document["parts"]) == {"artifact", "lineage", "ci", "plan", "change"}
    assert document["evidence"]["artifact"]["digest"] == A
    assert set(document["evidence"]["lineage"]) >= {"code", "data", "model"}
    signed = people.do("ann", meaning="responsibility", reason="validated").json()["signatures"][0]
    assert (signed["by"], signed["meaning"], signed["digest"]) == ("ann", "responsibility", document["digest"])
    assert signed["at"].endswith("Z")


def test_a_plan_that_cannot_be_honoured_is_not_asked_for(people: People) -> None:
    body = {**START, "plan": {**START["plan"], "steps": []}}
    assert people.shop.post("/v1/approvals", body).status_code == 422
    assert people.shop.post("/v1/approvals", START).status_code == 201
