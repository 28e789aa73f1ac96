"""The gateways that are compared, all with the same work: 10% sticky canary, and a mirror for a share of the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.machine import LOAD, SERVED, pin, running
from seatrial.gateway import envoy_clusters, envoy_config
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.envoy_listeners import listener_config
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable
from seatrial.gateway.settings import Settings
from seatrial.processes import free_port

ANSWER = '{"predictions": [0.42]}'
CANARY = 1000
_BODIES = """log_format bodies escape=json '{"unit":"$http_x_unit_id","arm":"$arm","req":"$request_body"}';"""
_HEAD = (
    "daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log stderr crit; events {{ worker_connections 4096; }}"
)


@dataclass(frozen=True)
class Upstreams:
    """Ports of three servers that answer at once."""

    champion: int
    canary: int
    shadow: int

    @property
    def ports(self) -> tuple[int, int, int]:
        return self.champion, self.canary, self.shadow


@contextmanager
def upstreams(directory: Path) -> Iterator[Upstreams]:
    """One nginx, three ports, on the core of the load."""
    found = Upstreams(free_port(), free_port(), free_port())
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; "
        f"add_header x-served-by {name}; return 200 '{ANSWER}'; }} }}"
        for name, port in zip(("champion", "canary", "shadow"), found.ports, strict=True)
    )
    with nginx(directory, "upstream", f"access_log off; keepalive_requests 1000000; {servers}", found.champion, LOAD):
        yield found


@contextmanager
def nginx(directory: Path, name: str, http: str, port: int, core: int = SERVED) -> Iterator[int]:
    """An nginx of one worker with this ``http`` block."""
    temporary = " ".join(
        f"{kind}_temp_path {directory}/{name}-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = directory / f"{name}.conf"
    path.write_text(f"{_HEAD.format(dir=directory, name=name)}\nhttp {{ {temporary} {http} }}\n")
    with running(["nginx", "-p", str(directory), "-c", str(path)], port, core=core) as pid:
        yield pid


def nginx_split(
    up: Upstreams, port: int, *, mirror: bool = False, log: Path | None = None, share: int = CANARY // 100
) -> str:
    """Split by a hash of the unit header; ``mirror`` copies every request; ``log`` keeps request bodies."""
    pools = "\n".join(
        f"upstream {name} {{ server 127.0.0.1:{at}; keepalive 64; keepalive_requests 1000000; }}"
        for name, at in zip(("champion", "canary", "shadow"), up.ports, strict=True)
    )
    wire = "proxy_http_version 1.1; proxy_set_header connection '';"
    copies = "mirror /copy;" if mirror else ""
    copy = f"location = /copy {{ internal; {wire} proxy_pass http://shadow$request_uri; }}" if mirror else ""
    shares = f"{share}% canary;" if share else ""
    if log is None:
        pools += "\naccess_log off;"
    else:
        pools += f"\n{_BODIES}\naccess_log {log} bodies buffer=64k flush=1s;"
    return f"""
      keepalive_requests 1000000;
      split_clients "bench:$http_x_unit_id" $arm {{ {shares} * champion; }}
      {pools}
      server {{ listen 127.0.0.1:{port}; client_body_buffer_size 64k;
        location / {{ {copies} {wire} proxy_pass http://$arm; }} {copy} }}"""


def haproxy_split(up: Upstreams, port: int, directory: Path, *, share: int = CANARY) -> str:
    """Split by xxh32 of the unit header; the canary's share is in a map, which the runtime API can change."""
    limits = directory / "limits.map"
    limits.write_text(f"canary {share}\n")
    return f"""global
  maxconn 4000
  nbthread 1
  stats socket {directory}/haproxy.sock mode 600 level admin
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 10s
frontend live
  bind 127.0.0.1:{port}
  http-request set-var(txn.limit) str(canary),map_str_int({limits},0)
  http-request set-var(txn.point) req.hdr(x-unit-id),xxh32,mod(10000)
  acl small var(txn.point),sub(txn.limit) -m int lt 0
  use_backend canary if small
  default_backend champion
backend champion
  server champion 127.0.0.1:{up.champion} pool-max-conn 64
backend canary
  server canary 127.0.0.1:{up.canary} pool-max-conn 64
"""


@contextmanager
def haproxy(directory: Path, config: str, port: int) -> Iterator[int]:
    path = directory / "haproxy.cfg"
    path.write_text(config)
    with running(["haproxy", "-db", "-f", str(path)], port, core=SERVED) as pid:
        yield pid


@contextmanager
def python_proxy(up: Upstreams, port: int, *, mirrored: int, log: Path | None) -> Iterator[int]:
    where = "-" if log is None else str(log)
    command = [sys.executable, "-m", "benchmarks.pyproxy", *map(str, (port, *up.ports, mirrored)), where]
    with running(command, port, core=SERVED, cwd=Path(__file__).parents[1]) as pid:
        yield pid


def route(up: Upstreams, *, canary: int = CANARY, mirrored: int = 0) -> ModelRoute:
    """The same split as everybody's, as seatrial writes it down."""
    backends = [
        Backend(name, Endpoint("127.0.0.1", port), level)
        for name, port, level in zip(
            ("champion", "canary", "shadow"), up.ports, ("primary", "primary", "shadow"), strict=True
        )
    ]
    return ModelRoute(
        model="bench", salt="bench", unit_header="x-unit-id", champion=backends[0], canary=backends[1],
        shadow=backends[2], canary_weight=canary, mirrored=mirrored, rollout="r-0001", phase=1,
    )  # fmt: skip


@contextmanager
def seatrial_gateway(
    directory: Path, up: Upstreams, *, canary: int = CANARY, mirrored: int = 0, capture: bool = True, keep: bool = True
) -> Iterator[tuple[Envoy, int]]:
    """seatrial's own Envoy with one model; yields it and its port. Without ``capture``: no bodies, no log.

    Without ``keep`` copies go straight to the shadow and its answers to nobody, as nginx does it.
    """
    envoy = Envoy(directory / f"gateway-{mirrored}-{capture}", free_port())
    with ExitStack() as stack:
        if not capture:
            stack.enter_context(patch.object(envoy_config, "listener_config", _without_capture))
        if not keep:
            stack.enter_context(patch.object(envoy_clusters, "_tap", envoy_clusters._shadow))
        stack.callback(envoy.stop)
        envoy.start()
        envoy.apply(RouteTable(1, (route(up, canary=canary, mirrored=mirrored),)))
        assert envoy.pid is not None
        pin(envoy.pid, SERVED)
        yield envoy, envoy.bound_port()


_listener_config = listener_config


def _without_capture(settings: Settings, table: RouteTable) -> list[envoy_config.Config]:
    """The listeners less the filter that reads bodies and the log that keeps them."""
    listeners = _listener_config(settings, table)
    for listener in listeners:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] != "capture"]
        manager["access_log"] = []
    return listeners
