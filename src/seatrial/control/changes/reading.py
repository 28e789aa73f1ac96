"""YAML about changes, read into the classes of ``governance``: unknown fields are refused with the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.errors import NotFound, UsageError
from seatrial.values import to_camel

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def schema_of(kind: type) -> dict[str, Any]:
    """JSON Schema of a file."""
    return _adapter(kind).json_schema(by_alias=True)


def read_text(path: Path) -> str:
    """Raises NotFound (ST1400), UsageError (ST1401) for what is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound("ST1400", f"there is no '{path}'.", remedy="Correct the name of the file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("ST1401", f"'{path}' cannot be read: {error}.", remedy="A YAML file in UTF-8.") from None


def parse(text: str, kind: type[T], parts: Mapping[str, type], *, source: str, help: str) -> T:
    """The value in a YAML text. ``parts``: the class behind each field that holds one, for the names that it knows.

    Raises UsageError: ST1401 for what is no YAML, ST1402 for a field that is wrong, in the words of ``help``.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError("ST1401", f"'{source}' is not YAML: {error}.", remedy=help) from None
    try:
        found = cast(T, _adapter(cast(Any, kind)).validate_python({} if document is None else document))
    except ValidationError as error:
        told = "; ".join(_explained(one, kind, parts) for one in error.errors()[:3])
        raise UsageError("ST1402", f"'{source}': {told}.", remedy=help) from None
    return found


def _explained(error: Any, kind: type, parts: Mapping[str, type]) -> str:
    place, where = error["loc"], ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] != "unexpected_keyword_argument":
        return f"{where}: {error['msg']}"
    inside = next((parts[str(part)] for part in reversed(place[:-1]) if str(part) in parts), kind)
    known = [to_camel(field.name) for field in fields(inside)]
    near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
    return f"{where} is unknown, " + (f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}")
