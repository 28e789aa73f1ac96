"""Canonical JSON: one text for one value, so that a digest of it means something."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from seatrial.errors import UsageError
from seatrial.ids import Digest
from seatrial.instants import in_utc


def canonical(value: object) -> str:
    """JSON with sorted keys, no spaces, unescaped UTF-8, floats by ``repr`` and times as ISO 8601 UTC (``...Z``).

    Takes None, bool, int, float, str, aware datetimes, enums of these, dataclasses, mappings with text keys, lists and
    tuples. Everything else, NaN and infinity included, is a ``UsageError`` that names the place.

    >>> canonical({"b": 0.1, "a": [True, None]})
    '{"a":[true,null],"b":0.1}'
    """
    return json.dumps(_plain(value, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: object) -> Digest:
    """SHA-256 of the canonical JSON in UTF-8.

    >>> digest_of({})
    'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
    """
    return digest_of_bytes(canonical(value).encode())


def digest_of_bytes(data: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def iso_z(time: datetime) -> str:
    """An aware time as UTC text of fixed width, so that text order is time order.

    >>> iso_z(datetime(2026, 3, 1, 12, tzinfo=UTC))
    '2026-03-01T12:00:00.000000Z'
    """
    return as_utc(time).isoformat(timespec="microseconds").replace("+00:00", "Z")


def as_utc(time: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is refused, because nobody knows when that is."""
    try:
        return in_utc(time)
    except ValueError as error:
        raise UsageError("ST0601", f"{error}.", remedy="Give aware times, in UTC.") from None


def _plain(value: object, place: str) -> Any:
    match value:
        case enum.Enum():
            return _plain(value.value, place)
        case None | bool() | int():
            return value
        case str():
            return _text(value, place)
        case float():
            return _finite(value, place)
        case datetime():
            return iso_z(value)
        case Mapping():
            return {_key(key, place): _plain(item, f"{place}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{place}.{f.name}") for f in dataclasses.fields(value)}
    raise UsageError("ST0603", f"{place}: a {type(value).__name__} has no canonical JSON.")


def _finite(value: float, place: str) -> float:
    if not math.isfinite(value):
        raise UsageError("ST0604", f"{place} is {value}, which JSON cannot hold.", remedy="Leave it out or use null.")
    return value


def _text(value: str, place: str) -> str:
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise UsageError("ST0605", f"{place} is not valid Unicode text.")
    return value


def _key(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise UsageError("ST0606", f"{place}: the key {key!r} is not text.")
    return _text(key, place)
