"""Following a rollout until it is over, and what its end means for a script."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from seatrial.cli import output, render
from seatrial.errors import Exit

POLL_S = 0.5
WAITS_FOR_SOMEBODY = frozenset({"deadline", "shared_outage", "capture_loss", "frozen", "approval"})
"""Rules whose hold does not end by itself, or says that the evidence cannot be trusted now."""

Document = dict[str, Any]
Read = Callable[[], Document]


def exit_code(document: Document, *, waited: bool) -> Exit:
    """0 promoted, or under way and fine; 3 rolled back; 4 undecided. After ``waited`` nothing under way is fine."""
    if document["status"] == "promoted":
        return Exit.OK
    if document["status"] == "aborted":
        return Exit.GATE_FAILED
    latest = document["latest"]
    stuck = document["status"] == "paused" or (latest is not None and latest["rule"] in WAITS_FOR_SOMEBODY)
    return Exit.UNDECIDED if stuck or waited else Exit.OK


def wait(read: Read, seconds: float | None) -> Document:
    """The document once the rollout is over, or when the time is up."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        document = read()
        left = float("inf") if deadline is None else deadline - time.monotonic()
        if not document["active"] or left <= 0:
            return document
        time.sleep(min(POLL_S, left))


def follow(read: Read) -> Document:
    """Show the tree until the rollout is over: redrawn on a terminal, else printed again when it changed."""
    return _redraw(read) if sys.stdout.isatty() else _reprint(read)


def _redraw(read: Read) -> Document:
    from rich.live import Live

    document = read()
    with Live(output.painted(render.tree(document)), auto_refresh=False, vertical_overflow="visible") as live:
        while document["active"]:
            time.sleep(POLL_S)
            document = read()
            live.update(output.painted(render.tree(document)), refresh=True)
    return document


def _reprint(read: Read) -> Document:
    document, shown = read(), ""
    while True:
        line = render.status_line(document)
        if line != shown:
            output.text(line)
            sys.stdout.flush()
            shown = line
        if not document["active"]:
            output.text(render.tree(document))
            return document
        time.sleep(POLL_S)
        document = read()
