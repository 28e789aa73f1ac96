"""Exercise 29.23: the chain below a model's versions, and a kill that goes on when the level it leads to is dead."""

from __future__ import annotations

import http.client
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.alerting.lookout import PARTS, Lookout
from seatrial.control.levels import fallbacks, reviews
from seatrial.control.way_home import emergency
from seatrial.errors import Conflict, UsageError
from seatrial.registry.fallback import Fallback
from seatrial.registry.safety import Safety

pytestmark = pytest.mark.live

RULES = """
name: fraud
features: {unit: string, amount: number}
rules:
  - {name: large, when: amount > 1000, points: 0.5, reason: LARGE}
  - {name: stranger, when: missing(amount), points: 0.2, reason: NO_AMOUNT}
default: {answer: 0.1, reason: DEFAULT}
"""


def chained(live: Any, root: Path, *, last: str | None = "review", tier: int = 2) -> None:
    """Rules and a last resort under the model of a running system."""
    (root / "fraud.yaml").write_text(RULES)
    digest = fallbacks.put_rules(live.project, root / "fraud.yaml")
    chain = Fallback(rules=digest, reviewed_by="bob", last=last)
    live.operations.secure(live.model, Safety(tier=tier, fallback=chain), actor="ann")


def ask(live: Any, row: dict[str, Any] | None = None) -> tuple[int, str, str | None, dict[str, Any]]:
    gateway = live.project.config.gateway
    connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=20)
    try:
        body = json.dumps({"dataframe_records": [row or {"unit": "u"}]})
        headers = {"content-type": "application/json", "x-unit-id": "u"}
        connection.request("POST", f"/models/{live.model}/invocations", body, headers)
        got = connection.getresponse()
        return got.status, got.getheader("x-seatrial-level") or "", got.getheader("x-seatrial-reasons"), json.load(got)
    finally:
        connection.close()


def test_rules_then_people_answer_when_no_version_does(make: Any, tmp_path: Path) -> None:
    live = make(request="12s", clock="wall")
    champion = live.server("champion")
    live.adopt(champion)
    chained(live, tmp_path)
    known = live.operations.store
    with known.read() as tx:
        model = tx.models.get_model(live.model)
    request = fallbacks.invented(live.project, model, ())
    tried = fallbacks.probe(live.project, model, request, path="/invocations", content_type="application/json")
    assert [(line["level"], line["ok"], line["problem"]) for line in tried["levels"]] == [
        ("primary", True, None), ("rules", True, None), ("review", True, None),
    ]  # fmt: skip
    assert reviews.listed(live.project)["reviews"] == [], "a trial is nobody's request"
    assert ask(live)[:2] == (200, "primary"), "the control"

    champion.die()
    status, level, codes, answer = ask(live, {"unit": "u", "amount": 5000})
    assert (status, level, codes, answer) == (200, "rules", "LARGE", {"predictions": [0.6]})
    assert ask(live)[2:] == ("NO_AMOUNT", {"predictions": [pytest.approx(0.3)]})
    shown = fallbacks.chain(live.project, model)["arms"][0]["levels"]
    assert [level["level"] for level in shown] == ["primary", "rules", "review", "again"]

    rules = next(key for key in live.controller.hosts.pids() if str(key[1]).startswith("rules"))
    live.controller.hosts.end([rules])
    status, level, _, answer = ask(live)
    assert (status, level, answer["decision"]) == (202, "review", "pending")
    decided = live.operations.decide_review(answer["review"], "decline", reason="no", actor="cleo", outcome=("y", 1.0))
    assert (decided["decision"], decided["unit"]) == ("decline", "u")
    with pytest.raises(Conflict, match="ST0777"):
        live.operations.decide_review(answer["review"], "approve", reason="yes", actor="dan")
    assert live.actions().count("review.decide") == 1
    assert live.controller.hosts.revive(), "what died is started again"


@pytest.mark.slow
def test_people_are_told_once_that_the_queue_is_deep(make: Any) -> None:
    live = make(request="12s", clock="wall")
    live.adopt(live.server("champion"))
    live.operations.secure(live.model, Safety(fallback=Fallback(last="review", review_limit=2)), actor="ann")
    lookout = Lookout(live.controller, parts={**PARTS, "review": replace(PARTS["review"], steady_s=0.0)})
    told: list[tuple[str, str]] = []

    def look() -> list[tuple[str, str]]:
        lookout.look()
        with live.store.read() as tx:
            told[:] = [(one.alert.kind, one.alert.object) for one in tx.alerts.latest(100)]
        return [one for one in reversed(told) if one[0].startswith("review.")]

    live.operations.kill(live.model, mode="review", reason="x", actor="ann")
    first = ask(live)[3]["review"]
    assert look() == [], "one waits, and people are told from two on"
    for _ in range(5):
        ask(live)
        assert look() == [("review.waiting", "fraud")], "once"
    waiting = [line["id"] for line in reviews.listed(live.project)["reviews"]]
    assert waiting[0] == first
    for id in waiting[:-1]:
        live.operations.decide_review(id, "decline", reason="x", actor="cleo")
    assert look() == [("review.waiting", "fraud"), ("review.drained", "fraud")]
    ask(live)
    assert look()[-1] == ("review.waiting", "fraud"), "and again when it is deep again"


@pytest.mark.slow
def test_a_kill_leads_to_a_level_and_on_from_there(make: Any, tmp_path: Path) -> None:
    live = make(request="12s", clock="wall")
    live.adopt(live.server("champion"))
    with pytest.raises(UsageError, match="ST0735"):
        live.operations.kill(live.model, mode="rules", reason="x", actor="ann")
    chained(live, tmp_path, last="banner", tier=1)
    live.operations.kill(live.model, mode="rules", reason="wrong", actor="ann")
    assert ask(live)[:2] == (200, "rules")
    rules = next(key for key in live.controller.hosts.pids() if str(key[1]).startswith("rules"))
    live.controller.hosts.end([rules])
    assert ask(live)[3]["level"] == "banner", "the level it leads to is dead"
    live.controller.hosts.revive()
    live.start()  # as after a crash
    live.wait_for(lambda: ask(live)[:2] == (200, "rules"))
    with pytest.raises(Conflict, match="ST0736"):
        live.operations.revive(live.model, reason="fixed", actor="ann")
    with pytest.raises(Conflict, match="ST0736"):
        emergency.revive(live.project, live.model, reason="fixed", actor="ann")
    assert ask(live)[1] == "rules"
    emergency.kill(live.project, live.model, "champion", reason="only the canary", actor="ann")
    assert ask(live)[1] == "primary", "a second kill may lead up again, though the first took the address away"
    emergency.kill(live.project, live.model, "rules", reason="no, both", actor="ann")
    assert ask(live)[1] == "rules"
    live.operations.revive(live.model, reason="fixed", actor="bob")
    assert ask(live)[1] == "primary"
