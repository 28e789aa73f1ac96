"""What the log knows of a unit: a keyed hash in place of its name, and the bucket that its variance is counted in."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import xxhash

UNIT_BUCKETS = 256


def unit_hash(unit: str, key: bytes) -> str:
    """The name a unit has in the log: 24 hex digits of keyed BLAKE2b, the same for a unit in every part."""
    return hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=key, digest_size=12).hexdigest()


def unit_bucket(unit: str, salt: str) -> int:
    """Variance bucket of a unit, 0..255.

    >>> unit_bucket("unit-1", "salt")
    38
    """
    return xxhash.xxh64_intdigest(f"{salt}:{unit}".encode("utf-8", "surrogatepass")) % UNIT_BUCKETS


@lru_cache(maxsize=65_536)
def cached_hash(unit: str, key: bytes) -> str:
    """The same, remembered: a unit has many requests."""
    return unit_hash(unit, key)
