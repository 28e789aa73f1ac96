"""How the audit log is anchored: ``audit`` in seatrial.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from seatrial.signing import PublicKey
from seatrial.values import Duration, to_camel

STATE_DIR: Final = ".seatrial"
MLFLOW: Final = "mlflow"
"""The target that ``mlflow.anchors`` adds."""

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorTarget:
    """Where anchors are kept: a ``file`` that is only added to, or a webhook (``url``, or ``url_env``, an environment
    variable that holds it).

    ``secret_env``: the variable with the key that signs the webhook's request; the anchor in it is signed in any case.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    file: str = ""
    url: str = ""
    url_env: str = ""
    secret_env: str = ""

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{self.name!r} is not a name: use letters, digits, - and _")
        if self.name == MLFLOW:
            raise ValueError("'mlflow' is the target of `mlflow: {anchors: true}`: take another name")
        if sum(map(bool, (self.file, self.url, self.url_env))) != 1:
            raise ValueError(f"target '{self.name}' needs one of file, url and urlEnv")
        if self.url and (urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname):
            raise ValueError(f"target '{self.name}': the url is not http(s)://HOST/...")
        if self.secret_env and self.file:
            raise ValueError(f"target '{self.name}': a file has no secretEnv")
        _elsewhere(f"target '{self.name}': the file", self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPolicy:
    """``key``: the file of the private key that signs anchors and bundles. ``trusted``: public keys
    (``ed25519:...``) that signed before, beside the one of ``key``. ``every``: how often a log that grew is anchored.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    key: str = ""
    trusted: tuple[str, ...] = ()
    every: Duration = Duration(86_400.0, "1d")
    anchors: tuple[AnchorTarget, ...] = ()

    def __post_init__(self) -> None:
        _elsewhere("the key", self.key)
        for text in self.trusted:
            PublicKey.of(text)
        if self.every.seconds <= 0:
            raise ValueError("every is a span of time that is not empty")
        names = [target.name for target in self.anchors]
        if len(set(names)) < len(names):
            raise ValueError("two targets have one name: give each its own")
        if self.anchors and not self.key:
            raise ValueError("anchors are signed: name the key (`seatrial model keygen` makes one)")


def _elsewhere(what: str, path: str) -> None:
    """What lies beside the log is changed by whoever changes the log."""
    if STATE_DIR in PurePath(path).parts:
        raise ValueError(f"{what} lies in {STATE_DIR}, beside the log that it guards: keep it elsewhere")
