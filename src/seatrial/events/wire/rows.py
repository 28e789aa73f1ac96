"""Rows of a request: a list with one entry a row, or a mapping of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.events.wire.bodies import kind_of
from seatrial.events.wire.types import Request, bad_schema
from seatrial.registry.contract import WireFormat


def listed(format: WireFormat, content: object, form: str) -> Request:
    """Rows of a list (one entry a row) or of a mapping of columns. ``form`` names them in errors."""
    if isinstance(content, list):
        if content and all(isinstance(row, dict) for row in content):
            return named(format, content)
        return Request(format, len(content), vectors=tuple(_vector(row) for row in content))
    if isinstance(content, dict) and content:
        return named(format, columnar(content, form))
    bad_schema(f"{form!r} is a list of rows or a mapping of columns, not {kind_of(content)}")


def columnar(columns: dict[str, Any], form: str) -> list[dict[str, object]]:
    """Rows of a mapping of columns; a mapping of single values is one row."""
    lists = [isinstance(values, list) for values in columns.values()]
    if not any(lists):
        return [columns]
    if not all(lists) or len({len(values) for values in columns.values()}) != 1:
        bad_schema(f"the columns of {form!r} are not lists of one length")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def named(format: WireFormat, rows: Sequence[Mapping[str, object]]) -> Request:
    return Request(format, len(rows), features=tuple(rows))


def _vector(row: object) -> list[Any]:
    return row if isinstance(row, list) else [row]
