"""Ways home of a rollout with their times, as documents and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seatrial.control.documents.views import Document
from seatrial.rollout.standby import seconds_text
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction

PARTS = ("detection", "decision", "switch", "drain")


def ways_home(tx: Transaction, rollout: str) -> list[Document]:
    """Every way home that a rollout's traffic took, oldest first: steps back, its end, the undoing of its promotion."""
    return [
        {**json.loads(one.document), "at": iso_z(one.at), "rollout": one.rollout}
        for one in tx.homecomings.list(rollout=rollout)
    ]


def way_home_text(way: Mapping[str, Any]) -> str:
    """``abort v2 → v1: detection 41.0 s, decision 3.1 s, switch 12 ms, drain 8 ms; about 1,736 requests affected``."""
    hit = way["affected"]
    about = "" if hit is None else f"; about {hit:,.0f} requests affected, at {way['ratePerHour']:,.0f} an hour"
    return f"{way['action']} v{way['from']} → v{way['to']}: {parts_text(way['seconds'])}{about}"


def parts_text(seconds: Mapping[str, float | None]) -> str:
    """The four parts of a way home.

    >>> parts_text({"detection": None, "decision": 0.012, "switch": 0.003, "drain": 0.0})
    'detection unknown, decision 12 ms, switch 3 ms, drain 0 ms'
    """
    told = ((part, seconds[part]) for part in PARTS)
    return ", ".join(f"{part} {'unknown' if value is None else seconds_text(value)}" for part, value in told)
