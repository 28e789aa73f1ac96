"""Route tables: what is refused, and that they come back from disk as they were."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import NotFound, SeatrialError
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable

CHAMPION = Backend("7", Endpoint("127.0.0.1", 9001))
CANARY = Backend("8", Endpoint("127.0.0.1", 9002))
SHADOW = Backend("9", Endpoint("10.0.0.3", 9003), "shadow")
RULES, REVIEW = (Backend(level, Endpoint("127.0.0.1", 9004), level) for level in ("rules", "review"))
PLAIN = ModelRoute(model="fraud", salt="s-1", unit_header="x-unit-id", champion=CHAMPION)


@st.composite
def routes(draw):
    canary_weight = draw(st.integers(0, 10_000))
    rollout = draw(st.sampled_from([None, "r-0001"]))
    return replace(
        PLAIN,
        canary=CANARY,
        shadow=draw(st.just(SHADOW)),
        canary_weight=canary_weight,
        mirrored=draw(st.integers(0, 10_000 - canary_weight)),
        rollout=rollout,
        phase=None if rollout is None else draw(st.integers(0, 99)),
        fallbacks=draw(st.sampled_from([(), (replace(CHAMPION, level="previous"),), (RULES, REVIEW)])),
        killed=draw(st.sampled_from([None, "off"])),
        timeout_s=draw(st.floats(0.5, 60)),
        withdrawn=draw(st.sampled_from([(), ("site-1",), ("site 2", "ä")])),
    )


@given(routes(), st.integers(0, 10**9), st.booleans())
def test_a_table_comes_back_as_it_was(route, generation, replay):
    table = RouteTable(generation, (PLAIN, replace(route, model="other")), replay)
    assert RouteTable.from_json(table.to_json()) == table


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model": "a.b"}, "name of a model"),
        ({"model": "a/b"}, "name of a model"),
        ({"salt": "a\\1"}, "salt"),
        ({"salt": ""}, "salt"),
        ({"unit_header": "x_unit"}, "header"),
        ({"unit_header": "x-seatrial-unit"}, "removed from every request"),
        ({"canary_weight": 100}, "canary weight without a canary"),
        ({"mirrored": 100}, "without a shadow"),
        ({"canary": CANARY, "shadow": SHADOW, "canary_weight": 5000, "mirrored": 5001}, "exceed 10000"),
        ({"canary": CANARY, "canary_weight": -1}, "exceed"),
        ({"rollout": "r-1"}, "go together"),
        ({"phase": 1}, "go together"),
        ({"rollout": "r\n1", "phase": 1}, "id of a rollout"),
        ({"try_timeout_s": 3.0}, "must fit"),
        ({"try_timeout_s": 0.0}, "must fit"),
        ({"killed": "maybe"}, "not 'off'"),
        ({"max_body_bytes": 0}, "body limit"),
        ({"fallbacks": (RULES, RULES)}, "goes down"),
        ({"fallbacks": (REVIEW, RULES)}, "goes down"),
        ({"fallbacks": (CHAMPION,)}, "fallback has level 'primary'"),
        ({"shadow": CHAMPION}, "shadow has level 'primary'"),
    ],
)
def test_what_cannot_be_honoured_is_refused(change, complaint):
    with pytest.raises(SeatrialError, match=f"ST0700 .*{complaint}"):
        replace(PLAIN, **change)


def test_the_whole_range_may_be_canary_or_mirrored():
    assert replace(PLAIN, canary=CANARY, canary_weight=10_000).canary_weight == 10_000
    assert replace(PLAIN, canary=CANARY, shadow=SHADOW, canary_weight=1, mirrored=9_999).mirrored == 9_999


@pytest.mark.parametrize(("host", "port"), [("", 1), ("a b", 1), ("127.0.0.1", 0), ("127.0.0.1", 65_536)])
def test_endpoints_are_checked(host, port):
    with pytest.raises(SeatrialError, match="ST0700"):
        Endpoint(host, port)


def test_a_model_stands_in_the_table_once():
    with pytest.raises(SeatrialError, match="twice: fraud"):
        RouteTable(1, (PLAIN, PLAIN))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"generation": 1}',
        '{"generation": 1, "models": [], "colour": "red"}',
        '{"generation": 1, "models": [{"model": "fraud"}]}',
        json.dumps({**json.loads(RouteTable(1, (PLAIN,)).to_json()), "generation": "x"}),
    ],
)
def test_what_is_not_a_table_is_not_read(text):
    with pytest.raises(SeatrialError, match="ST070"):
        RouteTable.from_json(text)


def test_a_missing_model_is_named_with_those_there_are():
    assert RouteTable(1, (PLAIN,)).model("fraud") == PLAIN
    with pytest.raises(NotFound, match=r"no model 'x'. It knows: fraud"):
        RouteTable(1, (PLAIN,)).model("x")
