"""What people make of a drill: a template that must be filled, and actions that are carried on until they are done."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from apisystem import Api
from apisystem import api as api
from apisystem import project as project
from drillevidence import changed, evidence
from seatrial.cli import main
from seatrial.control.drills.documents import review_from
from seatrial.control.drills.report import html, markdown, template
from seatrial.errors import UsageError
from seatrial.governance.drills.judge import judge
from seatrial.governance.drills.review import Action, Review, carried, missing

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
WHOLE = {
    "facilitator": "ann", "participants": ["ann", "bob"], "wentWell": "everybody knew what to do",
    "wentWrong": "the pager was silent", "lessons": "page the second line as well",
    "actions": [{"text": "route the page", "owner": "bob", "due": "2026-04-01"}],
}  # fmt: skip


def kept(api: Api, document: dict[str, Any], day: int = 0, review: Review | None = None) -> str:
    """A drill that was finished with this evidence, in the store."""
    at = T0 + timedelta(days=day)
    times = {"startedAt": "2026-03-02T09:30:00.000000Z", "endedAt": "2026-03-02T09:30:07.000000Z"}
    with api.store.begin() as tx:
        before = {d.id: review_from(d.document["review"]) for d in tx.drills.list("fraud")}
        made = tx.drills.create("fraud", {
            "actor": "ann", "owner": "ann", "participants": [], "unannounced": False, "share": document["share"],
            "targets": document["targets"], "bodies": [], "version": 3, "rollout": "r-0002",
            "steps": [{**step, **times} for step in document["steps"]], "endedAt": at.isoformat(), "closed": None,
            "review": review or Review(actions=carried(before, "")),
        }, at)  # fmt: skip
        passed = judge(document).passed
        return tx.drills.save(made, made.document, "passed" if passed else "failed").id


def put(api: Api, id: str, review: object) -> Any:
    return api.call("PUT", f"/v1/drills/{id}/review", json=review, headers=api.token)


def shown(api: Api, id: str) -> Any:
    return api.get(f"/v1/drills/{id}").json()


def test_the_template_is_a_review_that_lacks_everything() -> None:
    empty = review_from(yaml.load(template(), yaml.BaseLoader))
    assert empty == Review()
    assert missing(empty, []) == ["facilitator", "participants", "wentWell", "wentWrong", "lessons"]


def test_a_review_is_closed_when_it_is_complete_and_not_before(api: Api) -> None:
    id = kept(api, changed("verify", standby={"serves": False, "text": "v1 does not serve"}))
    refused = api.post(f"/v1/drills/{id}/close")
    assert (refused.status_code, refused.json()["code"]) == (422, "ST0368")
    assert "facilitator" in refused.json()["message"]
    assert "actions (the drill failed: standby)" in refused.json()["message"]
    assert put(api, id, {**WHOLE, "actions": [{"text": "x", "owner": "", "due": "soon"}]}).status_code == 200
    assert shown(api, id)["missing"] == ["actions[1].owner", "actions[1].due (a date such as 2026-04-01)"]
    assert api.post(f"/v1/drills/{id}/close").json()["code"] == "ST0368"
    assert put(api, id, WHOLE).json()["missing"] == []
    assert api.post(f"/v1/drills/{id}/close").json()["closed"]
    assert put(api, id, WHOLE).json()["code"] == "ST0369", "what was closed stays"
    with api.store.read() as tx:
        assert {"drill.review", "drill.close"} <= {entry.action for entry in tx.audit.log()}


def test_open_actions_are_carried_on_and_those_done_are_not(api: Api) -> None:
    first = kept(api, evidence())
    done = {"text": "write it down", "owner": "ann", "due": "2026-04-01", "done": True}
    put(api, first, {**WHOLE, "actions": [*WHOLE["actions"], done]})
    second = kept(api, evidence(), day=30)
    assert [(a["text"], a["since"]) for a in shown(api, second)["review"]["actions"]] == [("route the page", first)]
    put(api, second, {**WHOLE, "actions": []})
    assert [a["text"] for a in shown(api, second)["review"]["actions"]] == ["route the page"], (
        "it is not lost by silence"
    )
    third = kept(api, evidence(), day=60)
    assert shown(api, third)["review"]["actions"][0]["since"] == first


def test_the_report_says_everything_as_markdown_and_as_html(api: Api) -> None:
    kept(api, evidence(), review=Review())
    id = kept(api, changed("detect", detectedAfter=75.5), day=30, review=review_from(WHOLE))
    document, listed = shown(api, id), api.get("/v1/drills").json()
    text, page = markdown(document, listed["trend"]), html(document, listed["trend"], "<svg></svg>")
    assert text.startswith(f"# Drill {id} of fraud: failed")
    for said in ("time_to_detect", "75.500 s", "60 s", "FAILED", "6 restore", "09:30:07.000", "route the page", "bob",
                 "2026-04-01", "page the second line as well", "d-0001", "4.25 s"):  # fmt: skip
        assert said in text, said
        assert said in page, said
    assert [row["zeroAfter"] for row in listed["trend"]] == [4.25, 4.25]
    assert "<script" not in html({**document, "review": {**document["review"], "lessons": "<script>"}}, [])


@pytest.mark.slow
def test_by_the_commands(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    id = kept(api, evidence())
    project = ("--project", str(api.project.root))

    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main([*project, "drill", *words])
        assert left.value.code in (0, None)
        return capsys.readouterr().out

    assert json.loads(said("report", id, "--json")) == shown(api, id)
    for name in ("review.md", "review.html"):
        said("report", id, "--out", str(tmp_path / name))
        assert f"Drill {id} of fraud: passed" in (tmp_path / name).read_text()
    assert "<svg" in (tmp_path / "review.html").read_text(), "the trend is a picture"
    said("report", id, "--evidence", str(tmp_path / "evidence.json"))
    assert json.loads(said("judge", str(tmp_path / "evidence.json"), "--json"))["passed"]
    assert json.loads(said("list", "--json"))["drills"][0]["zeroAfter"] == 4.25
    said("list", "--chart", str(tmp_path / "trend.svg"))
    assert "seconds to 0%" in (tmp_path / "trend.svg").read_text()
    assert yaml.safe_load(said("template"))["participants"] == []


def test_one_drill_at_a_time(api: Api) -> None:
    with api.store.begin() as tx:
        base = {"steps": [], "review": {}, "closed": None}
        tx.drills.create("fraud", base, T0)
        with pytest.raises(Exception, match="ST0370"):
            tx.drills.create("fraud", base, T0)


def test_a_review_with_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="ST0378"):
        review_from({"facilitater": "ann"})
    assert review_from({"actions": [{"text": "a", "owner": "b", "due": "2026-04-01"}]}).actions == (
        Action(text="a", owner="b", due="2026-04-01"),
    )
