"""What a model host serves, as one JSON file that it reads at start."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

from seatrial.errors import UsageError
from seatrial.events.wire import ResponseSpec, WireFormat
from seatrial.registry.version import ColumnKind

Kind = Literal["artifact", "proxy", "rules", "review", "banner"]
ArtifactFormat = Literal["skops", "joblib", "onnx"]
Output = Literal["predict_proba", "predict"]

_MEMORY_FLOOR_MB = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")  # they go into headers, paths and file names


@dataclass(frozen=True, slots=True)
class Reading:
    """How a host reads bodies and what it may say about them: the part of its spec that changes while it runs.

    ``wire`` and ``response`` say how to read what the path and the shape leave open. ``emit_features``: names that may
    leave in ``x-seatrial-features`` (``None``: all, empty: none). ``limit``: how many requests at once, of a host that
    is scaled down; what is beyond is refused.
    """

    wire: WireFormat | None = None
    response: ResponseSpec = field(default_factory=ResponseSpec)
    emit_features: tuple[str, ...] | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One version behind one port.

    ``features``: column names in the model's order. ``dtypes``: their kinds, parallel to ``features``; without them
    each request's columns are typed from its own values. ``example``: a row that must be answered before the host is
    ready.
    ``wire``, ``response``, ``emit_features``, ``limit``: see ``Reading``.
    ``max_wait_ms`` bounds how long a request waits for others to share a prediction call (never more than half a call).
    ``kind``: *rules*, *review* and *banner* stand in for the versions; ``artifact_dir`` is then the scorecard of rules,
    ``queue_dir`` where requests for review are kept.
    ``port`` 0 lets ``HostProcess`` choose one.
    """

    model: str
    version: str
    kind: Kind = "artifact"
    artifact_dir: str | None = None
    format: ArtifactFormat = "skops"
    trust_pickle: bool = False
    trusted_types: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    dtypes: tuple[ColumnKind, ...] = ()
    example: Mapping[str, Any] | None = None
    output: Output = "predict_proba"
    url: str | None = None
    queue_dir: str | None = None
    wire: WireFormat | None = None
    response: ResponseSpec = field(default_factory=ResponseSpec)
    host: str = "127.0.0.1"
    port: int = 0
    max_batch: int = 64
    max_wait_ms: float = 4.0
    timeout_s: float = 10.0
    max_body_mb: float = 64.0
    emit_features: tuple[str, ...] | None = None
    limit: int | None = None
    memory_limit_mb: int | None = None

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise UsageError("ST0751", f"host of {self.model}/{self.version}: {problem}")

    def _problems(self) -> list[str]:
        checks = [
            (
                all(_NAME.fullmatch(name) for name in (self.model, self.version)),
                "names are letters, digits, '_', '.', '-', '+' and begin with a letter or digit.",
            ),
            (self.kind in get_args(Kind), f"kind {self.kind!r} is not one of {', '.join(get_args(Kind))}."),
            (self.format in get_args(ArtifactFormat), f"format {self.format!r} is not skops, joblib or onnx."),
            (self.output in get_args(Output), f"output {self.output!r} is not predict_proba or predict."),
            (self.kind != "artifact" or bool(self.artifact_dir), "an artifact host needs 'artifact_dir'."),
            (self.kind != "artifact" or bool(self.features), "an artifact host needs 'features', the column order."),
            (self.kind != "rules" or bool(self.artifact_dir), "a host of rules needs 'artifact_dir', the scorecard."),
            (self.kind != "review" or bool(self.queue_dir), "a host of reviews needs 'queue_dir'."),
            (self.kind != "proxy" or _is_http(self.url), f"a proxy needs an http(s) 'url', not {self.url!r}."),
            (not self.dtypes or len(self.dtypes) == len(self.features), "'dtypes' is not as long as 'features'."),
            (set(self.dtypes) <= set(get_args(ColumnKind)), f"'dtypes' are {', '.join(get_args(ColumnKind))}."),
            (len(set(self.features)) == len(self.features), "a feature is named twice."),
            (self.max_batch >= 1, "'max_batch' is at least 1."),
            (self.max_wait_ms >= 0 and self.timeout_s > 0, "'max_wait_ms' >= 0 and 'timeout_s' > 0."),
            (
                self.memory_limit_mb is None or self.memory_limit_mb >= _MEMORY_FLOOR_MB,
                f"'memory_limit_mb' is at least {_MEMORY_FLOOR_MB}: the libraries alone need that.",
            ),
        ]
        return [problem for fine, problem in checks if not fine]

    @property
    def reading(self) -> Reading:
        return Reading(self.wire, self.response, self.emit_features, self.limit)

    def read_as(self, reading: Reading) -> Self:
        """The same version behind the same port, whose bodies are read so."""
        return dataclasses.replace(
            self, wire=reading.wire, response=reading.response, emit_features=reading.emit_features, limit=reading.limit
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a spec; an unknown key is an error, because a setting that is silently ignored is a trap."""
        try:
            values = json.loads(text)
            values["response"] = ResponseSpec(**values.get("response", {}))
            for name in ("trusted_types", "features", "dtypes"):
                values[name] = tuple(values.get(name, ()))
            if values.get("emit_features") is not None:
                values["emit_features"] = tuple(values["emit_features"])
            return cls(**values)
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError("ST0752", f"the host spec does not read: {error}.") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.from_json(path.read_bytes())

    def digest(self) -> str:
        """Identity of what is served; the port is where, not what."""
        return "sha256:" + hashlib.sha256(dataclasses.replace(self, port=0).to_json().encode()).hexdigest()


def _is_http(url: str | None) -> bool:
    parts = urlsplit(url or "")
    return parts.scheme in ("http", "https") and bool(parts.hostname)
