"""An alert as a receiver gets it: the body, and the headers that prove where it comes from."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final

from seatrial import __version__
from seatrial.control.alerting.targets import AlertTarget
from seatrial.control.project import Project
from seatrial.store.alert import Alert
from seatrial.store.canonical import iso_z

SIGNATURE_HEADER: Final = "Seatrial-Signature"
SLACK_TEXT_MAX: Final = 2900
"""Characters of a section; Slack refuses more than 3,000."""

_ICONS: Final = {"info": ":large_blue_circle:", "warning": ":warning:", "critical": ":red_circle:"}


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: the same bytes and the same key at every attempt; only the signature's time is new."""

    key: str
    body: bytes
    secret: str = ""

    def headers(self, now_s: int) -> dict[str, str]:
        """``now_s``: seconds since 1970; the signature covers it, so that an old message cannot be sent again."""
        headers = {
            "content-type": "application/json",
            "user-agent": f"seatrial/{__version__}",
            "Idempotency-Key": self.key,
        }
        if self.secret:
            headers[SIGNATURE_HEADER] = signature(self.secret, self.body, now_s)
        return headers


def signature(secret: str, body: bytes, now_s: int) -> str:
    """``t=SECONDS,v1=HEX``: HMAC-SHA256 over ``SECONDS.BODY``, the scheme of Stripe's webhooks.

    >>> signature("key", b"{}", 1700000000)[:33]
    't=1700000000,v1=9d713ed406bb7076d'
    """
    digest = hmac.new(secret.encode(), b"%d." % now_s + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


def message(project: Project, target: AlertTarget, alert: Alert, secret: str = "") -> Message:
    """The alert in the target's format."""
    name = project.config.project
    document = _slack(name, alert, link(project, target, alert)) if target.format == "slack" else _webhook(
        name, alert, link(project, target, alert)
    )  # fmt: skip
    return Message(f"{name}/{alert.key}", json.dumps(document, ensure_ascii=False).encode(), secret)


def link(project: Project, target: AlertTarget, alert: Alert) -> str:
    """The page about it, for people."""
    base = (target.links or project.config.api.url).rstrip("/")
    if alert.kind.startswith("rollout."):
        return f"{base}/rollouts/{alert.object}"
    return f"{base}/models/{alert.object}" if alert.kind.startswith("model.") else f"{base}/"


def _webhook(project: str, alert: Alert, url: str) -> dict[str, Any]:
    return {
        "schema": "seatrial.alert.v1",
        "key": f"{project}/{alert.key}",
        "kind": alert.kind,
        "severity": alert.severity,
        "project": project,
        "object": alert.object,
        "model": alert.model,
        "text": alert.text,
        "time": iso_z(alert.at),
        "link": url,
        "detail": dict(alert.detail),
    }


def _slack(project: str, alert: Alert, url: str) -> dict[str, Any]:
    title = f"{_ICONS[alert.severity]} *{_escaped(alert.kind)}* · <{url}|{_escaped(alert.object)}>"
    said = _escaped(alert.text[:SLACK_TEXT_MAX])
    context = f"{_escaped(project)} · {alert.severity} · {alert.at:%Y-%m-%d %H:%M} UTC"
    return {
        "text": f"{_escaped(project)}: {said}",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"{title}\n{said}"[:3000]}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": context}]},
        ],
    }


def _escaped(text: str) -> str:
    """Slack's three control characters: a reason that says ``<!channel>`` calls nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
