"""Dead, slow and failing versions: users get answers, the log keeps the assigned arm."""

from __future__ import annotations

import pytest

from seatrial.gateway.kill import KillLatch, apply_latches
from seatrial.gateway.routes import Backend, Endpoint

pytestmark = pytest.mark.live

UNITS = [f"u{n}".encode() for n in range(200)]


def facts(lines):
    return {(line["arm"], line["version"], line["level"]) for line in lines}


def test_users_do_not_notice_a_dead_canary_and_the_log_does(gateway, fraud, upstream, table):
    canary = upstream("8")
    gateway.envoy.apply(table(1, fraud(canary=canary.backend(), canary_weight=5000)))
    gateway.send_all("fraud", UNITS)
    canary.die()
    gateway.send_all("fraud", UNITS)  # fails the test at the first answer that is not a 200
    lines = gateway.lines("live", 400)
    assert facts(lines[:200]) == {("canary", "8", "primary"), ("champion", "7", "primary")}
    assert facts(lines[200:]) == {("canary", "7", "champion"), ("champion", "7", "primary")}
    assert [line["arm"] for line in lines[:200]] == [line["arm"] for line in lines[200:]]


def test_a_canary_that_answers_500_is_covered_by_the_champion(gateway, fraud, upstream, table):
    canary = upstream("8", status=500)
    gateway.envoy.apply(table(1, fraud(canary=canary.backend(), canary_weight=10_000)))
    reply = gateway.send("/models/fraud/x", headers={"x-unit-id": "u"}, body=b"payload")
    assert (reply.status, reply.headers["x-seatrial-arm"], reply.headers["x-seatrial-level"]) == (
        200,
        "canary",
        "champion",
    )
    assert canary.seen[0].body == b"payload"
    assert gateway.lines("live", 1)[0]["attempts"] == 2


def test_a_body_of_megabytes_is_sent_to_the_fallback_whole(gateway, fraud, upstream, table):
    champion, body = upstream("7b"), b"x" * 3_000_000
    dead = upstream("8", status=500)
    gateway.envoy.apply(table(1, fraud(champion=champion.backend(), canary=dead.backend(), canary_weight=10_000)))
    assert gateway.send("/models/fraud/x", headers={"x-unit-id": "u"}, body=body).status == 200
    assert champion.seen[0].body == body


def test_a_wrong_request_is_the_clients_fault_and_is_not_tried_again(gateway, fraud, upstream, table):
    canary = upstream("8", status=422)
    gateway.envoy.apply(table(1, fraud(canary=canary.backend(), canary_weight=10_000)))
    reply = gateway.send("/models/fraud/x", headers={"x-unit-id": "u"})
    assert (reply.status, reply.headers["x-seatrial-version"]) == (422, "8")


def test_the_champion_s_own_error_reaches_the_user_when_nothing_is_behind_it(gateway, fraud, upstream, table):
    """While a canary runs, too: the champion must not get a second try that the canary's tally would not get."""
    champion = upstream("7b", status=500, body=b'{"error": "NaN"}')
    options = {"champion": champion.backend(), "canary": upstream("8").backend(), "canary_weight": 1}
    gateway.envoy.apply(table(1, fraud(**options)))
    replies = [gateway.send("/models/fraud/x", headers={"x-unit-id": "u"}) for _ in range(12)]
    assert {(reply.status, reply.body) for reply in replies} == {(500, b'{"error": "NaN"}')}
    assert len(champion.seen) == 12  # never ejected: there is nothing else


def test_a_slow_champion_is_answered_for_by_the_version_before(gateway, fraud, upstream, table):
    slow, previous = upstream("7b", delay_s=5), upstream("6")
    fallbacks = (previous.backend("previous"),)
    gateway.envoy.apply(table(1, fraud(champion=slow.backend(), fallbacks=fallbacks, try_timeout_s=0.1)))
    reply = gateway.send("/models/fraud/x", headers={"x-unit-id": "u"})
    assert (reply.status, reply.headers["x-seatrial-version"], reply.headers["x-seatrial-level"]) == (
        200,
        "6",
        "previous",
    )
    assert gateway.lines("live", 1)[0]["us"] >= 95_000  # Envoy's timers run on a clock that it reads now and then


