"""Where alerts go: ``alerts`` in seatrial.yaml."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from seatrial.control.alerting.alerts import KINDS, SEVERITIES
from seatrial.errors import NotFound, UsageError
from seatrial.store.alert import Alert, Severity
from seatrial.values import to_camel


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTarget:
    """A receiver. ``url`` or ``url_env`` (an environment variable that holds it: a Slack URL is a secret).

    ``secret_env`` names the variable with the key that signs webhooks. ``kinds`` are patterns (``rollout.*``);
    ``links`` is where its readers reach the API, if not at the API's own address.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid", "alias_generator": to_camel, "populate_by_name": True,
    }  # fmt: skip

    name: str
    url: str = ""
    url_env: str = ""
    format: Literal["webhook", "slack"] = "webhook"
    secret_env: str = ""
    kinds: tuple[str, ...] = ("*",)
    min_severity: Severity = "info"
    links: str = ""

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            raise self._wrong(f"{self.name!r} is not a name.", "Use letters, digits, - and _.")
        if bool(self.url) == bool(self.url_env):
            raise self._wrong("it needs one of url and urlEnv.", "urlEnv names an environment variable with the URL.")
        if self.url:
            check_url(self.name, self.url)
        if self.format == "slack" and self.secret_env:
            raise self._wrong("Slack checks no signature.", "Remove secretEnv, or use format: webhook.")
        for pattern in self.kinds:
            self._check_kind(pattern)

    def wants(self, alert: Alert) -> bool:
        severe = SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.min_severity)
        return severe and any(fnmatchcase(alert.kind, pattern) for pattern in self.kinds)

    def _check_kind(self, pattern: str) -> None:
        if any(fnmatchcase(kind, pattern) for kind in KINDS):
            return
        near = difflib.get_close_matches(pattern, KINDS, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(KINDS)}."
        raise self._wrong(f"there is no kind {pattern!r}.", hint)

    def _wrong(self, what: str, remedy: str) -> UsageError:
        return UsageError("ST0890", f"alerts: target '{self.name}': {what}", remedy=remedy)


def check_url(name: str, url: str) -> None:
    """Raises UsageError for what nothing can be posted to. The URL itself is not shown: it may be a secret."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("ST0890", f"alerts: target '{name}': the url is not http(s)://HOST/....")


def check_targets(targets: Sequence[AlertTarget]) -> None:
    """Names are told apart by what was delivered to them. Raises UsageError."""
    names = [target.name for target in targets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError("ST0890", f"alerts: two targets are named '{twice[0]}'.", remedy="Give each its own name.")


def find_target(targets: Sequence[AlertTarget], name: str) -> AlertTarget:
    """Raises NotFound with the nearest name."""
    known = {target.name: target for target in targets}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    there = f"There are: {', '.join(known)}." if known else "seatrial.yaml has none: see `alerts` there."
    raise NotFound(
        "ST0891", f"there is no alert target '{name}'.", remedy=f"Did you mean '{near[0]}'?" if near else there
    )
