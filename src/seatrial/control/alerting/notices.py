"""The outbox for people: what was told, where it got stuck, once more, and a trial."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from seatrial.control.alerting.delivery import post
from seatrial.control.alerting.targets import find_target
from seatrial.control.documents.views import Document, listing
from seatrial.control.project import Project
from seatrial.store.alert import Alert
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store, Transaction
from seatrial.store.outbox import UNDELIVERED, Delivery, StoredAlert


def listed(tx: Transaction, *, limit: int, undelivered: bool = False) -> Document:
    """The latest alerts, newest first, each with its deliveries; ``undelivered``: only those some target lacks."""
    lines = [_line(stored, tx.alerts.deliveries(stored.seq)) for stored in tx.alerts.latest(limit)]
    if undelivered:
        lines = [line for line in lines if any(d["state"] in UNDELIVERED for d in line["deliveries"])]
    return listing("seatrial.alerts.v1", "alerts", lines)


def retry(project: Project, store: Store, *, target: str | None, actor: str) -> Document:
    """Deliver at once what failed or waits, to one target or to all. Raises NotFound."""
    now = datetime.now(UTC)
    if target is not None:
        find_target(project.config.alerts, target)
    with store.begin() as tx:
        count = tx.alerts.retry(now, target)
        tx.audit.append(actor, "alerts.retry", target or "alerts", {"deliveries": count}, now)
    return {"schema": "seatrial.alerts-retried.v1", "target": target, "deliveries": count}


def send_test(project: Project, target: str, *, actor: str) -> Document:
    """Send one alert now, past the outbox, and say what came back. Raises NotFound, UsageError."""
    receiver, now = find_target(project.config.alerts, target), datetime.now(UTC)
    text = f"This is a test of the alert target '{target}' by {actor}. Nothing has happened."
    alert = Alert(key=f"test/{iso_z(now)}", kind="test", severity="info", object="test", text=text, at=now)
    began = time.perf_counter()
    reply = post(project, receiver, alert)
    return {
        "schema": "seatrial.alert-test.v1",
        "target": target,
        "ok": reply.ok,
        "status": reply.status or None,
        "reply": reply.text,
        "tookMs": round((time.perf_counter() - began) * 1000, 1),
    }


def _line(stored: StoredAlert, deliveries: tuple[Delivery, ...]) -> Document:
    alert = stored.alert
    return {
        "seq": stored.seq,
        "key": alert.key,
        "kind": alert.kind,
        "severity": alert.severity,
        "object": alert.object,
        "model": alert.model,
        "text": alert.text,
        "time": iso_z(alert.at),
        "deliveries": [
            {
                "target": d.target,
                "state": d.state,
                "attempts": d.attempts,
                "next": iso_z(d.next_at) if d.state == "pending" else None,
                "error": d.last_error or None,
            }
            for d in deliveries
        ],
    }