def test_canary_champion_and_previous_all_dead_but_one(gateway, fraud, upstream, table):
    dead = Backend("8", Endpoint("127.0.0.1", 9))
    gone = Backend("7", Endpoint("127.0.0.1", 9))
    options = {"canary": dead, "canary_weight": 5000, "fallbacks": (upstream("6").backend("previous"),)}
    gateway.envoy.apply(table(1, fraud(champion=gone, **options)))
    gateway.send_all("fraud", UNITS)
    assert facts(gateway.lines("live", 200)) == {("canary", "6", "previous"), ("champion", "6", "previous")}


def test_a_version_that_is_passed_over_is_asked_when_all_others_are_dead(gateway, fraud, upstream, table):
    """It failed five times and is well again; before its time is over, the version behind it dies."""
    champion, previous = upstream("7b", status=500), upstream("6")
    gateway.envoy.apply(table(1, fraud(champion=champion.backend(), fallbacks=(previous.backend("previous"),))))
    gateway.send_all("fraud", UNITS)
    champion.status = 200
    gateway.send_all("fraud", UNITS[:20])
    assert facts(gateway.lines("live", 220)) == {("champion", "6", "previous")}, "it is passed over"
    previous.die()
    gateway.send_all("fraud", UNITS[:20])
    assert facts(gateway.lines("live", 240)[220:]) == {("champion", "7b", "again")}


def test_an_input_that_nobody_can_take_is_tried_once_more_and_no_further(gateway, fraud, upstream, table):
    canary, champion, previous = (upstream(name, status=500) for name in ("8", "7b", "6"))
    options = {"canary": canary.backend(), "fallbacks": (previous.backend("previous"),), "canary_weight": 10_000}
    gateway.envoy.apply(table(1, fraud(champion=champion.backend(), **options)))
    reply = gateway.send("/models/fraud/x", headers={"x-unit-id": "u"})
    assert (reply.status, reply.headers["x-seatrial-level"]) == (500, "again")
    assert [len(part.seen) for part in (canary, champion, previous)] == [1, 2, 1]


@pytest.fixture
def rollout(gateway, fraud, upstream, table):
    """A canary and a shadow at work, with the version before standing by."""
    parts = {name: upstream(name) for name in ("6", "8", "9")}
    route = fraud(
        canary=parts["8"].backend(),
        shadow=parts["9"].backend("shadow"),
        fallbacks=(parts["6"].backend("previous"),),
        canary_weight=5000,
        mirrored=5000,
        rollout="r-1",
        phase=1,
    )
    made = table(1, route)
    gateway.envoy.apply(made)
    gateway.send_all("fraud", UNITS)
    assert facts(gateway.lines("live", 200)) == {("canary", "8", "primary"), ("champion", "7", "primary")}
    assert parts["9"].seen
    return made, parts


@pytest.mark.parametrize(("mode", "version", "level"), [("champion", "7", "primary"), ("previous", "6", "previous")])
def test_a_killed_rollout_reaches_neither_canary_nor_shadow(gateway, rollout, clock, mode, version, level):
    made, parts = rollout
    before = {name: len(part.seen) for name, part in parts.items()}
    killed = apply_latches(made, [KillLatch("fraud", mode, "ops", "test", clock)])
    gateway.envoy.apply(type(made)(2, killed.models))
    gateway.send_all("fraud", UNITS)
    lines = gateway.lines("live", 400)[200:]
    assert facts(lines) == {("champion", version, level)}
    assert not any("rollout" in line for line in lines)
    assert {name: len(parts[name].seen) for name in ("8", "9")} == {name: before[name] for name in ("8", "9")}


def test_a_model_that_is_off_says_so(gateway, rollout, clock):
    made, parts = rollout
    before = {name: len(part.seen) for name, part in parts.items()}
    killed = apply_latches(made, [KillLatch("fraud", "off", "ops", "test", clock)])
    gateway.envoy.apply(type(made)(2, killed.models))
    reply = gateway.send("/models/fraud/x", headers={"x-unit-id": "u"})
    assert (reply.status, reply.headers["x-seatrial-level"]) == (503, "off")
    assert reply.json() == {"error": "model fraud is switched off", "model": "fraud", "level": "off"}
    assert {name: len(part.seen) for name, part in parts.items()} == before
    line = gateway.lines("live", 201)[-1]
    assert (line["code"], line["model"], line["level"]) == (503, "fraud", "off")
    assert gateway.envoy.split() == {}
