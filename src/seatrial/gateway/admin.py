"""Envoy's admin interface over its Unix socket."""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seatrial.errors import Unavailable

_SAMPLE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\d+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


class Admin:
    """A client of one Envoy's admin socket. Every call is a connection of its own: few calls, no state to lose."""

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def get(self, target: str) -> str:
        return self._call("GET", target)

    def post(self, target: str) -> str:
        return self._call("POST", target)

    def ready(self) -> bool:
        """Whether Envoy answers and has read its configuration."""
        try:
            return self.get("/ready").strip() == "LIVE"
        except Unavailable:
            return False

    def stats(self, pattern: str) -> dict[str, int | str]:
        """Counters, gauges and text readouts whose name matches a regular expression."""
        found: dict[str, int | str] = {}
        for line in self.get(f"/stats?filter={quote(pattern)}").splitlines():
            name, _, value = line.partition(": ")
            found[name] = int(value) if value.isdigit() else value.strip('"')
        return found

    def labelled(self, name: str, pattern: str) -> list[tuple[dict[str, str], int]]:
        """Samples of one counter with their tags, from the Prometheus page."""
        page = self.get(f"/stats?format=prometheus&filter={quote(pattern)}")
        samples = (_SAMPLE.match(line) for line in page.splitlines())
        return [(dict(_LABEL.findall(s["labels"])), int(s["value"])) for s in samples if s and s["name"] == name]

    def listening(self) -> dict[str, int]:
        """Port of each TCP listener that is really bound, by name."""
        statuses = json.loads(self.get("/listeners?format=json")).get("listener_statuses", [])
        sockets = {item["name"]: item["local_address"].get("socket_address") for item in statuses}
        return {name: int(address["port_value"]) for name, address in sockets.items() if address}

    def route_config(self, name: str) -> dict[str, Any] | None:
        """A route configuration as Envoy has it in use, or None."""
        dump = json.loads(self.get("/config_dump?resource=dynamic_route_configs"))
        for item in dump.get("configs", []):
            config: dict[str, Any] = item["route_config"]
            if config["name"] == name:
                return config
        return None

    def _call(self, method: str, target: str) -> str:
        connection = _UnixConnection(self._path, self._timeout_s)
        try:
            connection.request(method, target)
            response = connection.getresponse()
            body = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("ST0710", f"Envoy does not answer on {self._path}: {error}.") from error
        finally:
            connection.close()
        if response.status != http.client.OK and target != "/ready":
            raise Unavailable("ST0711", f"Envoy answered {response.status} to {target}: {body.strip()[:200]}")
        return body
