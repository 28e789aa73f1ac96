"""What was released without its approvals is reviewed afterwards: by when, and what waits until it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from seatrial.governance.approvals.acts import Act


def unreviewed(acts: Sequence[Act]) -> tuple[Act, ...]:
    """Emergencies of a request that nobody has reviewed yet, oldest first."""
    reviewed = {act.of for act in acts if act.kind == "review"}
    return tuple(act for act in acts if act.kind == "break_glass" and act.seq not in reviewed)


def overdue(acts: Sequence[Act], now: datetime) -> tuple[Act, ...]:
    """Those of them whose time is over; it is over at ``due`` itself."""
    return tuple(act for act in unreviewed(acts) if act.due is not None and now >= act.due)
