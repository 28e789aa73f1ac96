"""The configuration as such: what a rollout changes and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.gateway import envoy_config
from seatrial.gateway.envoy_routes import route_config
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable
from seatrial.gateway.settings import Settings

SETTINGS = Settings(Path("/srv/gateway"), 8710)
CHAMPION = Backend("7", Endpoint("127.0.0.1", 9001))
PLAIN = ModelRoute(
    model="fraud",
    salt="s-1",
    unit_header="X-Unit-Id",
    champion=CHAMPION,
    canary=Backend("8.1", Endpoint("127.0.0.1", 9002)),
    shadow=Backend("9", Endpoint("127.0.0.1", 9003), "shadow"),
    canary_weight=500,
    mirrored=2000,
    rollout="r-1",
    phase=1,
)


def names(table):
    return {cluster["name"] for cluster in envoy_config.clusters(table)["resources"]}


def entries(table):
    route = envoy_config.routes(table)["resources"][0]["virtual_hosts"][0]["routes"][0]
    return route["route"]["weighted_clusters"]["clusters"]


@pytest.mark.parametrize("change", [{"canary_weight": 2500}, {"salt": "s-2"}, {"phase": 2}, {"mirrored": 100}])
def test_a_rollout_step_changes_routes_only(change):
    before, after = RouteTable(1, (PLAIN,)), RouteTable(2, (replace(PLAIN, **change),))
    assert envoy_config.clusters(before) == envoy_config.clusters(after)
    assert envoy_config.listeners(SETTINGS, before) == envoy_config.listeners(SETTINGS, after)
    assert envoy_config.routes(before) != envoy_config.routes(after)


def test_a_changed_backend_is_another_cluster():
    moved = replace(PLAIN, champion=replace(CHAMPION, endpoint=Endpoint("127.0.0.1", 9004)))
    assert names(RouteTable(1, (PLAIN,))) != names(RouteTable(1, (moved,)))


def test_entries_stand_in_the_order_of_the_points():
    parts = [(entry["name"].rpartition("--")[0], entry["weight"]) for entry in entries(RouteTable(1, (PLAIN,)))]
    assert parts == [("fraud--canary", 500), ("fraud--mirrored", 2000), ("fraud--champion", 7500)]


def test_who_left_stands_before_the_split_and_changes_nothing_in_it():
    left = replace(PLAIN, withdrawn=("site-1", "site-2"))
    first, second, *rest = route_config(RouteTable(1, (left,)))["virtual_hosts"][0]["routes"]
    assert rest == route_config(RouteTable(1, (PLAIN,)))["virtual_hosts"][0]["routes"]
    exact = [route["match"]["headers"][0]["string_match"] for route in (first, second)]
    assert exact == [{"exact": "site-1"}, {"exact": "site-2"}]
    assert first["request_headers_to_add"][0]["header"] == {"key": "x-seatrial-arm", "value": "none"}


@pytest.mark.parametrize("canary", [0, 1, 4999, 10_000])
@pytest.mark.parametrize("mirrored", [0, 1, 5000, 10_000])
def test_weights_always_add_up(canary, mirrored):
    mirrored = min(mirrored, 10_000 - canary)
    shares = entries(RouteTable(1, (replace(PLAIN, canary_weight=canary, mirrored=mirrored),)))
    assert sum(entry["weight"] for entry in shares) == 10_000
    assert all(entry["weight"] > 0 for entry in shares)


def test_every_cluster_a_route_names_is_there_and_has_no_dot():
    table = RouteTable(1, (PLAIN, replace(PLAIN, model="other", fallbacks=(replace(CHAMPION, level="previous"),))))
    known = names(table)
    assert {entry["name"] for entry in entries(table)} <= known
    assert not [name for name in known if "." in name]


def test_the_last_resort_is_never_ejected():
    def ejectable(route):
        found = envoy_config.clusters(RouteTable(1, (route,)))["resources"]
        return {cluster["name"].split("--")[1] for cluster in found if "outlier_detection" in cluster}

    assert ejectable(PLAIN) == {"8_1"}
    fallback = Backend("6", Endpoint("127.0.0.1", 9006), "previous")
    assert ejectable(replace(PLAIN, fallbacks=(fallback,))) == {"7", "8_1"}


def test_kept_clusters_stay_beside_the_new_ones():
    old, new = RouteTable(1, (PLAIN,)), RouteTable(2, (replace(PLAIN, model="other"),))
    kept = envoy_config.clusters(new, last=old)
    assert {cluster["name"] for cluster in kept["resources"]} == names(old) | names(new)


def test_versions_follow_content():
    one, two = RouteTable(1, (PLAIN,)), RouteTable(2, (PLAIN,))
    assert envoy_config.version_of(envoy_config.routes(one)).startswith("1-")
    assert envoy_config.version_of(envoy_config.clusters(one)) == envoy_config.version_of(envoy_config.clusters(two))
