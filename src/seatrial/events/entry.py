"""Fields of one line of the capture log as values: bodies, texts, numbers, times. What does not read is None."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from seatrial.events.schema import to_micros
from seatrial.events.wire import inflated


def body_of(entry: Mapping[str, Any], name: str) -> str | bytes | None:
    """A whole body as text or bytes; None where it is absent or cut."""
    if f"{name}_cut" in entry:
        return None
    if isinstance(text := entry.get(name), str):
        return text
    coded = entry.get(f"{name}_b64")
    if not isinstance(coded, str):
        return None
    try:
        return inflated(base64.b64decode(coded, validate=True))
    except (binascii.Error, ValueError):
        return b""


def size_of(entry: Mapping[str, Any], name: str) -> int | None:
    """Bytes of a body, also of one that was cut; None where there was none."""
    if f"{name}_cut" in entry:
        return integer_of(entry[f"{name}_cut"])
    if isinstance(text := entry.get(name), str):
        return len(text.encode("utf-8", "surrogatepass"))
    coded = entry.get(f"{name}_b64")
    return len(coded) * 3 // 4 - coded[-2:].count("=") if isinstance(coded, str) else None


def unit_of(entry: Mapping[str, Any]) -> str | None:
    """Who the request is about, byte for byte: a client may call a unit ``-``, and Envoy has assigned it an arm."""
    unit = entry.get("unit")
    return unit if isinstance(unit, str) and unit else None


def text_of(value: object) -> str | None:
    """A field of the log as text; Envoy writes ``-`` for what it does not know."""
    return value if isinstance(value, str) and value not in ("", "-") else None


def integer_of(value: object, *, bits: int = 62) -> int | None:
    """A whole number that fits; a number as text counts too."""
    try:
        number = int(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) < 1 << bits else None


def moment_of(value: object) -> int | None:
    """Epoch seconds or ISO-8601 (with its offset) in microseconds since the epoch; None if it is neither."""
    text = str(value) if isinstance(value, int | float | str) else ""
    whole, dot, fraction = text.partition(".")
    if whole.isdecimal() and (not dot or fraction.isdecimal()) and len(whole) <= 11:
        return int(whole) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None or moment.year < 1970 else max(to_micros(moment), 0)
