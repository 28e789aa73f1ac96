"""Envoy's two listeners: the live one, and the internal one that copies for a shadow pass through."""

from __future__ import annotations

from functools import cache
from importlib import resources

from seatrial.gateway.envoy_clusters import SHADOW_LISTENER, TYPE, Config
from seatrial.gateway.envoy_routes import LIVE, body_filters
from seatrial.gateway.routes import MAX_BODY_BYTES, MEBIBYTE, RouteTable
from seatrial.gateway.settings import Settings

HTTP = f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
SHADOW_CEILING_S = 30  # each shadow cluster sets its own, shorter limit

_FIELDS: Config = {
    "t": "%START_TIME(%s.%6f)%",
    "id": "%REQ(x-seatrial-id)%",
    "unit": "%REQ(x-seatrial-unit)%",
    "segment": "%REQ(x-seatrial-segment)%",
    "sampled": "%REQ(x-seatrial-sampled)%",
    "version": "%UPSTREAM_METADATA(seatrial:version)%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "why": "%RESPONSE_CODE_DETAILS%",
    "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "method": "%REQ(:method)%",
    "path": "%REQ(:path)%",
    "et": "%REQ(x-seatrial-event-time)%",
    "ct": "%REQ(content-type)%",
    "rct": "%RESP(content-type)%",
    "body": "%DYNAMIC_METADATA(seatrial)%",
}

# Not for copies, whose request is in the live line already: Envoy starts a coroutine for every function there is.
_ON_REQUEST = 'function envoy_on_request(handle) capture(handle, "req") end\n'

# What each listener knows about a request: the live one from its route, the internal one from headers on the copy.
_LIVE_FACTS: Config = {
    "model": "%METADATA(ROUTE:seatrial:model)%",
    "rollout": "%METADATA(ROUTE:seatrial:rollout)%",
    "phase": "%METADATA(ROUTE:seatrial:phase)%",
    "arm": "%REQ(x-seatrial-arm)%",
}
_LIVE_LEVEL: Config = {
    "level": "%RESP(x-seatrial-level)%",  # also known where no endpoint was asked: "off"
    "lower": "%RESP(x-seatrial-reason)%",
    "reasons": "%RESP(x-seatrial-reasons)%",
}
_SHADOW_FACTS: Config = {
    "model": "%REQ(x-seatrial-model)%",
    "rollout": "%REQ(x-seatrial-rollout)%",
    "phase": "%REQ(x-seatrial-phase)%",
    "arm": "shadow",
}
_SHADOW_VERSION: Config = {"to": "%REQ(x-seatrial-shadow-version)%"}  # also known where the shadow is dead
_SHADOW_LEVEL: Config = {"level": "%UPSTREAM_METADATA(seatrial:level)%"}


def listener_config(settings: Settings, table: RouteTable) -> list[Config]:
    """Both listeners. They depend on the table only through unit headers and limits: a rollout never touches them."""
    headers = sorted({route.unit_header.lower() for route in table.models})
    attempt_s = max((route.try_timeout_s for route in table.models), default=0.0)
    return [_live(settings, headers), _shadow(settings, attempt_s)]


def _live(settings: Settings, unit_headers: list[str]) -> Config:
    manager: Config = {
        "@type": HTTP,
        "stat_prefix": LIVE,
        **_hardening(),
        "early_header_mutation_extensions": [_early_mutation(unit_headers)],
        "rds": {"route_config_name": LIVE, "config_source": settings.source("rds")},
        "local_reply_config": _own_answers(),
        "access_log": _access_log(settings, settings.live_log, {**_LIVE_FACTS, **_LIVE_LEVEL}, _LIVE_FACTS),
        "http_filters": [_health(), _limits(), _capture(settings, request=True), _router()],
    }
    address = {"socket_address": {"address": settings.host, "port_value": settings.port}}
    return {
        "@type": f"{TYPE}.config.listener.v3.Listener",
        "name": LIVE,
        "address": address,
        "enable_reuse_port": False,  # with it, a second gateway on this port would silently take half of the traffic
        "per_connection_buffer_limit_bytes": MEBIBYTE,
        "filter_chains": _chain(manager),
    }


