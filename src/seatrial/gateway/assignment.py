"""Which arm a unit is in: the same function in Envoy, in the in-process router and in tests.

Only the standard library and xxhash, so that the router can be imported anywhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import xxhash

from seatrial.ids import CANARY, CHAMPION, Arm

POINTS: Final = 10_000
BUCKETS: Final = 256


class Slot(NamedTuple):
    """Where a point falls: the arm that answers the user, and whether the shadow gets a copy."""

    arm: Arm
    mirrored: bool


def assign(salt: str, unit: str) -> int:
    """The unit's point in 0..9,999: ``xxh64(salt:unit) mod 10,000``, seed 0.

    Units are hashed as the bytes that travel in the header: UTF-8, with surrogate escapes for bytes that are not.

    >>> assign("r-0001", "alice")
    9124
    """
    return int(xxhash.xxh64_intdigest(_salted(salt, unit))) % POINTS


def bucket(salt: str, unit: str) -> int:
    """The unit's variance bucket in 0..255. The salt must differ from the one that assigns arms.

    >>> bucket("buckets", "alice")
    158
    """
    return int(xxhash.xxh64_intdigest(_salted(salt, unit))) % BUCKETS


def arm_of(point: int, *, canary: int, mirrored: int) -> Slot:
    """The slot of a point: canary in [0, canary), mirrored champion in the next ``mirrored`` points, champion after.

    The canary's range starts at zero and only grows with its weight, so nobody leaves it while a rollout advances.

    >>> arm_of(499, canary=500, mirrored=2000), arm_of(500, canary=500, mirrored=2000)
    (Slot(arm='canary', mirrored=False), Slot(arm='champion', mirrored=True))
    """
    if point < canary:
        return Slot(CANARY, False)
    return Slot(CHAMPION, point < canary + mirrored)


def _salted(salt: str, unit: str) -> bytes:
    return f"{salt}:{unit}".encode("utf-8", "surrogateescape")
