"""Errors as JSON: ``{code, message, remedy, exitCode}`` with the status that says the same."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from seatrial.errors import (
    Conflict,
    Exit,
    IllegalTransition,
    IntegrityError,
    NotFound,
    SeatrialError,
    Unavailable,
    UsageError,
)
from seatrial.registry.people import Role

log = logging.getLogger("seatrial.api")


class Unauthenticated(SeatrialError):
    """Nobody the server knows calls."""

    @classmethod
    def without_token(cls, what: str) -> Self:
        return cls(
            "ST0845",
            f"this call {what} and needs a token.",
            remedy="Send 'Authorization: Bearer TOKEN': what .seatrial/run/token holds, or a token that was granted.",
        )


class Forbidden(SeatrialError):
    """The caller is known, or stands in the wrong place, and may not do this."""

    @classmethod
    def below(cls, name: str, role: Role, needed: Role) -> Self:
        return cls(
            "ST0856",
            f"'{name}' has the role {role}; this call needs {needed}.",
            remedy=f"Ask who has it, or an admin: `seatrial access grant {name} --role {needed}`.",
        )


class _Body(SeatrialError, HTTPException):
    """A body that is not taken. An HTTPException too: the framework lets nothing else out of its reading of a body."""

    status = 400

    def __init__(self, code: str, message: str, *, remedy: str = "") -> None:
        SeatrialError.__init__(self, code, message, remedy=remedy)
        self.status_code, self.detail, self.headers = self.status, message, None


class TooLarge(_Body):
    """More than the limit of this call."""

    status = 413

    @classmethod
    def above(cls, limit: int) -> Self:
        return cls("ST0858", f"the body of this call is above {limit >> 10:,} KiB.", remedy="Send it in parts.")


class TooSlow(_Body):
    """The rest of the body does not come."""

    status = 408

    @classmethod
    def after(cls, seconds: float) -> Self:
        return cls("ST0858", f"the body of this call stopped coming for {seconds:g} s.", remedy="Send it again.")


STATUS: tuple[tuple[type[SeatrialError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (TooLarge, TooLarge.status),
    (TooSlow, TooSlow.status),
    (NotFound, 404),
    (Conflict, 409),
    (IllegalTransition, 409),
    (UsageError, 422),
    (Unavailable, 503),
    (IntegrityError, 500),
)


def status_of(error: SeatrialError) -> int:
    """The HTTP status of an error; 400 where no class says more."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 400)


class ErrorDocument(TypedDict):
    """What went wrong, to which object, and what to do. ``code`` is stable; ``exitCode`` is the command line's."""

    schema: Literal["seatrial.error.v1"]
    code: str
    message: str
    remedy: str
    exitCode: int


def error_document(code: str, message: str, remedy: str = "", exit_code: int = Exit.ERROR) -> ErrorDocument:
    return {
        "schema": "seatrial.error.v1",
        "code": code,
        "message": message,
        "remedy": remedy,
        "exitCode": int(exit_code),
    }


_MEANING: Final[Mapping[int, str]] = {
    400: "The request cannot be read, or cannot be done.",
    401: "A token is needed, or the one given does not count.",
    403: "The role does not suffice, or the call comes from a place that is not served.",
    404: "There is no such object.",
    408: "The body stopped coming.",
    409: "Somebody else was first, or the object is busy.",
    413: "The body is too large.",
    422: "A value is wrong; the message names it.",
    500: "Stored data is not what was written.",
    503: "A part that is needed does not answer.",
}

_CONTENT: Final = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorDocument.__name__}"}}}

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": meaning, "content": _CONTENT} for status, meaning in _MEANING.items()
}
"""Every call may be refused in these ways, and answers in this one form.

The form is named and not given as ``model``: of a model each application would build one validator a call and status.
"""


def refusal(status: int, code: str, message: str, remedy: str = "", **headers: str) -> JSONResponse:
    return JSONResponse(error_document(code, message, remedy), status, headers=headers)


def answer(error: SeatrialError) -> JSONResponse:
    """An error as its response."""
    headers = {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
    document = error_document(error.code, error.message, error.remedy, error.exit_code)
    return JSONResponse(document, status_of(error), headers=headers)


def install(app: FastAPI) -> None:
    """Every way a request can fail answers in the same form, which the OpenAPI document has."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        form = TypeAdapter(ErrorDocument).json_schema()
        document["components"]["schemas"].setdefault(ErrorDocument.__name__, form)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI says how to extend it

    @app.exception_handler(SeatrialError)
    async def known(request: Request, error: SeatrialError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        document = error_document("ST0841", f"{'; '.join(lines)}.", "See /docs.", Exit.USAGE)
        return JSONResponse(document, 422)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> JSONResponse:
        document = error_document("ST0842", f"{request.method} {request.url.path}: {error.detail}.", "See /docs.")
        return JSONResponse(document, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(500, "ST0840", f"internal error: {type(error).__name__}.", "See `seatrial logs control`.")
