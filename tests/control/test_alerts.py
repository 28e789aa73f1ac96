"""Alerts: told once, delivered at least once, by receivers that fail in every way they can."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from receivers import Receiver
from seatrial.control.alerting import alerts, notices
from seatrial.control.alerting.alerts import KINDS
from seatrial.control.alerting.delivery import Courier, Pace, post, send
from seatrial.control.alerting.messages import Message, message, signature
from seatrial.control.alerting.targets import AlertTarget
from seatrial.control.project import Project
from seatrial.errors import NotFound, UsageError
from seatrial.gateway.kill import KillLatch
from seatrial.store.alert import Alert
from seatrial.store.db import Store

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
QUICK = Pace(attempts=4, first_s=0.01, longest_s=0.05)
PATIENT = Pace(attempts=1000, first_s=0.01, longest_s=0.05)


def alert(n: int = 1, kind: str = "rollout.abort", text: str = "fraud v2 is out of traffic") -> Alert:
    return Alert(
        key=f"r-0001/{kind}/{n}", kind=kind, severity=KINDS[kind], object="r-0001", text=text, at=NOW, model="fraud"
    )


class Office:
    """A project with targets, its store, and a courier that is on its way."""

    def __init__(self, root: Path, targets: list[dict[str, Any]], pace: Pace) -> None:
        root.mkdir(exist_ok=True)
        (root / "seatrial.yaml").write_text(json.dumps({"project": "shop", "alerts": targets}))
        self.project = Project.open(root)
        self.store = Store.open(self.project.store_url)
        self.courier = Courier(self.project, self.store, pace=pace, poll_s=0.02)
        self.courier.start()

    def tell(self, *told: Alert) -> list[bool]:
        with self.store.begin() as tx:
            return [tx.alerts.put(one) for one in told]

    def states(self) -> dict[str, list[str]]:
        """By target, oldest alert first."""
        found: dict[str, list[str]] = {}
        with self.store.read() as tx:
            for line in reversed(notices.listed(tx, limit=100)["alerts"]):
                for delivery in line["deliveries"]:
                    found.setdefault(delivery["target"], []).append(delivery["state"])
        return found

    def close(self) -> None:
        self.courier.stop()
        wait_for(lambda: not any(name.startswith("alerts ") for name in running()))
        self.store.close()


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*statuses: int, started: bool = True, **how: Any) -> Receiver:
        receiver = Receiver(*statuses, **how)
        made.append(receiver)
        return receiver.start() if started else receiver

    yield make
    for receiver in made:
        receiver.stop()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    made: list[Office] = []

    def make(*targets: dict[str, Any], pace: Pace = QUICK) -> Office:
        made.append(Office(tmp_path / "shop", [*targets], pace))
        return made[-1]

    yield make
    for one in made:
        one.courier.stop()
    for one in made:
        one.close()


def wait_for(done: Callable[[], Any], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


# ── receivers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_receiver_gets_each_alert_whatever_the_others_do(
    office: Callable[..., Office], receivers: Callable[..., Receiver]
) -> None:
    good, moody, down = receivers(), receivers(500, 503), receivers(started=False)
    slow = receivers(delay_s=2)
    made = office(
        *({"name": n, "url": r.url} for n, r in (("slow", slow), ("down", down), ("moody", moody), ("good", good))),
        pace=PATIENT,
    )
    made.tell(alert(1), alert(2))
    wait_for(lambda: len(good.accepted) == 2 and len(moody.accepted) == 2)
    assert "delivered" not in made.states()["slow"], "nobody waits for the one that is slow"
    assert [got.status for got in moody.received][:2] == [500, 503]
    assert good.accepted == ["shop/r-0001/rollout.abort/1", "shop/r-0001/rollout.abort/2"]
    wait_for(lambda: made.states()["good"] == ["delivered", "delivered"])
    assert made.states()["down"] == ["pending", "pending"]
    down.start()
    wait_for(lambda: made.states()["down"] == ["delivered", "delivered"])
    assert sorted(down.accepted) == good.accepted


def test_the_same_thing_told_again_is_one_alert(
    office: Callable[..., Office], receivers: Callable[..., Receiver]
) -> None:
    good = receivers()
    made = office({"name": "good", "url": good.url})
    assert made.tell(alert(1), alert(1), alert(2)) == [True, False, True]
    assert made.tell(alert(2), alert(3)) == [False, True]
    wait_for(lambda: made.states().get("good") == ["delivered"] * 3)
    assert len(good.received) == len({got.key for got in good.received}) == 3


def test_what_is_rolled_back_was_never_told(office: Callable[..., Office], receivers: Callable[..., Receiver]) -> None:
    good = receivers()
    made = office({"name": "good", "url": good.url})

    def fail() -> None:
        with made.store.begin() as tx:
            tx.alerts.put(alert(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    made.tell(alert(2))
    wait_for(lambda: made.states().get("good") == ["delivered"])
    assert good.accepted == ["shop/r-0001/rollout.abort/2"]


def test_a_receiver_that_never_takes_it_is_given_up_on_and_tried_again_when_asked(
    office: Callable[..., Office], receivers: Callable[..., Receiver]
) -> None:
    bad = receivers(*[500] * 4)
    made = office({"name": "bad", "url": bad.url})
    made.tell(alert(1))
    wait_for(lambda: made.states().get("bad") == ["failed"])
    assert len(bad.received) == QUICK.attempts
    assert len({(got.key, got.body) for got in bad.received}) == 1, "the same bytes under the same key"
    with made.store.read() as tx:
        assert tx.alerts.undelivered() == {("bad", "failed"): 1}
        (line,) = notices.listed(tx, limit=5, undelivered=True)["alerts"]
    assert line["deliveries"][0]["error"] == "500 ok"
    with pytest.raises(NotFound, match="Did you mean 'bad'"):
        notices.retry(made.project, made.store, target="baad", actor="ann")
    assert notices.retry(made.project, made.store, target="bad", actor="ann")["deliveries"] == 1
    wait_for(lambda: made.states()["bad"] == ["delivered"])
    with made.store.read() as tx:
        assert tx.alerts.undelivered() == {}
        assert tx.audit.log(1)[0].action == "alerts.retry"


def test_redirects_are_not_followed(office: Callable[..., Office], receivers: Callable[..., Receiver]) -> None:
    other = receivers()
    moved = receivers(*[302] * 4, headers={"location": other.url})
    made = office({"name": "moved", "url": moved.url})
    made.tell(alert(1))
    wait_for(lambda: made.states().get("moved") == ["failed"])
    assert other.received == []


def test_a_target_hears_what_it_wants_from_when_it_is_there(
    office: Callable[..., Office], receivers: Callable[..., Receiver], tmp_path: Path
) -> None:
    first, second = receivers(), receivers()
    before = office({"name": "first", "url": first.url, "kinds": ["rollout.*"], "minSeverity": "warning"})
    before.tell(alert(1), alert(1, "rollout.start"), alert(1, "model.kill"))
    wait_for(lambda: before.states() == {"first": ["delivered"]})
    before.close()
    after = office({"name": "first", "url": first.url}, {"name": "second", "url": second.url})
    after.tell(alert(2))
    wait_for(lambda: after.states() == {"first": ["delivered"] * 2, "second": ["delivered"]})
    assert second.accepted == ["shop/r-0001/rollout.abort/2"]


# ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────────


DOCS = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")


def documented() -> Callable[[str, str, bytes], bool]:
    """How the docs tell receivers to check a signature."""
    told: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)[0], told)
    verify: Callable[[str, str, bytes], bool] = told["verify"]
    return verify


def test_every_kind_is_explained() -> None:
    section = DOCS.partition("## What is told")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `([a-z._]+)` \| (\w+) \|", section, re.MULTILINE)) == dict(KINDS)


def test_a_signature_covers_the_body_and_the_time(
    office: Callable[..., Office], receivers: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = receivers()
    monkeypatch.setenv("SHOP_ALERTS", "k3y")
    made = office({"name": "good", "url": good.url, "secretEnv": "SHOP_ALERTS"})
    made.tell(alert(1))
    wait_for(lambda: good.received)
    (got,) = good.received
    header = got.headers["seatrial-signature"]
    verify = documented()
    assert verify("k3y", header, got.body)
    assert not verify("another", header, got.body)
    assert not verify("k3y", header, got.body.replace(b"v2", b"v3"))
    assert not verify("k3y", signature("k3y", got.body, int(time.time()) - 3600), got.body), "an old message again"
    assert not verify("k3y", f"t={int(time.time()) + 1},{header.partition(',')[2]}", got.body)
    document = got.document
    assert document["key"] == got.key
    assert {name: document[name] for name in ("schema", "kind", "severity", "object", "model", "time", "link")} == {
        "schema": "seatrial.alert.v1",
        "kind": "rollout.abort",
        "severity": "critical",
        "object": "r-0001",
        "model": "fraud",
        "time": "2026-03-01T12:30:00.000000Z",
        "link": "http://127.0.0.1:8700/rollouts/r-0001",
    }


def test_nothing_goes_out_unsigned(office: Callable[..., Office], receivers: Callable[..., Receiver]) -> None:
    good = receivers()
    made = office({"name": "good", "url": good.url, "secretEnv": "SEATRIAL_TEST_UNSET"})
    made.tell(alert(1))
    wait_for(lambda: made.states().get("good") == ["failed"])
    assert good.received == []
    with made.store.read() as tx:
        assert "SEATRIAL_TEST_UNSET is not set" in tx.alerts.deliveries(1)[0].last_error


def test_slack_calls_nobody_by_a_reason(tmp_path: Path) -> None:
    (tmp_path / "seatrial.yaml").write_text("project: R&D\n")
    project = Project.open(tmp_path)
    target = AlertTarget(name="ops", url="https://hooks.slack.com/services/T/B/x", format="slack")
    told = alert(text="fraud v2 is out: <!channel> a < b & c" + "x" * 4000)
    document = json.loads(message(project, target, told).body)
    said = document["blocks"][0]["text"]["text"]
    assert "&lt;!channel&gt; a &lt; b &amp; c" in said
    assert "<!channel>" not in json.dumps(document)
    assert len(said) <= 3000
    assert "<http://127.0.0.1:8700/rollouts/r-0001|r-0001>" in said
    assert document["text"].startswith("R&amp;D: fraud v2 is out")


def test_pauses_double_up_to_the_longest_and_spread() -> None:
    pace = Pace()
    pauses = [pace.pause_s("a", attempt) for attempt in range(1, 17)]
    assert all(full / 2 <= pause <= full for pause, full in zip(pauses, (2.0**n for n in range(12)), strict=False))
    assert max(pauses) <= pace.longest_s
    assert pauses == [pace.pause_s("a", attempt) for attempt in range(1, 17)]
    assert len({pace.pause_s(key, 5) for key in "abcdefgh"}) == 8


# ── configuration ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"url": "http://h", "kinds": ["rollout.abrot"]}, r"'ops': there is no kind 'rollout.abrot'.*'rollout.abort'"),
        ({"url": "http://h", "kinds": ["rolout.*"]}, "there is no kind 'rolout.*'"),
        ({"url": "ftp://h"}, "the url is not http"),
        ({}, "needs one of url and urlEnv"),
        ({"url": "http://h", "urlEnv": "X"}, "needs one of url and urlEnv"),
        ({"url": "http://h", "format": "slack", "secretEnv": "X"}, "Slack checks no signature"),
        ({"url": "http://h", "name": "o p s"}, "'o p s' is not a name"),
        ({"url": "http://h", "minSeverity": "high"}, "'info', 'warning' or 'critical'"),
        ({"url": "http://h", "kind": ["*"]}, "kind"),
    ],
)
def test_a_target_that_cannot_be_honoured_is_refused(tmp_path: Path, target: dict[str, Any], says: str) -> None:
    (tmp_path / "seatrial.yaml").write_text(json.dumps({"project": "shop", "alerts": [{"name": "ops", **target}]}))
    with pytest.raises(UsageError, match=says):
        Project.open(tmp_path)


def test_two_targets_of_one_name_are_refused(tmp_path: Path) -> None:
    target = {"name": "ops", "url": "http://h"}
    (tmp_path / "seatrial.yaml").write_text(json.dumps({"project": "shop", "alerts": [target, target]}))
    with pytest.raises(UsageError, match="two targets are named 'ops'"):
        Project.open(tmp_path)


def test_a_trial_says_what_came_back(tmp_path: Path, receivers: Callable[..., Receiver]) -> None:
    good, bad, down = receivers(), receivers(403), receivers(started=False)
    targets = [{"name": n, "url": r.url} for n, r in (("good", good), ("bad", bad), ("down", down))]
    (tmp_path / "seatrial.yaml").write_text(json.dumps({"project": "shop", "alerts": targets}))
    project = Project.open(tmp_path)
    said = {name: notices.send_test(project, name, actor="ann") for name in ("good", "bad", "down")}
    assert [(said[n]["ok"], said[n]["status"]) for n in said] == [(True, 200), (False, 403), (False, None)]
    assert "ConnectError" in said["down"]["reply"]
    assert good.received[0].document["kind"] == "test"
    assert "s3cret" not in json.dumps(said), "a URL may be a secret"
    with pytest.raises(NotFound, match="Did you mean 'good'"):
        notices.send_test(project, "goood", actor="ann")


def test_the_url_may_be_in_the_environment(tmp_path: Path, receivers: Callable[..., Receiver]) -> None:
    good = receivers()
    (tmp_path / "seatrial.yaml").write_text("project: shop\n")
    project, target = Project.open(tmp_path), AlertTarget(name="ops", url_env="OPS_URL")
    assert post(project, target, alert(), {"OPS_URL": good.url}).ok
    with pytest.raises(UsageError, match="OPS_URL is not set"):
        post(project, target, alert(), {})


def test_a_kill_and_its_end_have_one_key_each_however_often_they_are_recorded() -> None:
    latch = KillLatch("fraud", "previous", "ann", "wrong currency", NOW)
    assert alerts.of_kill(latch) == alerts.of_kill(latch)
    keys = {alerts.of_kill(latch).key, alerts.of_revival(latch, "ann", "fixed", NOW).key}
    assert len(keys) == 2


def test_stopping_does_not_wait_for_a_receiver_that_hangs(
    office: Callable[..., Office], receivers: Callable[..., Receiver]
) -> None:
    slow = receivers(delay_s=1.5)
    made = office({"name": "slow", "url": slow.url})
    made.tell(alert(1))
    wait_for(lambda: slow.received)
    made.courier.stop()
    assert "alerts slow" in running(), "its answer is still to come"
    wait_for(lambda: "alerts slow" not in running())


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("url", ["http://[half", "http://host:port/", "no-scheme", "http://127.0.0.1:9/"])
def test_an_address_that_is_none_is_an_attempt_that_failed_and_no_crash(url: str) -> None:
    reply = send(url, Message("k", b"{}", ""))
    assert (reply.ok, reply.status) == (False, 0)
