"""Envoy clusters of a route table: one for each backend, one chain for each arm, one tap for each shadow.

A cluster's name ends in a digest of its content, so a changed backend is another cluster and a route swap alone decides
who answers: no request of an old phase ever reaches a new version.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

from seatrial.gateway.assignment import Piece, pieces
from seatrial.gateway.routes import AGAIN, STAND_INS, Backend, ModelRoute, RouteTable, Standing
from seatrial.ids import CANARY, HOLDOUT

Config = dict[str, Any]

TYPE = "type.googleapis.com/envoy"
HTTP_OPTIONS = f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"
SHADOW_LISTENER = "shadow_in"

CACHED = 4096  # models whose configuration is remembered
LIVE_LIMIT = 1024  # requests, connections and retries of one cluster
TAP_LIMIT, SHADOW_LIMIT = 512, 256  # a hanging shadow holds no more than this; what is beyond is shed, and told
UPSTREAM_IDLE_S = 4.0  # below the 5 s of common Python servers, so that Envoy never sends into a closing connection


def cluster_config(table: RouteTable) -> list[Config]:
    """All clusters of the table, sorted by name."""
    found: dict[str, Config] = {}
    for route in table.models:
        found.update((cluster["name"], cluster) for cluster in _of_model(route))
    return [found[name] for name in sorted(found)]


def champion_cluster(route: ModelRoute) -> str:
    return str(_chain(route, "champion")["name"])


def piece_cluster(route: ModelRoute, piece: Piece) -> str:
    """Who answers, and gets copies, at some points."""
    return str(_of_piece(route, piece)["name"])


def shadow_cluster(route: ModelRoute, backend: Backend | None = None) -> str:
    """Of the rollout's shadow, or of a standing one."""
    return str(_shadow(route, backend)["name"])


def pieces_of(route: ModelRoute) -> list[Piece]:
    """The points of a route."""
    standing = [one.points for one in route.standing]
    return pieces(canary=route.canary_weight, mirrored=route.mirrored, standing=standing, held=route.held)


@lru_cache(CACHED)  # most models are as they were when one of them changes
def _of_model(route: ModelRoute) -> tuple[Config, ...]:
    if route.killed:
        return ()
    clusters = [*_members(route, "champion"), _chain(route, "champion")]
    if route.canary_weight:
        clusters += [*_members(route, "canary"), _chain(route, "canary")]
    if route.held:
        clusters += [*_members(route, HOLDOUT), _chain(route, HOLDOUT)]
    if route.mirrored:
        clusters += [_chain(route, "mirrored"), _shadow(route), _tap(route)]
    for one in route.standing:
        clusters += [_shadow(route, one.backend), _tap(route, one)]
    for points in (route.mirrored, *(points for _, points in route.mirrored_by)) if route.standing else ():
        clusters += [_of_piece(route, piece) for piece in pieces_of(replace(route, mirrored=points)) if piece.copies]
    return tuple(clusters)


def _of_piece(route: ModelRoute, piece: Piece) -> Config:
    if piece.slot.arm in (CANARY, HOLDOUT):
        return _chain(route, piece.slot.arm)
    copies = tuple(route.standing[place] for place in piece.copies)
    return _chain(route, "mirrored" if piece.slot.mirrored else "champion", copies)


def _levels(route: ModelRoute, arm: str) -> list[Backend]:
    """The chain of an arm, and who of it is asked once more.

    Versions before the last level are asked again at the end (the canary only if nobody else is): one that is set aside
    for a few seconds may be healthy, and with the last one dead it is all there is. That answer is no longer the
    version's own, so it has a level of its own.
    """
    chain = route.chain(arm)
    versions = [backend for backend in chain[:-1] if backend.level not in STAND_INS]
    again = versions[1:] if versions[1:] and versions[0] is route.canary else versions
    return [*chain, *(replace(backend, level=AGAIN) for backend in again)]


def tries(route: ModelRoute, arm: str) -> int:
    """How often the chain of an arm asks somebody."""
    return len(_levels(route, arm))


def members(route: ModelRoute, arm: str) -> list[tuple[Backend, str]]:
    """Who is asked, in order, each with the name of its cluster."""
    names = (str(member["name"]) for member in _members(route, arm))
    return list(zip(_levels(route, arm), names, strict=True))


def _members(route: ModelRoute, arm: str) -> list[Config]:
    levels = _levels(route, arm)
    own = [backend for backend in levels if backend.level != AGAIN]
    certain = levels[len(own) - 1 :]  # never set aside: five bad inputs in a row must not switch a model off
    return [_member(route, backend, ejected=_is_set_aside(backend, certain)) for backend in levels]


def _is_set_aside(backend: Backend, certain: list[Backend]) -> bool:
    """Rules and what comes after them answer at once or are started again: they are asked each time."""
    return backend not in certain and backend.level not in STAND_INS


def _member(route: ModelRoute, backend: Backend, *, ejected: bool) -> Config:
    cluster = {
        **_upstream(backend, LIVE_LIMIT),
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": _http({"idle_timeout": _seconds(UPSTREAM_IDLE_S)}),
    }
    if ejected:
        cluster["outlier_detection"] = {
            "consecutive_5xx": 5,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "split_external_local_origin_errors": False,  # split, a hanging host would never be ejected
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 100,
        }
    return _named(route.model, backend.version, cluster)


