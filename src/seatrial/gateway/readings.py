"""What Envoy itself says it does: the split in use, and the requests it has finished."""

from __future__ import annotations

import json

from seatrial.gateway.admin import Admin
from seatrial.gateway.envoy_config import Config
from seatrial.gateway.envoy_routes import LIVE

Key = tuple[str | None, int | None, str]
"""Rollout, phase, arm."""


def split(admin: Admin) -> dict[str, dict[str, int]]:
    """The weights Envoy has in use: model → ``{"canary", "mirrored", "champion"}``, out of 10,000.

    ``champion`` is the part that is not mirrored. Where units are held out, there is ``holdout``, too. A model that is
    switched off has no weights.
    """
    config = admin.route_config(LIVE)
    routes = config["virtual_hosts"][0]["routes"] if config else []
    return {
        route["name"]: _weights(route["name"], route["route"]["weighted_clusters"]["clusters"])
        for route in routes
        if "weighted_clusters" in route.get("route", {})
    }


def counters(admin: Admin) -> dict[Key, int]:
    """Requests Envoy finished, by (rollout, phase, arm), shadows included; zero again after a restart of Envoy.

    Health checks are not in it, nor in the log. Requests that no arm was chosen for, such as unknown models and bodies
    that are too long, have the arm ``""``.
    """
    counts: dict[Key, int] = {}
    for tags, value in admin.labelled("envoy_seatrial_requests", r"^seatrial\."):
        given = {name: text for name, text in tags.items() if text not in ("", "-")}
        phase = given.get("phase")
        key = (given.get("rollout"), None if phase is None else int(phase), given.get("arm", ""))
        counts[key] = counts.get(key, 0) + value
    return counts


def copies_in_flight(admin: Admin) -> int:
    """Copies a shadow is still answering: their lines are in neither the counters nor the log yet."""
    active = admin.stats(r"^cluster\..*--(shadow|tap)--.*\.upstream_rq_active$")
    return sum(int(value) for value in active.values())


def set_aside(admin: Admin) -> dict[str, bool]:
    """Whether Envoy leaves a cluster out for now because its only host kept failing, by the cluster's name."""
    told = json.loads(admin.get("/clusters?format=json")).get("cluster_statuses", [])
    return {
        cluster["name"]: any(host.get("health_status", {}).get("failed_outlier_check") for host in hosts)
        for cluster in told
        if (hosts := cluster.get("host_statuses"))
    }


def _weights(model: str, entries: list[Config]) -> dict[str, int]:
    weights = dict.fromkeys(("canary", "mirrored", "champion"), 0)
    for entry in entries:
        part = str(entry["name"]).removeprefix(f"{model}--").partition("--")[0]
        weights[part] = weights.get(part, 0) + int(entry["weight"])
    return weights
