"""``/docs``: every call of the API, read from its OpenAPI document. One page, no scripts of others, no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from seatrial.api.deps import services
from seatrial.api.html import PageRoute, page

Schema = dict[str, Any]
METHODS: Final = ("get", "post", "put", "delete")
DEPTH: Final = 3

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter or one field of a body; ``name`` is dotted where it lies inside another."""

    name: str
    kind: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: what it takes, and how to try it from a shell."""

    method: str
    path: str
    name: str
    text: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    media: str
    protected: bool
    example: str


@router.get("/docs")
def docs(request: Request) -> Response:
    """The reference; ``/openapi.json`` is what it is made of, for generators of clients."""
    document = request.app.openapi()
    base = services(request).project.config.api.url
    groups: dict[str, list[Operation]] = {}
    for path, calls in document["paths"].items():
        for method in METHODS:
            if method in calls:
                found = _operation(document, base, method, path, calls[method])
                groups.setdefault(calls[method].get("tags", ["others"])[0], []).append(found)
    return page(request, "reference.html", groups=groups, base=base)


def _operation(document: Schema, base: str, method: str, path: str, call: Schema) -> Operation:
    content = call.get("requestBody", {}).get("content", {})
    media = next(iter(content), "")
    schema = _resolved(document, content.get(media, {}).get("schema", {}))
    parameters = tuple(_parameter(document, given) for given in call.get("parameters", []))
    body = tuple(_fields(document, schema))
    protected = bool(call.get("security"))
    return Operation(
        method=method,
        path=path,
        name=call.get("summary", ""),
        text=call.get("description", ""),
        parameters=parameters,
        body=body,
        media=media,
        protected=protected,
        example=_example(base, method, path, media, body, protected),
    )


def _parameter(document: Schema, given: Schema) -> Field:
    kind, required = _kind(document, given["schema"]), given.get("required", False)
    return Field(f"{given['name']} ({given['in']})", kind, required, given.get("description", ""))


def _fields(document: Schema, schema: Schema, prefix: str = "", depth: int = 1) -> Iterator[Field]:
    required = set(schema.get("required", ()))
    for name, given in schema.get("properties", {}).items():
        inner = _resolved(document, given)
        text = inner.get("description", "").split("\n")[0]
        yield Field(f"{prefix}{name}", _kind(document, given), name in required, text)
        if depth < DEPTH:
            yield from _fields(document, inner, f"{prefix}{name}.", depth + 1)


def _resolved(document: Schema, schema: Schema) -> Schema:
    """The schema behind a reference, or the one alternative of it that is not null."""
    if "$ref" in schema:
        found: Schema = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _resolved(document, found)
    real = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return _resolved(document, real[0]) if len(real) == 1 else schema


def _kind(document: Schema, schema: Schema) -> str:
    """``string``, ``integer``, ``one of a, b``; whether it has a default is said with it."""
    inner = _resolved(document, schema)
    kind = inner.get("type", "any")
    if "enum" in inner:
        kind = "one of " + ", ".join(map(str, inner["enum"]))
    elif kind == "array":
        kind = f"list of {_kind(document, inner.get('items', {}))}"
    default = schema.get("default")
    return kind if default in (None, "", {}, []) else f"{kind}, {json.dumps(default)} by default"


def _example(base: str, method: str, path: str, media: str, body: tuple[Field, ...], protected: bool) -> str:
    words = ["curl"]
    if method != "get":
        words += ["-X", method.upper()]
    if protected:
        words += ["-H", '"authorization: Bearer $SEATRIAL_TOKEN"']
    if media:
        words += ["-H", f"'content-type: {media}'"]
    if body:
        wanted = {field.name: "…" for field in body if field.required and "." not in field.name}
        words += ["-d", f"'{json.dumps(wanted, ensure_ascii=False)}'"]
    return " ".join([*words, f"'{base}{path}'" if "{" in path else f"{base}{path}"])
