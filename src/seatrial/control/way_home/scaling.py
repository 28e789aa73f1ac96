"""Standbys that are up at less than their full size."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.control.render import Desired, HostKey
from seatrial.gateway.kill import KillLatch

WARM_LIMIT = 4
"""Requests at once that a scaled-down standby takes; the limit is lifted before traffic comes to it."""


def scaled_down(wanted: Iterable[Desired], latches: Iterable[KillLatch]) -> dict[HostKey, int]:
    """How many requests at once each *warm* standby takes; one that answers in place of a killed champion, or
    a holdout, takes all."""
    serving = {latch.model for latch in latches if latch.mode == "previous"}
    return {
        (want.model.name, want.previous): WARM_LIMIT
        for want in wanted
        if want.previous is not None
        and want.model.safety.standby == "warm"
        and want.model.name not in serving
        and (want.holdout is None or want.holdout[0] != want.previous)
    }