def _chain(route: ModelRoute, arm: str, copies: tuple[Standing, ...] = ()) -> Config:
    """Attempt n goes to member n; a member without a healthy host is skipped. ``copies``: standing shadows' own."""
    cluster: Config = {
        "connect_timeout": "0.25s",
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _breakers(LIVE_LIMIT),
        "cluster_type": {
            "name": "envoy.clusters.composite",
            "typed_config": {
                "@type": f"{TYPE}.extensions.clusters.composite.v3.ClusterConfig",
                "clusters": [{"name": member["name"]} for member in _members(route, arm)],
            },
        },
    }
    taps = [_tap(route)] if arm == "mirrored" else []
    if taps := [*taps, *(_tap(route, one) for one in copies)]:
        mirrors = [{"cluster": tap["name"], "disable_shadow_host_suffix_append": True} for tap in taps]
        cluster["typed_extension_protocol_options"] = _http({}, request_mirror_policies=mirrors)
    return _named(route.model, arm, cluster)


def _shadow(route: ModelRoute, backend: Backend | None = None) -> Config:
    """The shadow's answer ends when a live one would have to; the tap's route serves all models, so it is said here."""
    backend = backend or route.shadow
    assert backend is not None
    common = {"idle_timeout": _seconds(UPSTREAM_IDLE_S), "max_stream_duration": _seconds(route.timeout_s)}
    cluster = {**_upstream(backend, SHADOW_LIMIT), "typed_extension_protocol_options": _http(common)}
    return _named(route.model, "shadow", cluster)


def _tap(route: ModelRoute, standing: Standing | None = None) -> Config:
    """Where copies go: an internal listener of the same process, so that the shadow's answer can be logged.

    A standing shadow has a tap of its own: its copies say where they go, and that they belong to no rollout.
    """
    options: Config = {"explicit_http_config": {"http2_protocol_options": {}}}
    if standing is not None:
        options["http_filters"] = _addressed(route, standing)
    address = {"envoy_internal_address": {"server_listener_name": SHADOW_LISTENER, "endpoint_id": route.model}}
    cluster = {
        "connect_timeout": "0.25s",
        "load_assignment": {"endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
        "circuit_breakers": _breakers(TAP_LIMIT),
        "transport_socket": {
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": {
                "@type": f"{TYPE}.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {"@type": f"{TYPE}.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
                },
            },
        },
        "typed_extension_protocol_options": _http({}, **options),
    }
    return _named(route.model, "tap", cluster)


def _addressed(route: ModelRoute, standing: Standing) -> list[Config]:
    """What is written on a copy once it has left the request that it is a copy of."""
    told = {
        "x-seatrial-model": route.model,
        "x-seatrial-shadow-to": shadow_cluster(route, standing.backend),
        "x-seatrial-shadow-version": standing.backend.version,
        "x-seatrial-sampled": str(standing.points),
    }
    mutations: list[Config] = [
        {"append": {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
        for key, value in told.items()
    ]
    mutations += [{"remove": f"x-seatrial-{name}"} for name in ("rollout", "phase")]
    filters = f"{TYPE}.extensions.filters.http"
    written = {
        "@type": f"{filters}.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": mutations},
    }
    return [
        {"name": "envoy.filters.http.header_mutation", "typed_config": written},
        {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {"@type": f"{filters}.upstream_codec.v3.UpstreamCodec"},
        },
    ]


def _upstream(backend: Backend, limit: int) -> Config:
    address = {"address": backend.endpoint.host, "port_value": backend.endpoint.port}
    endpoint = {
        "endpoint": {"address": {"socket_address": address}},
        "metadata": {"filter_metadata": {"seatrial": {"version": backend.version, "level": backend.level}}},
    }
    return {
        "type": "STATIC" if _is_address(backend.endpoint.host) else "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",  # "localhost" is often ::1 to a resolver, rarely to a server
        "connect_timeout": "0.25s",
        "load_assignment": {"endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": _breakers(limit),
    }


def _breakers(limit: int) -> Config:
    """All four, because the default of 3 retries fails most requests when a primary dies under load."""
    kinds = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"thresholds": [dict.fromkeys(kinds, limit)]}


def _http(common: Config, **options: Any) -> Config:
    body: Config = {"@type": HTTP_OPTIONS, "explicit_http_config": {"http_protocol_options": {}}}
    if common:  # the features header of a batch may be long
        body["common_http_protocol_options"] = {**common, "max_response_headers_kb": 512}
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {**body, **options}}


def _named(model: str, part: str, cluster: Config) -> Config:
    """Without dots: Envoy's own statistics cut a cluster's name at the first one."""
    digest = hashlib.sha256(json.dumps(cluster, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{model}--{part.replace('.', '_')}--{digest}"
    if "load_assignment" in cluster:
        cluster["load_assignment"]["cluster_name"] = name
    return {"@type": f"{TYPE}.config.cluster.v3.Cluster", "name": name, **cluster}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _seconds(value: float) -> str:
    return f"{value:g}s"
