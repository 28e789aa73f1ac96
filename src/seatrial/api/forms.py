"""Posted forms, and one field of them read before the route that will read the form again."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from seatrial.api.errors import TooLarge
from seatrial.errors import UsageError

FORM = "application/x-www-form-urlencoded"
MAX_FORM = 64 * 1024
MAX_FIELDS = 50


async def field_of_form(name: str, headers: Headers, receive: Receive) -> tuple[str, Receive]:
    """The field's value (empty if there is none), and a ``receive`` that gives the same body once more."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return "", receive
    body = await _body(receive)
    return form_fields(body).get(name, ""), _again(body, receive)


def form_fields(body: bytes) -> dict[str, str]:
    """The fields of a form, the first of each name. Raises UsageError."""
    try:
        found = parse_qs(body.decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise UsageError("ST0841", f"a form has at most {MAX_FIELDS} fields.") from None
    return {name: values[0] for name, values in found.items()}


async def _body(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > MAX_FORM:
            raise TooLarge.above(MAX_FORM)
        parts.append(part)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
