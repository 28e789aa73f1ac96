"""Approvals of stages: the same people, signatures and record as those of releases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apisystem import LINEAGE
from seatrial.control.approvals import steps
from seatrial.control.approvals.desk import Signer
from seatrial.control.approvals.documents import approvals_document, stage_document
from seatrial.control.controller import Controller
from seatrial.control.launch import Launch, begin, can_start
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.errors import Conflict, SeatrialError, UsageError
from seatrial.registry.people import Role
from seatrial.registry.version import Serving
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = parse_plan("""
name: careful
metrics: [{name: errors, kind: error_rate, margin: 1pp}]
steps:
  - setWeight: 10%
  - pause: {duration: 2h}
  - approval: {count: 2, by: [approver, risk], asks: read 20 cases}
""")
URL = Serving(kind="url", url="http://127.0.0.1:9/")
DECLARED = "approvals: {people: {bob: [b.smith]}, roles: {risk: [cleo]}}\n"


class Stage:
    """A rollout that mia's version is in and olga began; nothing serves it."""

    def __init__(self, root: Path, policy: str) -> None:
        (root / "seatrial.yaml").write_text(f"project: shop\n{policy}")
        self.project = Project.open(root)
        self.project.prepare()
        self.store = Store.open(self.project.store_url)
        operations = Operations(self.project, self.store)
        operations.adopt("fraud", "http://127.0.0.1:9/", actor="mia")
        operations.register("fraud", URL, LINEAGE, actor="mia")
        asked = Launch(model="fraud", version=2, plan=PLAN, actor="olga")
        with self.store.begin() as tx:
            self.rollout = begin(tx, asked, can_start(tx, asked, killed=()), NOW)
        self.controller = Controller(self.project, self.store)
        self.controller.take_lease()

    def approve(self, name: str, role: Role = Role.APPROVER, *, own: bool = True) -> str:
        """The code of what is wrong, or what was said."""
        try:
            return steps.approve(self.controller, self.rollout, Signer(name, role, own), reason="read").reason
        except SeatrialError as error:
            return error.code

    def listed(self) -> list[dict[str, Any]]:
        with self.store.read() as tx:
            return list(approvals_document(tx, self.project, NOW, waiting=True)["approvals"])


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Stage] = []

    def stage(policy: str = "") -> Stage:
        made.append(Stage(tmp_path, policy))
        return made[-1]

    yield stage
    for one in made:
        one.controller.collector.close()
        one.store.close()


def test_who_began_it_is_known_under_every_spelling_without_a_policy_too(make: Any) -> None:
    stage = make()
    assert [stage.approve(name) for name in ("olga", "OLGA", "olga+risk")] == ["ST0341"] * 3
    assert stage.approve("mia") == "canary 10% approved (1 of 2): read", "an author may, unless approvals are declared"
    assert stage.approve("Mia") == "ST0343", "once a person"
    assert stage.approve("ann", Role.OPERATOR) == "ST0342"
    assert stage.approve("ann") == "canary 10% approved (2 of 2): read"


def test_a_declared_policy_knows_authors_aliases_and_functions_and_asks_for_ones_own_token(make: Any) -> None:
    stage = make(DECLARED)
    assert stage.approve("MIA") == "ST0341"
    assert stage.approve("bob", own=False) == "ST1458"
    assert stage.approve("bob") == "canary 10% approved (1 of 2): read"
    assert stage.approve("B.Smith+x") == "ST0343"
    assert stage.approve("dan", Role.OPERATOR) == "ST0342"
    assert stage.approve("cleo", Role.OPERATOR) == "canary 10% approved (2 of 2): read", "of the function risk"


def test_a_stage_is_a_request_like_others_and_its_signatures_are_kept(make: Any) -> None:
    stage = make()
    assert [(one["id"], one["kind"], one["subject"], one["missing"]) for one in stage.listed()] == [
        (stage.rollout, "step", "canary 10%", ["2 approvals of the stage"])
    ]
    stage.approve("ann")
    waiting = stage.listed()[0]
    assert (waiting["id"], waiting["given"], waiting["needed"]) == ("a-0001", 1, 2)
    with stage.store.read() as tx:
        told = stage_document(tx, tx.approvals.get("a-0001"))
        actions = [entry.action for entry in reversed(tx.audit.log(3))]
    assert [(act["by"], act["meaning"], act["rollout"]) for act in told["acts"]] == [("ann", "approval", stage.rollout)]
    assert told["acts"][0]["digest"].startswith("sha256:")
    assert actions == ["approval.request", "approval.sign", "rollout.approve"]
    stage.approve("bob")
    assert stage.listed() == []


def test_a_stage_that_is_rejected_pauses(make: Any) -> None:
    stage = make()
    ann = Signer("ann", Role.APPROVER, own=True)
    with pytest.raises(UsageError, match="ST1459"):
        steps.reject(stage.controller, stage.rollout, ann, reason=" ")
    decision = steps.reject(stage.controller, stage.rollout, ann, reason="no holdout")
    assert (decision.action, decision.reason) == ("pause", "rejected by ann: no holdout")
    with stage.store.read() as tx:
        assert tx.rollouts.get(stage.rollout).status == "paused"
    assert [one["status"] for one in stage.listed()] == ["rejected"]


def test_a_stage_that_asks_for_nothing_cannot_be_rejected(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PLAN", parse_plan("""
name: plain
metrics: [{name: errors, kind: error_rate, margin: 1pp}]
steps: [{setWeight: 10%}, {pause: {duration: 2h}}]
"""))  # fmt: skip
    stage = make()
    with pytest.raises(Conflict, match="ST0340"):
        steps.reject(stage.controller, stage.rollout, Signer("ann", Role.APPROVER, own=True), reason="no")
