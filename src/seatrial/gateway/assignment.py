"""Which arm a unit is in: the same function in Envoy, in the in-process router and in tests.

Only the standard library and xxhash, so that the router can be imported anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import xxhash

from seatrial.ids import CANARY, CHAMPION, HOLDOUT, Arm

POINTS: Final = 10_000
BUCKETS: Final = 256


class Slot(NamedTuple):
    """Where a point falls: the arm that answers the user, and whether the shadow gets a copy."""

    arm: Arm | Literal["holdout"]
    mirrored: bool


def assign(salt: str, unit: str) -> int:
    """The unit's point in 0..9,999: ``xxh64(salt:unit) mod 10,000``, seed 0.

    Units are hashed as the bytes that travel in the header: UTF-8, with surrogate escapes for bytes that are not.

    >>> assign("r-0001", "alice")
    9124
    """
    return int(xxhash.xxh64_intdigest(_salted(salt, unit))) % POINTS


def assigner(salt: str) -> Callable[[str], int]:
    """``assign`` of one salt, for whoever assigns many units: a fraction of a microsecond each.

    >>> assigner("r-0001")("alice")
    9124
    """
    salted, digest = _salted(salt, ""), xxhash.xxh64_intdigest

    def assigned(unit: str) -> int:
        return digest(salted + unit.encode("utf-8", "surrogateescape")) % POINTS

    return assigned


def bucket(salt: str, unit: str) -> int:
    """The unit's variance bucket in 0..255. The salt must differ from the one that assigns arms.

    >>> bucket("buckets", "alice")
    158
    """
    return int(xxhash.xxh64_intdigest(_salted(salt, unit))) % BUCKETS


def arm_of(point: int, *, canary: int, mirrored: int, held: int = 0) -> Slot:
    """The slot of a point: canary in [0, canary), mirrored champion in the next ``mirrored`` points, champion after.

    The canary's range starts at zero and only grows with its weight, so nobody leaves it while a rollout advances. The
    last ``held`` points are the holdout, which it never comes to.

    >>> arm_of(499, canary=500, mirrored=2000), arm_of(500, canary=500, mirrored=2000)
    (Slot(arm='canary', mirrored=False), Slot(arm='champion', mirrored=True))
    """
    if point < canary:
        return Slot(CANARY, False)
    if point >= POINTS - held:
        return Slot(HOLDOUT, False)
    return Slot(CHAMPION, point < canary + mirrored)


def mirrored_for(segment: str | None, shares: Iterable[tuple[str, int]], *, otherwise: int) -> int:
    """How many points are mirrored for a request: those of the value of its segment header, or ``otherwise``.

    Whatever the share, the mirrored points begin at the same one: a unit in the 5% is in the 50%.

    >>> shares = [("new", 5000), ("medium", 1000)]
    >>> mirrored_for("new", shares, otherwise=500), mirrored_for("old", shares, otherwise=500)
    (5000, 500)
    """
    return dict(shares).get(segment, otherwise) if segment is not None else otherwise


class Piece(NamedTuple):
    """Points that are treated alike: how many, their slot, and which of the standing shadows get a copy as well."""

    points: int
    slot: Slot
    copies: tuple[int, ...] = ()


def copied_to(point: int, standing: Sequence[int], held: int = 0) -> tuple[int, ...]:
    """Which standing shadows get a copy of the champion's request at a point, by their places in ``standing``.

    ``standing``: how many points each has. They are the last ones before the holdout, so they are nested, and a growing
    canary comes to them last.

    >>> copied_to(9_500, [1000, 100]), copied_to(9_950, [1000, 100]), copied_to(5_000, [1000, 100])
    ((0,), (0, 1), ())
    """
    return tuple(place for place, points in enumerate(standing) if point >= POINTS - held - points)


def pieces(*, canary: int, mirrored: int, standing: Sequence[int] = (), held: int = 0) -> list[Piece]:
    """All points, in order, cut where anything changes.

    >>> [piece.points for piece in pieces(canary=500, mirrored=2000, standing=[1000])]
    [500, 2000, 6500, 1000]
    """
    last = POINTS - held
    ends = {canary, canary + mirrored, *(max(last - points, 0) for points in standing), last, POINTS}
    starts = sorted({0, *ends})
    found = []
    for start, end in pairwise(starts):
        slot = arm_of(start, canary=canary, mirrored=mirrored, held=held)
        found.append(Piece(end - start, slot, copied_to(start, standing, held) if slot.arm == CHAMPION else ()))
    return found


def _salted(salt: str, unit: str) -> bytes:
    return f"{salt}:{unit}".encode("utf-8", "surrogateescape")