def _shadow(settings: Settings, attempt_s: float) -> Config:
    """Copies arrive over HTTP/2; the cluster to go to, the model and the phase are in their headers.

    A shadow has as long to begin its answer as a live try has, and then, as live, until its cluster's limit to end it.
    """
    send: Config = {"cluster_header": "x-seatrial-shadow-to", "timeout": f"{SHADOW_CEILING_S}s"}
    if attempt_s:
        send["retry_policy"] = {"num_retries": 0, "per_try_timeout": f"{attempt_s:g}s"}
    mark = {"header": {"key": "x-seatrial-shadow", "value": "true"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    route = {"name": "shadow", "match": {"prefix": "/"}, "route": send, "request_headers_to_add": [mark]}
    facts = {**_SHADOW_FACTS, **_SHADOW_LEVEL, **_SHADOW_VERSION}
    manager: Config = {
        "@type": HTTP,
        "stat_prefix": "shadow",
        "codec_type": "HTTP2",
        "generate_request_id": False,
        "route_config": {"name": "shadow", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "access_log": _access_log(settings, settings.shadow_log, facts, _SHADOW_FACTS),
        "http_filters": [_capture(settings, request=False), _router()],  # the request is in the live line already
    }
    return {
        "@type": f"{TYPE}.config.listener.v3.Listener",
        "name": SHADOW_LISTENER,
        "internal_listener": {},
        "filter_chains": _chain(manager),
    }


def _hardening() -> Config:
    """What a client may do: sizes, times and paths. Slow headers 408, long headers 431, ``%2F`` in a path 400."""
    return {
        "use_remote_address": True,
        # No client has this address, so none is "internal" and trusted with x-envoy-* headers. Empty means all private.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "::", "prefix_len": 128}]},
        "skip_xff_append": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        # nginx speaks 1.0 to what is behind it unless it is told otherwise.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "seatrial"},
        "max_request_headers_kb": 32,
        "request_headers_timeout": "5s",
        "request_timeout": "30s",
        "stream_idle_timeout": "60s",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "max_headers_count": 64,
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "server_header_transformation": "PASS_THROUGH",
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{TYPE}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,  # leaves the client's id as it is
            }
        },
    }


def _own_answers() -> Config:
    """What the gateway itself refuses or gives up says why, in JSON; direct answers of routes are JSON already."""
    refused = {
        400: "the request is malformed, or its path is hidden behind escapes",
        408: "the request came too slowly",
        413: "the body is above the limit of this model",
        431: "the headers are above 32 KiB, or more than 64",
    }
    gave_up = {
        503: "no version of this model takes requests now",
        504: "no version of this model answered in time",
    }
    flagged: Config = {"response_flag_filter": {}}  # any: a route's own 503, for a model that is switched off, has none
    mappers = [_mapper(_answers(status), reason) for status, reason in refused.items()]
    for status, reason in gave_up.items():
        mappers.append(_mapper({"and_filter": {"filters": [_answers(status), flagged]}}, reason))
    return {"mappers": mappers}


def _answers(status: int) -> Config:
    same = {"op": "EQ", "value": {"default_value": status, "runtime_key": f"seatrial.status.{status}"}}
    return {"status_code_filter": {"comparison": same}}


def _mapper(when: Config, error: str) -> Config:
    body = {"error": error, "status": "%RESPONSE_CODE%", "id": "%REQ(x-seatrial-id)%"}
    return {"filter": when, "body_format_override": {"json_format": body}}


def _early_mutation(unit_headers: list[str]) -> Config:
    """Before any route is chosen: nobody can name their own arm, and a unit header that came twice counts once."""
    own_id = {"header": {"key": "x-seatrial-id", "value": "%UNIQUE_ID%"}}
    mutations: list[Config] = [
        {"remove_on_match": {"key_matcher": {"prefix": "x-seatrial-"}}},
        {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}},
        {"append": {**own_id, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}},
    ]
    for name in unit_headers:
        first = {"header": {"key": name, "value": f"%REQ({name})%"}, "append_action": "OVERWRITE_IF_EXISTS"}
        mutations.append({"append": first})
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": f"{TYPE}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": mutations,
        },
    }


def _access_log(settings: Settings, path: str, facts: Config, tags: Config) -> list[Config]:
    """The capture log, and a counter by (model, rollout, phase, arm) that the log is reconciled with."""
    served: Config = {"filter": {"not_health_check_filter": {}}}
    file_log = {
        "@type": f"{TYPE}.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
        "log_format": {"json_format": {**_FIELDS, **facts}, "omit_empty_values": True},
    }
    counter = {
        "stat": {"name": "requests", "tags": [{"name": key, "value_format": text} for key, text in tags.items()]},
        "value_fixed": 1,
    }
    stats_log = {
        "@type": f"{TYPE}.extensions.access_loggers.stats.v3.Config",
        "stats_scope": {"prefix": "seatrial", "max_counters": settings.max_counters},
        "counters": [counter],
    }
    return [
        {"name": "envoy.access_loggers.file", **served, "typed_config": file_log},
        {"name": "envoy.access_loggers.stats", **served, "typed_config": stats_log},
    ]


def _capture(settings: Settings, *, request: bool) -> Config:
    source = _capture_source().replace("__MAX__", str(settings.capture_bytes)) + (_ON_REQUEST if request else "")
    return {
        "name": "capture",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": source},
        },
    }


@cache
def _capture_source() -> str:
    return resources.files("seatrial.gateway").joinpath("capture.lua").read_text()


def _limits() -> Config:
    """A frame for the limit of bodies: a model with a limit of its own puts it here, on its route."""
    return {
        "name": "limits",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.http.filter_chain.v3.FilterChainConfig",
            "default_filter_chain": {"filters": body_filters(MAX_BODY_BYTES)},
        },
    }


def _health() -> Config:
    return {
        "name": "envoy.filters.http.health_check",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": False,
            "headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}],
        },
    }


def _router() -> Config:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True},
    }


def _chain(manager: Config) -> list[Config]:
    return [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]
