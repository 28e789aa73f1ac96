"""Pages from templates: escaped, with the headers that keep a browser from doing anything the page did not mean."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException

from seatrial import __version__
from seatrial.api.deps import services
from seatrial.api.errors import status_of
from seatrial.api.security import Principal, principal_of
from seatrial.api.whisker import WIDTH, whisker
from seatrial.control.documents import wording
from seatrial.errors import SeatrialError
from seatrial.store.canonical import iso_z

if TYPE_CHECKING:
    from jinja2 import Environment

log = logging.getLogger("seatrial.api")

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at the page; ``csrf`` is what their forms send along."""

    principal: Principal
    csrf: str


def visitor_of(request: Request) -> Visitor | None:
    """None for somebody who only reads. Forms are for sessions alone: a token in a header has no page to press on."""
    principal, sessions = principal_of(request), request.app.state.sessions
    cookie = request.cookies.get(sessions.cookie)
    if principal is None or not cookie:
        return None
    return Visitor(principal, sessions.csrf(cookie))


def page(request: Request, template: str, status: int = 200, **given: Any) -> HTMLResponse:
    """A page for whoever asks."""
    wired = services(request)
    common = {
        "project": wired.project.config.project,
        "clock": wired.project.config.clock,
        "now": iso_z(wired.operations.clock.now()),
        "visitor": visitor_of(request),
        "path": request.url.path,
        "version": __version__,
    }
    return HTMLResponse(environment().get_template(template).render(common | given), status, headers=HEADERS)


def error_page(request: Request, status: int, code: str, message: str, remedy: str = "") -> HTMLResponse:
    """What happened in one line and what to do. Needs no store: that may be what is broken."""
    common = {
        "project": services(request).project.config.project, "clock": "wall", "now": "", "visitor": None,
        "path": request.url.path, "version": __version__,
    }  # fmt: skip
    told = {"status": status, "code": code, "message": message, "remedy": remedy}
    text = environment().get_template("error.html").render(common | told)
    return HTMLResponse(text, status, headers=HEADERS)


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except SeatrialError as error:
                return error_page(request, status_of(error), error.code, error.message, error.remedy)
            except RequestValidationError:
                return error_page(request, 404, "ST0851", f"there is no page '{request.url.path}'.")
            except Exception as error:  # a bug: its insides are for the log
                log.error("%s %s failed", request.method, request.url.path, exc_info=error)
                text = f"internal error: {type(error).__name__}."
                return error_page(request, 500, "ST0840", text, "See `seatrial logs control`.")

        return handled


def install(app: FastAPI) -> None:
    """A browser that asks for a page that does not exist gets a page; everybody else the document as before."""
    plain: Any = app.exception_handlers[HTTPException]

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return error_page(request, error.status_code, "ST0851", f"there is no page '{request.url.path}'.")
        answer: Response = await plain(request, error)
        return answer


def _shown(words: Mapping[str, str]) -> dict[str, str]:
    """Few fonts of browsers have the terminal's sign for a pause."""
    return {name: word.replace("॥", "‖") for name, word in words.items()}


def _ticks(text: str) -> Markup:
    """What stands between backticks as code."""
    return Markup(re.sub(r"`+([^`]+)`+", r"<code>\1</code>", str(escape(text))))


@cache
def environment() -> Environment:
    """Escapes everything, and fails where a template names what is not there."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("seatrial.api"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        asked=wording.asked,
        clock=wording.clock,
        count=wording.count,
        estimate=wording.estimate,
        interval=wording.interval,
        other_needs=wording.other_needs,
        n=lambda value: f"{value:,}",
        percent=wording.percent,
        quoted=lambda text: quote(str(text), safe=""),
        sample=wording.sample,
        size=wording.size,
        short=lambda digest: str(digest).removeprefix("sha256:")[:12],
        span=wording.span,
        ticks=_ticks,
        utc=iso_z,
        whisker=whisker,
    )
    made.globals.update(
        STATUS=_shown(wording.STATUS), STAGE=_shown(wording.STAGE), VERDICT=wording.VERDICT, WHISKER_WIDTH=WIDTH
    )
    return made
