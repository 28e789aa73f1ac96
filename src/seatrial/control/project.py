"""A project on disk: its configuration, where everything lies, and its secrets."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.control.alerting.targets import AlertTarget, check_targets
from seatrial.control.anchoring.policy import AuditPolicy
from seatrial.control.mlflow.settings import MlflowSettings
from seatrial.control.signatures import SigningPolicy
from seatrial.errors import NotFound, UsageError
from seatrial.governance.approvals.identity import Identities
from seatrial.governance.approvals.policy import ApprovalPolicy
from seatrial.governance.drills.policy import DrillPolicy
from seatrial.governance.retention import RetentionPolicy
from seatrial.registry.version import check_name
from seatrial.values import Duration, Size, to_camel

CONFIG_FILE = "seatrial.yaml"
STATE_DIR = ".seatrial"
HOST_FLOOR = 1 << 30
SCHEMA = "`seatrial config schema` names every setting and its form."

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens. Loopback unless said otherwise."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAddress(Address):
    """Where the API listens. ``names``: further Host names it answers to. ``open_reads``: reading needs no token."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    port: int = 8700
    names: tuple[str, ...] = ()
    open_reads: bool | None = None

    @property
    def reads_are_open(self) -> bool:
        """As configured; else only on loopback, where who can connect can read the files, too."""
        return self.open_reads if self.open_reads is not None else is_loopback(self.host)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a client waits at most, and how long one version gets before the next in its chain is asked."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    request: Duration = Duration(2.0, "2s")
    attempt: Duration = Duration(0.5, "500ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """How long what is captured stays. The capture log holds bodies and unit ids as they came: it is rotated at a size
    and at an age, and deleted once it is read. ``retention``: of predictions and outcomes, unless a model says its own.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    rotate: Size = Size(64 << 20, "64MiB")
    rotate_every: Duration = Duration(3600.0, "1h")
    retention: Duration = Duration(90 * 86_400.0, "90d")

    def __post_init__(self) -> None:
        if min(self.rotate_every.seconds, self.retention.seconds) <= 0:
            raise ValueError("rotateEvery and retention are spans of time that are not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHosts:
    """What each model host may take. ``memory``: its address space; the libraries alone need some hundred MiB."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    memory: Size | None = None

    def __post_init__(self) -> None:
        if self.memory is not None and self.memory.bytes < HOST_FLOOR:
            raise ValueError(f"memory is at least {HOST_FLOOR >> 20}MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """How long a measured time to serve holds, and how long a standby is kept (None: until the next promotion)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    proven_for: Duration = Duration(30 * 86_400.0, "30d")
    retention: Duration | None = None

    def __post_init__(self) -> None:
        if self.proven_for.seconds <= 0 or (self.retention is not None and self.retention.seconds <= 0):
            raise ValueError("provenFor and retention are spans of time that are not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """``seatrial.yaml``. ``clock``: *wall*, or *replay*, where event time comes from the requests themselves."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    project: str
    store: str = f"{STATE_DIR}/store.db"
    api: ApiAddress = field(default_factory=ApiAddress)
    gateway: Address = field(default_factory=lambda: Address(port=8710))
    timeouts: Timeouts = field(default_factory=Timeouts)
    hosts: ModelHosts = field(default_factory=ModelHosts)
    capture: Capture = field(default_factory=Capture)
    standby: Standby = field(default_factory=Standby)
    drills: DrillPolicy | None = None
    approvals: ApprovalPolicy | None = None
    alerts: tuple[AlertTarget, ...] = ()
    audit: AuditPolicy = field(default_factory=AuditPolicy)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    signing: SigningPolicy = field(default_factory=SigningPolicy)
    mlflow: MlflowSettings = field(default_factory=MlflowSettings)
    clock: Literal["wall", "replay"] = "wall"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys of this project: ``unit_key`` hashes unit ids, ``bucket_salt`` spreads units over variance buckets."""

    unit_key: bytes
    bucket_salt: str


@cache
def _adapter() -> TypeAdapter[Config]:
    return TypeAdapter(Config)


@dataclass(frozen=True, slots=True)
class Project:
    """A project directory and its configuration."""

    root: Path
    config: Config

    @classmethod
    def find(cls, start: Path) -> Project:
        """The project at ``start`` or the nearest directory above it. Raises NotFound."""
        for directory in (start.resolve(), *start.resolve().parents):
            if (directory / CONFIG_FILE).is_file():
                return cls.open(directory)
        raise NotFound(
            "ST0801",
            f"there is no {CONFIG_FILE} in '{start}' or above it.",
            remedy="`seatrial init` makes a project here.",
        )

    @classmethod
    def open(cls, root: Path) -> Project:
        """The project in ``root``. SEATRIAL_STORE, SEATRIAL_API_PORT and SEATRIAL_GATEWAY_PORT override the file."""
        path = root / CONFIG_FILE
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise UsageError("ST0802", f"'{path}' is not YAML: {error}.", remedy=SCHEMA) from None
        if not isinstance(document, dict):
            raise UsageError("ST0802", f"'{path}' is not a map of settings.", remedy=SCHEMA)
        try:
            config = _adapter().validate_python(_overridden(document, os.environ))
        except ValidationError as error:
            raise UsageError("ST0803", f"'{path}': {_explained(error.errors()[0])}.", remedy=SCHEMA) from None
        check_targets(config.alerts)
        return cls(root.resolve(), config)

    @property
    def state(self) -> Path:
        return self.root / STATE_DIR

    @property
    def run(self) -> Path:
        """Sockets, pids, the token, kill latches."""
        return self.state / "run"

    @property
    def events(self) -> Path:
        return self.state / "events"

    @property
    def outcomes(self) -> Path:
        return self.state / "outcomes"

    @property
    def gateway(self) -> Path:
        return self.state / "gateway"

    @property
    def artifacts(self) -> Path:
        return self.state / "artifacts"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def kill_latches(self) -> Path:
        return self.run / "kill"

    def at(self, path: str) -> Path:
        """A path of seatrial.yaml: relative to the project; ``~`` is the home directory."""
        return self.root / Path(path).expanduser()

    @property
    def identities(self) -> Identities:
        """Who is who: as declared for approvals, else by the spelling of the names alone."""
        return Identities() if self.config.approvals is None else self.config.approvals.identities

    def review(self, model: str) -> Path:
        """Requests of a model that people decide."""
        return self.state / "review" / check_name(model)

    def host_directory(self, model: str, version: int | str) -> Path:
        return self.state / "hosts" / f"{model}-{version}"

    @property
    def store_url(self) -> str:
        """The database URL, or an absolute path for SQLite."""
        store = self.config.store
        return store if "://" in store else str((self.root / store).resolve())

    def prepare(self) -> None:
        """Make the directories; everything below ``.seatrial`` is private to this user."""
        for directory in (self.state, self.run, self.events, self.outcomes, self.gateway, self.artifacts, self.logs):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.kill_latches.mkdir(exist_ok=True, mode=0o700)
        if self.state.stat().st_mode & 0o077 and self.state.stat().st_uid == os.geteuid():
            self.state.chmod(0o700)  # somebody made it before us

    def secrets(self) -> Secrets:
        """The project's keys; made once. Losing them makes old and new unit ids unlinkable."""
        path = self.state / "secrets.json"
        if not path.exists():
            made = {"unit_key": secrets.token_hex(32), "bucket_salt": secrets.token_hex(8)}
            _write_private(path, json.dumps(made))
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Secrets(bytes.fromhex(stored["unit_key"]), stored["bucket_salt"])

    def token(self) -> str:
        """The token of who owns this project; made once, readable by this user only."""
        return self._kept("token")

    def session_key(self) -> bytes:
        """Signs the sessions of the pages; made once. Without the file, everybody logs in again."""
        return bytes.fromhex(self._kept("session-key"))

    def _kept(self, name: str) -> str:
        path = self.run / name
        if not path.exists():
            self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_private(path, secrets.token_hex(32))
        return path.read_text(encoding="utf-8").strip()


def _explained(error: Mapping[str, Any]) -> str:
    """Which setting is wrong, and why; an unknown one gets the nearest name there is."""
    *above, name = (str(part) for part in error["loc"])
    where = ".".join((*above, name))
    if error["type"] != "unexpected_keyword_argument":
        return f"{where}: {error['msg']}"
    kind = {
        "api": ApiAddress, "gateway": Address, "timeouts": Timeouts, "hosts": ModelHosts, "capture": Capture,
        "standby": Standby, "drills": DrillPolicy, "approvals": ApprovalPolicy, "audit": AuditPolicy,
        "retention": RetentionPolicy,
        "signing": SigningPolicy, "mlflow": MlflowSettings,
    }  # fmt: skip
    known = [to_camel(f.name) for f in fields(kind.get(above[0], AlertTarget) if above else Config)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"{where} is unknown, " + (f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}")


def _write_private(path: Path, text: str) -> None:
    """Create with mode 0600 from the first byte on; whoever comes second reads what the first wrote."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _overridden(document: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    config = dict(document)
    if store := environment.get("SEATRIAL_STORE"):
        config["store"] = store
    for name in ("api", "gateway"):
        if port := environment.get(f"SEATRIAL_{name.upper()}_PORT"):
            config[name] = {**(config.get(name) or {}), "port": port}
    return config


def config_schema() -> dict[str, Any]:
    """JSON Schema of ``seatrial.yaml``."""
    return _adapter().json_schema(by_alias=True, mode="validation")
