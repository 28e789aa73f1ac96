"""Amounts as people write them on a command line: ``20M/day``, ``5.2%``, ``ctr=5.2%``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from seatrial.errors import UsageError

T = TypeVar("T")

_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_PER_DAY = {"s": 86_400.0, "m": 1_440.0, "min": 1_440.0, "h": 24.0, "hour": 24.0, "d": 1.0, "day": 1.0, "w": 1 / 7,
            "week": 1 / 7}  # fmt: skip


def per_day(text: str) -> float:
    """An amount a day. Raises ValueError.

    >>> per_day("20M/day"), per_day("500/h")
    (20000000.0, 12000.0)
    """
    match = re.fullmatch(r"\s*(\d[\d_,]*(?:\.\d+)?)\s*([kMG]?)\s*/\s*([a-z]+)\s*", text)
    if match is None or match[3] not in _PER_DAY:
        raise ValueError(f"{text!r} is not an amount per time such as 20M/day, 500/h or 350k/week")
    return float(re.sub(r"[_,]", "", match[1])) * _FACTORS[match[2]] * _PER_DAY[match[3]]


def number(text: str) -> float:
    """A number, or a share in per cent. Raises ValueError.

    >>> number("5.2%"), number("48.3")
    (0.052, 48.3)
    """
    match = re.fullmatch(r"\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(%?)\s*", text)
    value = float(match[1]) if match else math.nan
    if match is None or not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number such as 5.2% or 48.3")
    return round(value / 100, 15) if match[2] else value


def share(text: str) -> float:
    """A share above 0% and below 100%, always with its per cent sign. Raises ValueError."""
    if not text.strip().endswith("%") or not 0 < number(text) < 1:
        raise ValueError(f"{text!r} is not a share such as 80%")
    return number(text)


def read(option: str, text: str, parse: Callable[[str], T], example: str) -> T:
    """The value of an option; UsageError ST0253 that names the option and shows a right one."""
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError("ST0253", f"{option}: {error}.", remedy=f"e.g. {option} {example}") from None


def by_name(
    option: str, texts: Sequence[str] | None, names: Collection[str], parse: Callable[[str], T], example: str
) -> dict[str, T]:
    """``NAME=VALUE`` of an option that may be repeated. Raises UsageError: ST0252 for a name that is not there."""
    found: dict[str, T] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            raise UsageError(
                "ST0252",
                f"{option} {text}: it is NAME=VALUE, with one of the plan's guardrails: {', '.join(sorted(names))}.",
                remedy=f"e.g. {option} {next(iter(sorted(names)), 'NAME')}={example}",
            )
        found[name] = read(option, value, parse, f"{name}={example}")
    return found
