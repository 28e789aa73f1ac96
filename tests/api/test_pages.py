"""The pages: what they show, to whom, what they let nobody smuggle in, and what their forms refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from apisystem import NOW
from outline import Outline
from seatrial.control.recorder import put_evidence, record
from seatrial.control.states import state_from_json
from seatrial.errors import Unavailable
from seatrial.evidence.snapshot import Captured, Evidence, ShadowEvidence, UnitCounts
from seatrial.gateway.kill import KillLatch, write_latch
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.verdicts import Judgement, MetricVerdict, Signals
from seatrial.store.alert import Alert
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.outbox import Delivery
from seatrial.store.plans import plan_from_json

EVIL = "\"><img src=x onerror=alert(1)><script>alert('2')</script>"
FORM = {"content-type": "application/x-www-form-urlencoded"}
BROWSER = {"accept": "text/html,application/xhtml+xml"}
PAGES = ("/", "/models/fraud", "/rollouts/r-0001", "/docs", "/login")


def look(api: Any, path: str, status: int = 200, **headers: str) -> Outline:
    answer = api.get(path, headers=BROWSER | headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    outline = Outline(answer.text)
    assert outline.faults == []
    return outline


class Visitor:
    """Somebody with a session of a role."""

    def __init__(self, api: Any, role: str = "admin", name: str = "ann") -> None:
        self.api = api
        token = api.person(name, role)["authorization"].split()[1]
        self.login = api.call("POST", "/login", content=urlencode({"token": token}), headers=FORM)
        self.cookie = self.login.headers["set-cookie"].partition(";")[0]

    def look(self, path: str, status: int = 200) -> Outline:
        return look(self.api, path, status, cookie=self.cookie)

    def csrf(self, path: str) -> str:
        page = self.look(path)
        return next(given["value"] for tag, given in page.elements if given.get("name") == "csrf")

    def press(self, path: str, **fields: str) -> Any:
        """What the form of a button sends."""
        fields = {"csrf": self.csrf(path), **fields}
        headers = {**FORM, **BROWSER, "cookie": self.cookie}
        return self.api.call("POST", path, content=urlencode(fields), headers=headers)


@pytest.fixture
def ann(api: Any) -> Visitor:
    return Visitor(api)


def judge(api: Any, rollout: str, *, hours: int, estimate: float = 0.002, upper: float = 0.012) -> None:
    """One look with evidence, recorded as the controller does it."""
    with api.store.read() as tx:
        stored = tx.rollouts.get(rollout)
    plan, state = plan_from_json(json.loads(stored.plan)), state_from_json(stored.state)
    at = NOW + timedelta(hours=hours)
    arms: Any = "live" if state.phase.weight else "shadow"
    verdict = MetricVerdict(
        metric="errors", role="guardrail", arms=arms, verdict="pass" if upper < 0.02 else "inconclusive", status="ok",
        method="exact first events", scale="absolute", better="decrease", bound=0.02, margin=0.01, estimate=estimate,
        lower=-0.004, upper=upper, count_champion=7201, count_candidate=799, units_champion=7201, units_candidate=799,
        needs="" if upper < 0.02 else "needs about 500 more units",
    )  # fmt: skip
    judged = Judgement(verdicts=(verdict,), units=8000, outcomes=0, pairs=5000)
    decision = decide(plan, state, judged, Signals(), at)
    evidence = Evidence(
        at=at,
        units=UnitCounts(arms={"champion": 7201, "shadow": 799}),
        exposures={(1, "champion"): 9000, (1, "shadow"): 850},
        shadow=ShadowEvidence({}, pairs=0, unmatched=0),
        capture={(1, "champion"): Captured(8990, 9000), (1, "shadow"): Captured(850, 850)},
    )
    digest = put_evidence(ArtifactStore(api.project.artifacts), evidence)
    with api.store.begin() as tx:
        revision = tx.rollouts.get(rollout).revision
        record(tx, decision, evolve(state, judged, decision), revision=revision, digest=digest, store_decision=True)


def kill(api: Any, reason: str = "wrong currency") -> None:
    write_latch(
        api.project.kill_latches, KillLatch("fraud", "off", "dana", reason, datetime(2026, 3, 1, 13, tzinfo=UTC))
    )


# ── what they show ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_project_says_how_to_begin(api: Any, project: Any) -> None:
    from apisystem import Api, Idle
    from seatrial.store.db import Store

    with Store.open(project.root / "empty.db") as store:
        empty = Api(Idle(project, store), project, store)
        words = look(empty, "/").words
    assert "There is no model in this project yet." in words
    assert "seatrial model adopt NAME --url http://HOST:PORT" in words


def test_the_front_page_has_every_model_and_its_release(api: Any, rollout: str) -> None:
    words = look(api, "/").words
    for text in ("shop", "fraud", "v1 → v2", "◌ Progressing", "shadow, step 1/3", "100% copied", "fraud v2 against v1"):
        assert text in words
    assert "Killed" not in words


def test_a_killed_model_comes_first_and_says_who_and_why(api: Any, rollout: str) -> None:
    api.operations.adopt("aaa", "http://127.0.0.1:9/", actor="ann")
    assert look(api, "/").words.index("aaa") > look(api, "/").words.index("fraud"), "under way, then at rest"
    kill(api)
    page = look(api, "/")
    assert "✖ Killed by dana: wrong currency" in page.words
    assert page.all_of("class", "tr").count("dead") == 1
    for path in ("/models/fraud", f"/rollouts/{rollout}"):
        assert "✖ Killed by dana" in look(api, path).words


def test_alerts_that_are_more_than_news_are_shown(api: Any, rollout: str) -> None:
    assert "Alerts" not in look(api, "/").words
    common: Any = {"object": rollout, "model": "fraud", "at": NOW}
    with api.store.begin() as tx:
        tx.alerts.put(Alert(key="1", kind="rollout.start", severity="info", text="starts", **common))
        tx.alerts.put(Alert(key="2", kind="rollout.step_back", severity="warning", text="goes <back>", **common))
        seq = tx.alerts.newest()
        tx.alerts.send(seq, "pager", NOW)
        tx.alerts.settle(Delivery(seq, "pager", "failed", 5, NOW, "refused"))
    words = look(api, "/").words
    assert "△ warning r-0001 step back goes <back>" in words
    assert "starts" not in words
    assert "1 alert did not reach pager" in words


def test_a_model_with_its_versions_lineage_contract_and_history(api: Any, rollout: str) -> None:
    page = look(api, "/models/fraud")
    for text in ("Champion v1", "x-unit-id", "adopted", "registered", "1f0c2aa", "1,000 rows", "sklearn aaaaaaaaaaaa"):
        assert text in page.words
    assert page.all_of("href", "a").count(f"/rollouts/{rollout}") == 2
    assert "Contract" in page.words


def test_a_rollout_says_where_it_stands_and_on_what_evidence(api: Any, rollout: str) -> None:
    judge(api, rollout, hours=1, upper=0.05)
    page = look(api, f"/rollouts/{rollout}")
    for text in (
        "fraud v2", "against v1", "Copied to shadow 100%", "Canary, in force unknown", "? inconclusive", "+0.20pp",
        "[−0.40pp, +5.00pp]", "must stay below +2.00pp", "n 799 shadow / 7,201 champion units",
        "needs about 500 more units", "Captured and counted", "champion 7,201 9,000 8,990 9,000 10 0.11%",
    ):  # fmt: skip
        assert text in page.words, text
    assert [label for label in page.all_of("aria-label", "svg") if label.startswith("errors: +0.20pp")]
    assert "name: quick" in page.words


def test_a_decision_can_be_unfolded(api: Any, rollout: str) -> None:
    judge(api, rollout, hours=1, upper=0.05)
    judge(api, rollout, hours=2)
    words = look(api, f"/rollouts/{rollout}").words
    assert "advance every guardrail excludes a loss of 3 margins" in words
    assert "after it canary 10%: 10% on the candidate · phase 2 · 0 strikes · rule advance after killed" in words
    assert "errors inconclusive" in words, "what changed, where the action is to stay"
    assert "8,000 units, 0 outcomes, 5,000 pairs" in words


def test_looks_that_changed_nothing_are_folded(api: Any, rollout: str) -> None:
    for hours in (1, 2, 3, 4):
        judge(api, rollout, hours=hours, upper=0.05)
    assert "3 looks changed nothing, 2026-03-01 14:00 to 2026-03-01 16:00" in look(api, f"/rollouts/{rollout}").words


def test_pictures_are_drawn_for_their_content(api: Any, rollout: str) -> None:
    judge(api, rollout, hours=1)
    page = look(api, f"/rollouts/{rollout}")
    sources = [source for source in page.all_of("src", "img") if "pictures" in source]
    assert [Path(source.partition("?")[0]).stem for source in sources] == ["traffic", "metric-errors", "verdicts"]
    picture = api.get(sources[1])
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "immutable" in picture.headers["cache-control"]
    assert "<script" not in picture.text
    assert "prefers-color-scheme:dark" in picture.text
    judge(api, rollout, hours=2)
    assert "no-store" in api.get(sources[1]).headers["cache-control"], "what it shows is not what was asked for"
    assert api.get(f"/rollouts/{rollout}/pictures/nothing.svg").status_code == 404


def test_a_rollout_is_found_by_its_model(api: Any, rollout: str) -> None:
    assert look(api, "/rollouts/fraud").words == look(api, f"/rollouts/{rollout}").words


def test_evidence_that_was_changed_is_said_to_be(api: Any, rollout: str) -> None:
    judge(api, rollout, hours=1)
    for path in api.project.artifacts.iterdir():
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes() + b" ")
    assert "is not what was stored" in look(api, f"/rollouts/{rollout}").words


def test_the_reference_has_every_call(api: Any) -> None:
    page = look(api, "/docs")
    for path in api.get("/openapi.json").json()["paths"]:
        assert path in page.words
    assert "curl -X POST" in page.words
    assert "/login" not in page.words
    assert "/pictures/" not in page.words


# ── what they never do ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(api: Any, rollout: str, path: str) -> None:
    answer = api.get(path, headers=BROWSER)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = Outline(answer.text)
    loaded = [*page.all_of("src"), *page.all_of("href", "link")]
    assert all(source.startswith("/") for source in loaded)
    for source in loaded:
        assert api.get(source).status_code == 200, source


def test_what_people_wrote_is_text(api: Any) -> None:
    api.operations.adopt("evil", "http://127.0.0.1:9/", actor=EVIL, owner=EVIL, purpose=EVIL)
    rollout = api.operations.start_rollout("fraud", 2, _plan(api), actor=EVIL)
    api.operations.by_hand(rollout, "pause", reason=EVIL, actor=EVIL)
    kill(api, EVIL)
    for path in ("/", "/models/evil", "/models/fraud", f"/rollouts/{rollout}"):
        page = look(api, path)
        assert EVIL in page.words.replace("( ", "(")
        assert page.all_of("src", "script") == ["/static/page.js"]
        assert "x" not in page.all_of("src", "img")


def _plan(api: Any) -> Any:
    from apisystem import PLAN
    from seatrial.store.plans import parse_plan

    return parse_plan(PLAN)


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/models/nix", "/rollouts/r-9999", "/models/fraud/explode", "/rollouts/fraud/explode", "/v1/nix"],
)
def test_a_page_that_is_not_there_is_a_page(api: Any, ann: Visitor, path: str) -> None:
    assert "Not found" in ann.look(path, 404).words
    assert api.get("/v1/nix").json()["code"] == "ST0842", "a program gets a document"


def test_a_store_that_does_not_answer_is_a_page(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> None:
        raise Unavailable("ST0611", "the store does not answer.", remedy="Try again.")

    monkeypatch.setattr(api.store, "read", down)
    words = look(api, "/", 503).words
    assert "ST0611 the store does not answer. Try again." in words


def test_a_bug_is_a_page_without_its_insides(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(api.app.state.desk.releases, "read", broken)
    words = look(api, "/rollouts/fraud", 500).words
    assert "ST0840" in words
    assert "hunter2" not in words


# ── who they let in ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(ann: Visitor) -> None:
    assert (ann.login.status_code, ann.login.headers["location"]) == (303, "/")
    flags = ann.login.headers["set-cookie"].lower()
    assert "httponly" in flags
    assert "samesite=strict" in flags
    assert "ann admin" in ann.look("/").words


def test_a_wrong_token_gets_the_form_again(api: Any) -> None:
    answer = api.call("POST", "/login", content=urlencode({"token": "nope", "next": "/models/fraud"}), headers=FORM)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    page = Outline(answer.text)
    assert "The token is not valid here" in page.words
    assert "nope" not in answer.text
    assert "/models/fraud" in page.all_of("value", "input")


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("/rollouts/r-0001", "/rollouts/r-0001"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nx: y", "/"),
    ],
)
def test_after_the_login_one_is_here(api: Any, wanted: str, given: str) -> None:
    fields = {"token": api.project.token(), "next": wanted, "name": "bob"}
    answer = api.call("POST", "/login", content=urlencode(fields), headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, given)


def test_a_logout_ends_the_session_in_the_browser(ann: Visitor) -> None:
    headers = {**FORM, "cookie": ann.cookie}
    assert ann.api.call("POST", "/logout", headers=headers).status_code == 403, "not by another site"
    body = urlencode({"csrf": ann.csrf("/")})
    answer = ann.api.call("POST", "/logout", content=body, headers=headers)
    assert answer.status_code == 303
    assert "max-age=0" in answer.headers["set-cookie"].lower()


def test_where_reading_is_closed_a_browser_is_sent_to_the_login(api: Any) -> None:
    api.serve_as(open_reads=False)
    answer = api.get("/", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")
    assert api.get("/events").status_code == 401
    page = look(api, "/login")
    assert "Token" in page.words
    for source in [*page.all_of("src"), *page.all_of("href", "link")]:
        assert api.get(source).status_code == 200, f"the login needs {source}"
    assert "fraud" in Visitor(api, "viewer", "vic").look("/").words


# ── what can be done with them ─────────────────────────────────────────────────────────────────────────────────────


def test_a_button_asks_why_and_does_it(api: Any, ann: Visitor, rollout: str) -> None:
    path = f"/rollouts/{rollout}/pause"
    assert path in ann.look(f"/rollouts/{rollout}").all_of("href", "a")
    assert "stays at shadow" in ann.look(path).words
    answer = ann.press(path, reason="release  freeze")
    assert answer.status_code == 303
    page = ann.look(answer.headers["location"])
    assert "✔ r-0001 was paused by ann: release freeze" in page.words
    assert "‖ Paused" in page.words
    assert api.get(f"/v1/rollouts/{rollout}").json()["status"] == "paused"
    assert f"/rollouts/{rollout}/resume" in page.all_of("href", "a")
    assert path not in page.all_of("href", "a")


def test_a_promotion_past_the_gates_is_one_and_says_so(api: Any, ann: Visitor, rollout: str) -> None:
    ann.press(f"/rollouts/{rollout}/promote", reason="approved")
    assert api.get(f"/v1/rollouts/{rollout}").json()["status"] == "running", "released, not skipped"
    answer = ann.press(f"/rollouts/{rollout}/promote", reason="ticket 7", full="yes")
    assert "✔ r-0001 was promoted by ann: ticket 7" in ann.look(answer.headers["location"]).words
    assert api.get(f"/v1/rollouts/{rollout}").json()["status"] == "promoted"


def test_a_kill_says_what_was_measured(api: Any, ann: Visitor) -> None:
    answer = ann.press("/models/fraud/kill", reason="fire", mode="off")
    assert "fraud killed by ann in 1.2 ms: fire" in ann.look(answer.headers["location"]).words


def test_without_a_reason_nothing_happens(api: Any, ann: Visitor, rollout: str) -> None:
    for reason in ("", "  \n ", "x" * 501):
        answer = ann.press(f"/rollouts/{rollout}/abort", reason=reason)
        assert answer.status_code == 422
        assert "ST0850 abort: a reason of 1 to 500 characters is needed." in Outline(answer.text).words
    assert api.get(f"/v1/rollouts/{rollout}").json()["status"] == "running"


def test_without_the_word_of_the_page_nothing_happens(api: Any, ann: Visitor, rollout: str) -> None:
    for forged in ("", "AAAA", Visitor(api, "admin", "eve").csrf("/")):
        answer = ann.press(f"/rollouts/{rollout}/abort", reason="x", csrf=forged)
        assert answer.status_code == 403
    assert api.get(f"/v1/rollouts/{rollout}").json()["status"] == "running"
    assert ann.press(f"/rollouts/{rollout}/abort", reason="x").status_code == 303, "the same with it does"


def test_what_went_wrong_comes_back_with_the_form(api: Any, ann: Visitor) -> None:
    kill(api)
    answer = ann.press("/models/fraud/revive", reason='fixed "it"')
    assert answer.status_code == 503
    page = Outline(answer.text)
    assert "ST0800" in page.words
    assert 'fixed "it"' in page.words


def test_only_what_a_role_may_do_is_shown_and_done(api: Any, rollout: str) -> None:
    shown = {}
    for role in ("viewer", "operator", "approver"):
        links = Visitor(api, role, role).look(f"/rollouts/{rollout}").all_of("href", "a")
        shown[role] = {link.rpartition("/")[2] for link in links if link.count("/") == 3}
    assert shown["viewer"] == set()
    assert shown["operator"] == {"pause", "abort", "kill"}
    assert shown["approver"] == {"pause", "abort", "kill", "promote"}
    operator = Visitor(api, "operator", "olga")
    assert "needs approver" in operator.look(f"/rollouts/{rollout}/promote", 403).words
    csrf = operator.csrf(f"/rollouts/{rollout}/pause")
    body = urlencode({"csrf": csrf, "reason": "mine", "full": "yes"})
    headers = {**FORM, **BROWSER, "cookie": operator.cookie}
    assert api.call("POST", f"/rollouts/{rollout}/promote", content=body, headers=headers).status_code == 403
    assert api.get(f"/v1/rollouts/{rollout}").json()["status"] == "running"


def test_somebody_who_only_reads_is_told_to_log_in(api: Any, rollout: str) -> None:
    page = look(api, f"/rollouts/{rollout}")
    assert f"/login?next=/rollouts/{rollout}" in page.all_of("href", "a")
    assert "Log in first" in look(api, f"/rollouts/{rollout}/pause", 401).words


def test_a_session_that_is_over_leads_to_the_login_and_back_to_the_form(api: Any, ann: Visitor, rollout: str) -> None:
    path = f"/rollouts/{rollout}/abort"
    body = urlencode({"csrf": ann.csrf(path), "reason": "late"})
    api.person("ann", "admin")  # another token: what was opened with the one before is over
    answer = api.call("POST", path, content=body, headers={**FORM, **BROWSER, "cookie": ann.cookie})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
    assert api.get(f"/v1/rollouts/{rollout}").json()["status"] == "running"


def test_a_button_that_came_too_late_says_so(api: Any, ann: Visitor, rollout: str) -> None:
    api.operations.by_hand(rollout, "abort", reason="enough", actor="bob")
    assert "r-0001 is aborted: there is nothing to pause." in ann.look(f"/rollouts/{rollout}/pause", 409).words
    assert "is not killed: there is nothing to revive" in ann.look("/models/fraud/revive", 409).words


def test_a_page_says_only_what_was_done(api: Any, rollout: str) -> None:
    assert "pwned" not in look(api, f"/rollouts/{rollout}?note=pwned").words
