"""Envoy's route configuration of a route table: all that a rollout changes.

A POST with a unit is a prediction that takes part in a comparison. Whatever else comes, a request without a unit, a GET
for a page or a health check, is the champion's and is in no arm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from seatrial.gateway.assignment import Piece
from seatrial.gateway.envoy_clusters import (
    CACHED,
    TYPE,
    Config,
    champion_cluster,
    piece_cluster,
    pieces_of,
    shadow_cluster,
    tries,
)
from seatrial.gateway.routes import MAX_BODY_BYTES, PRIMARY, UNAVAILABLE, ModelRoute, RouteTable

LIVE = "live"
WAITED = "x-seatrial-waited"
"""Milliseconds until the level that answered was asked: what those before it took."""

REMOVED = ("version", "arm", "level", "reason", "waited", "host-version")
"""What only the gateway itself says."""

NAMES_SHOWN = 50  # Envoy refuses long direct answers


def route_config(table: RouteTable) -> Config:
    """The live listener's routes. Order matters: in the comparison (by segment first), not in it, unknown model."""
    routes = [entry for route in table.models for entry in _of_model(route)]
    routes += [_unavailable(model) for model in table.unavailable]
    return {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": LIVE,
        "validate_clusters": True,  # else a route to an unknown cluster is taken and answers 503
        "max_direct_response_body_size_bytes": 65_536,
        # Same for all models, so said once. The route's own headers come after these: "off" has a level of its own.
        "most_specific_header_mutations_wins": True,
        "request_headers_to_remove": ["x-envoy-external-address"],  # a client's address is no model's business
        "request_headers_to_add": [_stamp("x-seatrial-event-time", "%REQ(x-event-time)%")] if table.replay else [],
        "response_headers_to_remove": [f"x-seatrial-{name}" for name in REMOVED],
        "response_headers_to_add": [
            _stamp("x-seatrial-id", "%REQ(x-seatrial-id)%"),
            _stamp("x-seatrial-version", "%UPSTREAM_METADATA(seatrial:version)%"),
            _stamp("x-seatrial-arm", "%REQ(x-seatrial-arm)%"),
            _stamp("x-seatrial-level", "%UPSTREAM_METADATA(seatrial:level)%"),
            _stamp(WAITED, "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)%"),
        ],
        "virtual_hosts": [{"name": "models", "domains": ["*"], "routes": [*routes, _unknown(table)]}],
    }


@lru_cache(CACHED)
def _of_model(route: ModelRoute) -> tuple[Config, ...]:
    if route.killed:
        return (_off(route),)
    segments = (_of_segment(route, value, points) for value, points in route.mirrored_by)
    left = (_left(route, unit) for unit in route.withdrawn)
    return *left, *segments, _compared(route), _not_compared(route)


def _of_segment(route: ModelRoute, value: str, points: int) -> Config:
    """Requests of a segment that is copied at a share of its own; what is no such value goes on to the next route."""
    assert route.segment_header is not None
    given = {"name": route.segment_header.lower(), "string_match": {"exact": value}}
    return _compared(replace(route, mirrored=points), [given])


def _compared(route: ModelRoute, more: Sequence[Config] = ()) -> Config:
    header = route.unit_header.lower()
    given: list[Config] = [
        *more,
        {"name": ":method", "string_match": {"exact": "POST"}},
        {"name": header, "present_match": True},
        {"name": header, "string_match": {"exact": ""}, "invert_match": True},  # all empty units would share an arm
    ]
    # An insertion at the start is the identity on any unit, whatever bytes it has.
    salted = {"pattern": {"regex": "^"}, "substitution": f"{route.salt}:"}
    action = {
        **_action(route),
        "hash_policy": [{"header": {"header_name": header, "regex_rewrite": salted}}],
        "weighted_clusters": {"use_hash_policy": True, "clusters": _split(route)},
    }
    stamps = [_stamp("x-seatrial-unit", f"%REQ({header})%")]
    if route.segment_header is not None:
        stamps.append(_stamp("x-seatrial-segment", f"%REQ({route.segment_header.lower()})%"))
    if route.mirrored:
        stamps.append(_stamp("x-seatrial-sampled", str(route.mirrored)))
    return _entry(route, action, given, stamps)


def _not_compared(route: ModelRoute, given: Sequence[Config] = ()) -> Config:
    action = {**_action(route), "cluster": champion_cluster(route)}
    stamps = [_stamp("x-seatrial-arm", "none"), _retries(route, "champion")]
    return _entry(route, action, list(given), stamps)


def _left(route: ModelRoute, unit: str) -> Config:
    """A unit that left the rollout: before the split, so that nobody else's place in it changes."""
    return _not_compared(route, [{"name": route.unit_header.lower(), "string_match": {"exact": unit}}])


def _split(route: ModelRoute) -> list[Config]:
    """The weighted entries, in the order of the hash points: canary, mirrored champion, champion."""
    return [_share(route, piece) for piece in pieces_of(route)]


def _share(route: ModelRoute, piece: Piece) -> Config:
    arm, mirrored = piece.slot
    stamps = [_stamp("x-seatrial-arm", arm), _retries(route, arm), *(_for_shadow(route) if mirrored else ())]
    return {"name": piece_cluster(route, piece), "weight": piece.points, "request_headers_to_add": stamps}


def _retries(route: ModelRoute, arm: str) -> Config:
    """One attempt for each level of the arm's own chain: the policy of the route is shared by arms of unequal length.

    The router takes the header away before the request goes out; a client's own was removed at the door.
    """
    return _stamp("x-envoy-max-retries", str(tries(route, arm) - 1))


