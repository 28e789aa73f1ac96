"""Everything Envoy is told, as plain dicts: pure functions of the settings and a route table.

``bootstrap`` is read once; listeners, clusters and routes are xDS files that are replaced while Envoy runs.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from seatrial.gateway.envoy_clusters import TYPE, Config, cluster_config
from seatrial.gateway.envoy_listeners import listener_config
from seatrial.gateway.envoy_routes import route_config
from seatrial.gateway.routes import RouteTable
from seatrial.gateway.settings import Settings

__all__ = ["Config", "bootstrap", "cluster_names", "clusters", "listeners", "routes", "static_bootstrap", "version_of"]


def clusters(table: RouteTable, *, last: RouteTable | None = None) -> Config:
    """The CDS file. The clusters of the ``last`` table stay: requests may still be on them."""
    tables = [table] if last is None else [last, table]
    wanted = {cluster["name"]: cluster for each in tables for cluster in cluster_config(each)}
    return _resources([wanted[name] for name in sorted(wanted)])


def cluster_names(table: RouteTable) -> set[str]:
    """What the routes of a table need."""
    return {cluster["name"] for cluster in cluster_config(table)}


def routes(table: RouteTable) -> Config:
    """The RDS file of the live listener; its version begins with the table's generation."""
    return _resources([route_config(table)], prefix=f"{table.generation}-")


def listeners(settings: Settings, table: RouteTable) -> Config:
    """The LDS file."""
    return _resources(listener_config(settings, table))


def version_of(file: Config) -> str:
    """The version Envoy reports once it uses this file."""
    return str(file["version_info"])


def bootstrap(settings: Settings) -> Config:
    """What Envoy is started with: the admin socket, where the xDS files are, limits of the whole process."""
    internal = f"{TYPE}.extensions.bootstrap.internal_listener.v3.InternalListener"
    return {
        # A Unix socket, never TCP: whoever reaches the admin can stop the process.
        "admin": {"address": {"pipe": {"path": str(settings.admin_socket), "mode": 0o600}}},
        "node": {"id": "seatrial", "cluster": "seatrial"},
        "bootstrap_extensions": [{"name": "envoy.bootstrap.internal_listener", "typed_config": {"@type": internal}}],
        "dynamic_resources": {"cds_config": settings.source("cds"), "lds_config": settings.source("lds")},
        "overload_manager": _overload(settings),
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _kept_stats()}}},
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
    }


def static_bootstrap(settings: Settings, table: RouteTable) -> Config:
    """One file with everything inlined, for ``envoy --mode validate``, which does not read xDS files."""
    config = bootstrap(settings)
    del config["dynamic_resources"]
    listening = copy.deepcopy(listener_config(settings, table))
    for listener in listening:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        if manager.pop("rds", None):
            manager["route_config"] = _untyped(route_config(table))
    static = {"listeners": listening, "clusters": cluster_config(table)}
    config["static_resources"] = {kind: [_untyped(item) for item in items] for kind, items in static.items()}
    return config


def _kept_stats() -> list[Config]:
    """Of the hundred statistics of each cluster the few that somebody looks at: reading the others costs more than a
    change of routes once there are many models."""
    prefixes = ("seatrial.", "http.", "cluster_manager.", "listener_manager.", "listener.", "server.", "overload.")
    looked_at = (
        "upstream_rq_(total|active|timeout|retry|retry_success|[1-5]xx|active_overflow|pending_overflow)",
        "upstream_cx_(active|connect_fail)",
        r"membership_(healthy|total)|outlier_detection\.ejections_active",
    )
    of_cluster = {"safe_regex": {"regex": rf"cluster\..*\.({'|'.join(looked_at)})"}}
    return [*({"prefix": prefix} for prefix in (*prefixes, "filesystem.")), of_cluster]


def _overload(settings: Settings) -> Config:
    monitors = f"{TYPE}.extensions.resource_monitors"
    heap, connections = (
        "envoy.resource_monitors.fixed_heap",
        "envoy.resource_monitors.global_downstream_max_connections",
    )
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            _monitor(
                connections,
                f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=settings.max_connections,
            ),
            _monitor(heap, f"{monitors}.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=settings.max_heap_bytes),
        ],
        "actions": [
            _overload_action("disable_http_keepalive", heap, 0.90),
            _overload_action("stop_accepting_requests", heap, 0.95),
        ],
    }


def _monitor(name: str, kind: str, **limits: int) -> Config:
    return {"name": name, "typed_config": {"@type": kind, **limits}}


def _overload_action(name: str, monitor: str, at: float) -> Config:
    return {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": monitor, "threshold": {"value": at}}]}


def _resources(items: list[Config], prefix: str = "") -> Config:
    digest = hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()[:12]
    return {"version_info": f"{prefix}{digest}", "resources": items}


def _untyped(item: dict[str, Any]) -> Config:
    return {key: value for key, value in item.items() if key != "@type"}
