"""Rows of a table by their content, so that two tables can be compared without either being kept.

A row is the values of some columns by name: neither their order nor the format of the file (1 and 1.0) plays a part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from seatrial.ci.tables import Table
from seatrial.errors import UsageError

SIZE: Final = 16
"""Bytes of a hash: two of a billion different rows are alike by chance with a probability of 1e-21."""


def row_hashes(table: Table, columns: Sequence[str]) -> list[bytes]:
    """One a row, in the order of the table. Raises UsageError (ST1212) for a column that is not there."""
    names = sorted(columns)
    return [_hash([name, _plain(row[name])] for name in names) for row in table.records(tuple(names))]


def packed(hashes: Iterable[bytes]) -> bytes:
    """The set of hashes, the same bytes for the same set."""
    return b"".join(sorted(set(hashes)))


def unpacked(data: bytes) -> frozenset[bytes]:
    """Inverse of :func:`packed`."""
    return frozenset(data[start : start + SIZE] for start in range(0, len(data), SIZE))


def _hash(row: Iterable[Any]) -> bytes:
    text = json.dumps(list(row), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:SIZE]


def _number(value: int | float | Decimal) -> int | str:
    """1 and 1.0 are one number; what a float cannot tell apart is not told apart."""
    near = float(value)
    return int(near) if near.is_integer() and abs(near) < 2**53 else repr(near)


def _plain(value: Any) -> Any:
    """A value as text formats and Parquet agree on it."""
    match value:
        case None | bool() | str():
            return value
        case float() | Decimal() if value != value:
            return None
        case int() | float() | Decimal():
            return _number(value)
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in sorted(value.items())}
    raise UsageError("ST1432", f"a value of type {type(value).__name__} has no content to compare.",
                     remedy="Name the columns that are numbers, text or times: --columns.")  # fmt: skip
