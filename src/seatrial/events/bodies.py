"""What the bodies of all wire formats share: errors, JSON, JSON Pointers, numbers and tensors."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, NoReturn, TypeGuard, cast

_MAX_RANK = 32

WireErrorKind = Literal["non_json", "schema", "unsupported", "nan", "row_count", "no_predictions"]


class WireError(ValueError):
    """A body that is not what its format asks for; ``kind`` is the stable word for logs and evidence."""

    def __init__(self, kind: WireErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind: WireErrorKind = kind


def is_tensors(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(t, dict) and {"name", "shape", "datatype"} <= t.keys() for t in value)
    )


def is_real(tensor: dict[str, Any]) -> bool:
    return str(tensor["datatype"]).upper().startswith(("FP", "BF"))


def tensor_rows(tensor: dict[str, Any]) -> list[list[Any]]:
    """Rows along the first axis; ``data`` may be nested or flat in row-major order."""
    name, shape, data = tensor["name"], tensor["shape"], tensor.get("data")
    if not isinstance(data, list):
        raise WireError("unsupported", f"tensor {name!r} has no JSON 'data'")
    if not (isinstance(shape, list) and 0 < len(shape) <= _MAX_RANK and all(type(n) is int and n >= 0 for n in shape)):
        bad_schema(f"tensor {name!r} has the shape {str(shape)[:60]}, not a list of whole numbers")
    for _ in shape[1:]:
        if any(isinstance(value, list) for value in data):
            if not all(isinstance(value, list) for value in data):
                bad_schema(f"tensor {name!r} is nested unevenly")
            data = [value for part in data for value in part]
    if any(isinstance(value, list) for value in data):
        bad_schema(f"tensor {name!r} is nested deeper than its shape")
    width = math.prod(shape[1:])
    if len(data) != shape[0] * width or not (width or not shape[0]):
        bad_schema(f"tensor {name!r} has {len(data)} values, which do not fill the shape {str(shape)[:60]}")
    return [data[i : i + width] for i in range(0, len(data), width or 1)]


def scalar(vector: list[Any]) -> object:
    return vector[0] if len(vector) == 1 else vector


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


def load_json(body: str | bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise WireError("non_json", "the body is not JSON") from None


def load_text(body: str | bytes) -> str:
    return body if isinstance(body, str) else body.decode("utf-8-sig", "replace")


def as_rows(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


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


def media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def kind_of(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def bad_schema(message: str) -> NoReturn:
    raise WireError("schema", message)
