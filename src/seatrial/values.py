"""Small values that are written as text with their unit: ``7d``, ``10%``, ``0.5pp``, ``250ms``, ``500/h``.

They parse themselves, print back what was written, and validate under pydantic without the core importing it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal, Self

_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def to_camel(name: str) -> str:
    """The name of a field as it is written in YAML and JSON.

    >>> to_camel("min_units")
    'minUnits'
    """
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


class _Text:
    """A value that is text on the outside. Subclasses implement ``parse`` and ``__str__``."""

    __slots__ = ()
    pattern_help: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # the edge that validates has it; the core never calls this

        def validate(value: object) -> Any:
            return value if isinstance(value, cls) else cls.parse(str(value))

        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "description": cls.pattern_help}


@dataclass(frozen=True, slots=True, order=True)
class Duration(_Text):
    """A span of time.

    >>> Duration.parse("1h30m").seconds
    5400.0
    >>> str(Duration.parse("36h"))
    '36h'
    """

    pattern_help: ClassVar[str] = "a duration such as 250ms, 10s, 30m, 36h, 7d or 1d12h"
    seconds: float
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        stripped = text.strip()
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", stripped)
        if not parts or "".join(n + u for n, u in parts) != stripped:
            raise ValueError(f"{text!r} is not {cls.pattern_help}")
        return cls(sum(float(n) * _SECONDS[u] for n, u in parts), stripped)

    def __str__(self) -> str:
        return self.text or f"{self.seconds:g}s"

    @property
    def delta(self) -> timedelta:
        return timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True, order=True)
class Size(_Text):
    """A number of bytes.

    >>> Size.parse("1.5MiB").bytes
    1572864
    """

    pattern_help: ClassVar[str] = "a size such as 512KiB, 64MiB or 2GiB"
    bytes: int
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(KiB|MiB|GiB)", text.strip())
        if match is None or float(match[1]) <= 0:
            raise ValueError(f"{text!r} is not {cls.pattern_help}")
        return cls(round(float(match[1]) * _BYTES[match[2]]), text.strip())

    def __str__(self) -> str:
        return self.text or f"{self.bytes / _BYTES['KiB']:g}KiB"


@dataclass(frozen=True, slots=True, order=True)
class Share(_Text):
    """A share of traffic in 1/10,000: what weights and hashes are counted in.

    >>> Share.parse("12.5%").per_10k
    1250
    """

    pattern_help: ClassVar[str] = "a share such as 10% or 0.5% (at most two decimals, 0% to 100%)"
    per_10k: int

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"\s*(\d{1,3})(?:\.(\d{1,2}))?\s*%\s*", text)
        value = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else -1
        if not 0 <= value <= 10_000:
            raise ValueError(f"{text!r} is not {cls.pattern_help}")
        return cls(value)

    def __str__(self) -> str:
        return f"{self.per_10k / 100:g}%"

    @property
    def fraction(self) -> float:
        return self.per_10k / 10_000


@dataclass(frozen=True, slots=True)
class Margin(_Text):
    """How much loss is tolerable, with its unit; a bare number is refused because nobody can tell what it means.

    >>> Margin.parse("3%"), Margin.parse("0.5pp")
    (Margin(value=0.03, scale='relative'), Margin(value=0.005, scale='absolute'))
    """

    pattern_help: ClassVar[str] = "a margin with its unit: 3% (relative), 0.5pp (absolute, points), 0.02 absolute"
    value: float
    scale: Literal["relative", "absolute"]

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%|% relative|pp| absolute)\s*", text)
        if match is None:
            raise ValueError(f"{text!r} is not {cls.pattern_help}")
        number, unit = float(match[1]), match[2].strip()
        if number <= 0:
            raise ValueError(f"{text!r}: a margin is the size of a tolerable loss and is written without a sign")
        value = number if unit == "absolute" else number / 100
        scale: Literal["relative", "absolute"] = "relative" if unit.startswith("%") else "absolute"
        if scale == "relative" and value >= 1:
            raise ValueError(f"{text!r}: a relative margin of 100% or more tolerates everything")
        return cls(value, scale)

    def __str__(self) -> str:
        return f"{self.value * 100:g}%" if self.scale == "relative" else f"{self.value:g} absolute"

    def times(self, factor: float) -> Margin:
        return Margin(min(self.value * factor, 0.99) if self.scale == "relative" else self.value * factor, self.scale)


@dataclass(frozen=True, slots=True)
class Rate(_Text):
    """An amount per time, e.g. spend: ``500/h``.

    >>> Rate.parse("1200/d").per_second * 3600
    50.0
    """

    pattern_help: ClassVar[str] = "an amount per time such as 500/h, 12000/d or 3.5/m"
    amount: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|m|h|d|w)\s*", text)
        if match is None:
            raise ValueError(f"{text!r} is not {cls.pattern_help}")
        return cls(float(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.amount:g}/{self.unit}"

    @property
    def per_second(self) -> float:
        return self.amount / _SECONDS[self.unit]


@dataclass(frozen=True, slots=True, order=True)
class Multiple(_Text):
    """A multiple of something else, e.g. of each metric's margin: ``3x``."""

    pattern_help: ClassVar[str] = "a multiple such as 3x or 1.5x"
    factor: float

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*x\s*", text)
        if match is None or float(match[1]) <= 0:
            raise ValueError(f"{text!r} is not {cls.pattern_help}")
        return cls(float(match[1]))

    def __str__(self) -> str:
        return f"{self.factor:g}x"
