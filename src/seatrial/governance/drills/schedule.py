"""When a model is drilled next: computed from its tier and its last drill, nothing is kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from seatrial.governance.drills.policy import BLOCKING_TIER, DrillPolicy

_SATURDAY: Final = 5
NOTICE: Final = timedelta(days=7)
"""An unannounced drill falls within so much time before it is due, and the plan of it is logged when that begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The next drill of a model. ``last`` is when the last one passed; ``planned`` the chosen time of an unannounced
    one, which nobody is told before it has come.
    """

    model: str
    tier: int
    every: str
    last: datetime | None
    due: datetime
    overdue: bool
    planned: datetime | None

    @property
    def blocks(self) -> bool:
        """Whether releases of the model wait for it."""
        return self.overdue and self.tier == BLOCKING_TIER

    @property
    def text(self) -> str:
        """Why a release waits."""
        since = "it was never drilled" if self.last is None else f"the last one passed on {self.last:%Y-%m-%d}"
        return f"drill overdue since {self.due:%Y-%m-%d %H:%M} ({since}): `seatrial drill run {self.model}`"


def due(policy: DrillPolicy, model: str, tier: int, *, last: datetime | None, since: datetime, now: datetime) -> Due:
    """``last``: when a drill of the model passed last; ``since``: when it first had a champion.

    A failed drill is no drill: the model stays due.
    """
    every = policy.every[tier]
    at = (last or since) + every.delta
    planned = unannounced(policy, model, at) if policy.unannounced else None
    return Due(model=model, tier=tier, every=str(every), last=last, due=at, overdue=now > at, planned=planned)


def unannounced(policy: DrillPolicy, model: str, due_at: datetime) -> datetime:
    """A minute of business hours in the week before a drill is due; the same for the same seed, model and date."""
    opens, closes = policy.minutes
    first = (due_at.astimezone(UTC) - NOTICE).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [first + timedelta(days=n) for n in range(1, NOTICE.days)]
    working = [day for day in days if day.weekday() < _SATURDAY]
    digest = hashlib.blake2b(f"{policy.seed}:{model}:{due_at:%Y-%m-%d}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") % (len(working) * (closes - opens))
    day, minute = divmod(place, closes - opens)
    return working[day] + timedelta(minutes=opens + minute)
