"""Whether the way home is as fast as a plan asks for, by what was measured, or declared where nobody measured yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from seatrial.rollout.way_home import DECLARED_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How a model's standby is kept, and the last measurement under that policy, of ``version`` at ``at``.

    ``measured``: whether there is one; ``seconds``: from the request to the first valid prediction, None if none came.
    ``valid_for``: how long a measurement holds.
    """

    model: str
    policy: str
    valid_for: timedelta
    measured: bool = False
    seconds: float | None = None
    version: int | None = None
    at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Measured so long ago that nobody should rely on it. What was never measured cannot expire."""
        return self.at is not None and now - self.at > self.valid_for

    @property
    def assumed(self) -> float | None:
        """Seconds as measured; as its policy declares without a measurement."""
        return self.seconds if self.measured else DECLARED_S[self.policy]

    @property
    def text(self) -> str:
        """``cold, 12.3 s measured on 2026-05-01 (v1)``, or ``cold, about 90 s, not measured yet``."""
        if not self.measured or self.at is None:
            return f"{self.policy}, about {DECLARED_S[self.policy]:g} s, not measured yet"
        when = f"measured on {self.at:%Y-%m-%d} (v{self.version})"
        return f"{self.policy}, {seconds_text(self.seconds)}, {when}"


def too_slow(served: Served, within: float) -> str:
    """Why a standby cannot be back within so many seconds; empty if it can, as far as anybody knows.

    >>> too_slow(Served(model="fraud", policy="cold", valid_for=timedelta(days=30)), 60)
    "the standby of 'fraud' is cold, about 90 s, not measured yet: not back within 60 s"
    >>> too_slow(Served(model="fraud", policy="hot", valid_for=timedelta(days=30)), 60)
    ''
    """
    if served.assumed is not None and served.assumed <= within:
        return ""
    return f"the standby of '{served.model}' is {served.text}: not back within {within:g} s"


def unproven(served: Served, within: float, now: datetime) -> str:
    """Why a release does not go on: the way home is too slow, or not measured lately; empty if it may."""
    remedy = f"`seatrial model standby {served.model} --measure`"
    if not served.measured:
        return f"how fast the standby of '{served.model}' serves was never measured: {remedy}"
    if served.expired(now):
        return f"the standby of '{served.model}' is {served.text}, more than {_days(served.valid_for)} ago: {remedy}"
    slow = too_slow(served, within)
    return f"{slow}; keep it hotter (`seatrial model safety`), then {remedy}" if slow else ""


def seconds_text(seconds: float | None) -> str:
    """
    >>> seconds_text(0.0123), seconds_text(62.4), seconds_text(None)
    ('12 ms', '62.4 s', 'no answer')
    """
    if seconds is None:
        return "no answer"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):g} days"
