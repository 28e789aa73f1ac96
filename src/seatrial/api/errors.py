"""Errors as JSON: ``{code, message, remedy, exitCode}`` with the status that says the same."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

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

log = logging.getLogger("seatrial.api")

STATUS: tuple[tuple[type[SeatrialError], int], ...] = (
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


def error_document(code: str, message: str, remedy: str = "", exit_code: int = Exit.ERROR) -> dict[str, Any]:
    return {
        "schema": "seatrial.error.v1",
        "code": code,
        "message": message,
        "remedy": remedy,
        "exitCode": int(exit_code),
    }


def refusal(status: int, code: str, message: str, remedy: str = "", **headers: str) -> JSONResponse:
    return JSONResponse(error_document(code, message, remedy), status, headers=headers)


def install(app: FastAPI) -> None:
    """Every way a request can fail answers in the same form."""

    @app.exception_handler(SeatrialError)
    async def known(request: Request, error: SeatrialError) -> JSONResponse:
        document = error_document(error.code, error.message, error.remedy, error.exit_code)
        return JSONResponse(document, status_of(error))

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