def _for_shadow(route: ModelRoute) -> list[Config]:
    """What the shadow listener must know travels with the copy, so both sides of a pair always agree on the phase."""
    stamps = [_stamp("x-seatrial-model", route.model), _stamp("x-seatrial-shadow-to", shadow_cluster(route))]
    if route.rollout is not None:
        stamps += [_stamp("x-seatrial-rollout", route.rollout), _stamp("x-seatrial-phase", str(route.phase))]
    return stamps


def _action(route: ModelRoute) -> Config:
    return {
        "timeout": f"{route.timeout_s:g}s",
        "regex_rewrite": {"pattern": {"regex": f"^{re.escape(_prefix(route))}/?"}, "substitution": "/"},
        "retry_policy": {
            # A version that sheds load has not answered: 429 goes on to the next one, as 503 does.
            "retry_on": "5xx,reset,connect-failure,refused-stream,retriable-status-codes",
            "retriable_status_codes": [429],
            "num_retries": 0,  # each arm says how many
            "per_try_timeout": f"{route.try_timeout_s:g}s",
            "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"},
        },
    }


def _entry(route: ModelRoute, action: Config, headers: list[Config], stamps: list[Config]) -> Config:
    entry = {
        "name": route.model,
        "match": {"path_separated_prefix": _prefix(route), "headers": headers},
        "metadata": _metadata(route),
        "request_headers_to_add": stamps,
        "request_body_buffer_limit": route.max_body_bytes,  # a longer body could not be sent to the next level
        "route": action,
    }
    if route.canary_weight or route.fallbacks or route.lowered or route.held:
        entry["response_headers_to_add"] = [_stamp("x-seatrial-reason", _why(route))]
    if route.max_body_bytes != MAX_BODY_BYTES:
        entry["typed_per_filter_config"] = {"limits": _body_limit(route.max_body_bytes)}
    return entry


def _why(route: ModelRoute) -> str:
    """Why the level before the one that answered did not: nothing for the assigned version's own answer.

    A level that was passed over without being asked costs no attempt; one that hung costs as long as it may take.
    """
    level = "response.headers['x-seatrial-level']"
    hung_ms = int(route.try_timeout_s * 900)  # Envoy's timers run on a clock that it reads now and then
    failed = f"(int(response.headers['{WAITED}']) >= {hung_ms} ? 'timeout' : 'error')"
    asked = f"(upstream.request_attempt_count == 1u ? 'ejected' : {failed})"
    if route.lowered:
        asked = f"({level} == '{route.champion.level}' ? '{route.lowered}' : {asked})"
    return f"%CEL({level} == '{PRIMARY}' ? '' : {asked})%"


def _body_limit(limit: int) -> Config:
    return {
        "@type": f"{TYPE}.extensions.filters.http.filter_chain.v3.FilterChainConfigPerRoute",
        "filter_chain": {"filters": body_filters(limit)},
    }


def body_filters(limit: int) -> list[Config]:
    """413 for bodies longer than ``limit`` bytes, declared or chunked; a shorter one is read whole before it goes on.

    So a client that sends slowly occupies a connection of its own and nothing behind the gateway, and one that is
    refused was in no arm.
    """
    filters = f"{TYPE}.extensions.filters.http"
    size = {"@type": f"{filters}.body_size_limit.v3.BodySizeLimit", "max_request_bytes": limit}
    whole = {"@type": f"{filters}.buffer.v3.Buffer", "max_request_bytes": limit + 1}
    return [
        {"name": "envoy.filters.http.body_size_limit", "typed_config": size},
        {"name": "envoy.filters.http.buffer", "typed_config": whole},
    ]


def _metadata(route: ModelRoute) -> Config:
    facts: Config = {"model": route.model}
    if route.rollout is not None and not route.killed:
        facts |= {"rollout": route.rollout, "phase": str(route.phase)}
    return {"filter_metadata": {"seatrial": facts}}


def _off(route: ModelRoute) -> Config:
    body = {"error": f"model {route.model} is switched off", "model": route.model, "level": route.killed}
    stamps = [_stamp("x-seatrial-arm", "none"), _stamp("x-seatrial-level", str(route.killed))]
    answer = _direct(503, body, stamps)
    return {
        "name": route.model,
        "match": {"path_separated_prefix": _prefix(route)},
        "metadata": _metadata(route),
        **answer,
    }


def _unavailable(model: str) -> Config:
    """A model that exists, though no version of it can be served: 503 and not 404, so that clients try again."""
    body = {"error": f"no version of model {model} can be served now", "model": model, "level": UNAVAILABLE}
    stamps = [_stamp("x-seatrial-arm", "none"), _stamp("x-seatrial-level", UNAVAILABLE)]
    return {
        "name": model,
        "match": {"path_separated_prefix": f"/models/{model}"},
        "metadata": {"filter_metadata": {"seatrial": {"model": model}}},
        **_direct(503, body, stamps),
    }


def _unknown(table: RouteTable) -> Config:
    names = sorted([*(route.model for route in table.models), *table.unavailable])
    body: Config = {
        "error": "no such model; a model is addressed as /models/NAME/...",
        "remedy": "seatrial model adopt NAME --url URL",
        "models": names[:NAMES_SHOWN],
    }
    if len(names) > NAMES_SHOWN:
        body["more"] = len(names) - NAMES_SHOWN
    return {"name": "unknown", "match": {"prefix": "/"}, **_direct(404, body, [])}


def _direct(status: int, body: Config, stamps: list[Config]) -> Config:
    return {
        "direct_response": {"status": status, "body": {"inline_string": json.dumps(body) + "\n"}},
        "response_headers_to_add": [_stamp("content-type", "application/json"), *stamps],
    }


def _prefix(route: ModelRoute) -> str:
    return f"/models/{route.model}"


def _stamp(key: str, value: str) -> Config:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
