"""What the bodies of all formats share: media types, JSON and its Pointers, CSV, lines, numbers."""

from __future__ import annotations

import csv
import io
import json
import math
import zlib
from collections.abc import Sequence
from typing import Any, Final, TypeGuard, cast

from seatrial.events.wire.types import WireError, WireErrorKind, bad_schema

MAX_INFLATED: Final = 16 << 20
"""A compressed body is read up to this size, in bytes."""

_CSV: Final = frozenset({"text/csv", "application/csv"})
_LINES: Final = frozenset(
    f"application/{name}" for name in ("jsonlines", "x-jsonlines", "jsonl", "x-ndjson", "ndjson", "json-lines")
)
_BINARY: Final = frozenset(
    f"application/{name}"
    for name in (
        "octet-stream", "x-parquet", "vnd.apache.parquet", "vnd.apache.arrow.stream", "vnd.apache.arrow.file",
        "x-npy", "x-npz", "x-protobuf", "protobuf", "grpc", "x-recordio-protobuf", "x-msgpack", "msgpack", "pdf", "zip",
    )
)  # fmt: skip
_BINARY_KINDS: Final = ("image/", "audio/", "video/", "multipart/", "font/")


def media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def is_csv(kind: str) -> bool:
    return kind in _CSV


def is_lines(kind: str) -> bool:
    """JSON Lines: one JSON value a line."""
    return kind in _LINES


def is_binary(kind: str) -> bool:
    """Parquet, Arrow, binary tensors, pictures: passed on and measured, never decoded."""
    return kind in _BINARY or kind.startswith(_BINARY_KINDS)


def inflated(body: bytes) -> bytes:
    """gzip is undone (its first bytes say what it is), up to a limit; another body is returned as it is."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return zlib.decompressobj(wbits=31).decompress(body, MAX_INFLATED)
    except zlib.error:
        return b""


def load_json(body: str | bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise WireError("non_json", "the body is not JSON") from None


def load_lines(body: str | bytes) -> list[object]:
    return [load_json(line) for line in load_text(body).splitlines() if line.strip()]


def load_text(body: str | bytes) -> str:
    return body if isinstance(body, str) else body.decode("utf-8-sig", "replace")


def load_csv(body: str | bytes) -> list[list[str]]:
    """Lines of cells; empty lines are left out. A line of another length than the first is a ``schema`` error."""
    try:
        lines = [line for line in csv.reader(io.StringIO(load_text(body), newline="")) if line]
    except csv.Error as error:
        raise WireError("schema", f"the CSV does not parse: {error}") from None
    if not lines:
        bad_schema("the CSV is empty")
    if any(len(line) != len(lines[0]) for line in lines):
        bad_schema(f"the CSV has {len(lines[0])} columns and a line of another length")
    return lines


def csv_columns(lines: Sequence[Sequence[str]]) -> list[Sequence[object]]:
    """Cells by column; one is numeric when every cell that is not empty is a number, as in pandas."""
    return [_csv_column(column) for column in zip(*lines, strict=True)]


def _csv_column(cells: Sequence[str]) -> Sequence[object]:
    for convert in (int, float):
        try:
            return [_number(convert, cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _number(convert: type[int] | type[float], cell: str) -> int | float:
    if "_" in cell:  # a number in Python's own source only
        raise ValueError
    return convert(cell)


def point(document: object, pointer: str, missing: WireErrorKind) -> object:
    """Resolve a JSON Pointer (RFC 6901); ``*`` maps over a list."""
    values, many = [document], False
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if token == "*":
            values, many = [item for value in values for item in as_rows(value)], True
        else:
            values = [_step(value, token, pointer, missing) for value in values]
    return values if many else values[0]


def _step(value: object, token: str, pointer: str, missing: WireErrorKind) -> object:
    if isinstance(value, dict) and token in value:
        return value[token]
    if isinstance(value, list) and token.isdecimal() and len(token) < 10 and int(token) < len(value):
        return value[int(token)]
    raise WireError(missing, f"nothing is at {pointer!r}")


def as_rows(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def scalar(vector: list[Any]) -> object:
    return vector[0] if len(vector) == 1 else vector


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: Any) -> int | float:
    """The number, if a float can hold it. JSON has no NaN: servers send it as null or as the bare words."""
    try:
        if value is not None and math.isfinite(value):
            return cast("int | float", value)
    except OverflowError:  # a whole number of hundreds of digits
        pass
    raise WireError("nan", f"a prediction is {'null' if value is None else 'not a finite number'}")


def kind_of(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
