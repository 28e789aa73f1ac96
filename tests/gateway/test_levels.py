"""The level that answered, and why the one before it did not: said on the answer and in the log."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from seatrial.gateway.envoy_clusters import members
from seatrial.gateway.kill import KillLatch, apply_latches
from seatrial.gateway.readings import set_aside

pytestmark = [pytest.mark.live, pytest.mark.slow]


def told(reply):
    return reply.status, reply.headers["x-seatrial-level"], reply.headers.get("x-seatrial-reason")


def ask(gateway):
    return gateway.send("/models/fraud/x", headers={"x-unit-id": "u"})


@pytest.fixture
def chain(fraud, upstream, table):
    """A champion with four levels, and a table of them."""
    parts = {
        level: upstream(name) for level, name in (("primary", "7b"), ("previous", "6"), ("rules", "r"), ("review", "q"))
    }
    below = tuple(parts[level].backend(level) for level in ("previous", "rules", "review"))
    route = fraud(champion=parts["primary"].backend(), fallbacks=below, try_timeout_s=0.2)
    return parts, route


def test_each_level_answers_when_those_before_it_do_not(gateway, chain, table):
    parts, route = chain
    gateway.envoy.apply(table(1, route))
    assert told(ask(gateway)) == (200, "primary", None)
    parts["primary"].status = 500
    assert told(ask(gateway)) == (200, "previous", "error")
    parts["previous"].die()
    assert told(ask(gateway)) == (200, "rules", "error")
    parts["rules"].status = 503
    assert told(ask(gateway)) == (200, "review", "error")
    parts["review"].die()
    parts["primary"].status = 200
    assert ask(gateway).status == 200
    lines = gateway.lines("live", 5)
    assert [(line["level"], line.get("lower")) for line in lines[:4]] == [
        ("primary", None), ("previous", "error"), ("rules", "error"), ("review", "error"),
    ]  # fmt: skip


def test_one_that_hangs_leaves_time_for_those_below(gateway, chain, table):
    parts, route = chain
    parts["primary"].delay_s = parts["previous"].delay_s = 5
    gateway.envoy.apply(table(1, route))
    reply = ask(gateway)
    assert told(reply) == (200, "rules", "timeout")
    assert int(reply.headers["x-seatrial-waited"]) >= 360


def test_a_wrong_request_does_not_go_down_the_chain(gateway, chain, table):
    parts, route = chain
    parts["primary"].status = 422
    gateway.envoy.apply(table(1, route))
    assert told(ask(gateway)) == (422, "primary", None)
    assert not parts["previous"].seen


def test_one_that_keeps_failing_is_left_out_and_comes_back(gateway, chain, table):
    """Half open: after its time it is asked again, and stays if it answers."""
    parts, route = chain
    parts["primary"].status = 500
    gateway.envoy.apply(table(1, route))
    name = {backend.level: cluster for backend, cluster in members(route, "champion")}["primary"]
    deadline = time.monotonic() + 30
    while told(ask(gateway))[2] != "ejected":
        assert time.monotonic() < deadline
    assert set_aside(gateway.envoy.admin)[name]
    parts["primary"].status = 200
    while told(ask(gateway))[1] != "primary":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {told(ask(gateway)) for _ in range(50)} == {(200, "primary", None)}, "and stays"


def test_a_kill_goes_on_down_the_chain(gateway, chain, table, clock):
    parts, route = chain
    (killed,) = apply_latches(table(1, route), [KillLatch("fraud", "previous", "ann", "x", clock)]).models
    gateway.envoy.apply(table(1, killed))
    assert told(ask(gateway)) == (200, "previous", "killed")
    parts["previous"].die()
    assert told(ask(gateway)) == (200, "rules", "error")
    (killed,) = apply_latches(table(2, route), [KillLatch("fraud", "rules", "ann", "x", clock)]).models
    gateway.envoy.apply(table(2, killed))
    assert told(ask(gateway)) == (200, "rules", "killed")
    (killed,) = apply_latches(table(3, route), [KillLatch("fraud", "banner", "ann", "x", clock)]).models
    assert killed == replace(killed, killed=None), "the last resort is one level, whatever it is"
