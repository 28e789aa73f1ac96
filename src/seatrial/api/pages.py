"""The pages to look at: all models, one model, one rollout; their pictures; and the stream that keeps them current."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from seatrial.api import approvals, buttons, html, login, reference, retraining, shadow
from seatrial.api.board import Boards
from seatrial.api.buttons import Button, Notes, model_buttons, rollout_buttons
from seatrial.api.deps import Services
from seatrial.api.figures import Figures
from seatrial.api.health import Watchman
from seatrial.api.html import PageRoute, page, visitor_of
from seatrial.api.release import ReleasePage, ReleasePages
from seatrial.api.stream import Marks, Pulse
from seatrial.control.documents import catalog, views
from seatrial.control.follow_up import follow_up_document
from seatrial.errors import NotFound, SeatrialError

STATIC = Path(str(files("seatrial.api"))) / "static"
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
PICTURE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages of one application share."""

    boards: Boards
    releases: ReleasePages
    figures: Figures
    watchman: Watchman
    pulse: Pulse


def install(app: FastAPI, wired: Services) -> None:
    """Give an application its pages."""
    boards = Boards(wired.project, wired.store)
    watchman = Watchman(wired.project, wired.store, wired.operations.controller, wired.ready)

    def marks() -> Marks:
        health = watchman.health()
        try:
            return {**boards.marks(), "health": health}
        except SeatrialError:  # the store: what it holds did not change by that
            return {"health": health}

    releases = ReleasePages(wired.project, wired.store)
    app.state.desk = Desk(boards, releases, Figures(), watchman, Pulse(marks))
    app.state.notes = Notes()
    parts = (shadow.pages, approvals.pages, retraining.pages, buttons.router, login.router, reference.router)
    for pages in (router, *parts):
        app.include_router(pages)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    html.install(app)


def desk(request: Request) -> Desk:
    found: Desk = request.app.state.desk
    return found


Shared = Annotated[Desk, Depends(desk)]


@router.get("/")
def index(request: Request, shared: Shared) -> Response:
    """Every model; those that need an eye first."""
    return page(request, "board.html", board=shared.boards.read(), health=shared.watchman.health())


@router.get("/models/{name}")
def model(request: Request, name: str, shared: Shared, note: str = "") -> Response:
    """One model: what serves, its versions, its releases."""
    wired = request.app.state.services
    with wired.store.read() as tx:
        document = catalog.model(tx, wired.project, name)
        rollouts = catalog.rollouts(tx, model=name)["rollouts"][::-1]
    return page(
        request,
        "model.html",
        model=document,
        rollouts=rollouts,
        health=shared.watchman.health(),
        note_text=request.app.state.notes.find(note),
        buttons=model_buttons(document, visitor_of(request)),
    )


@router.get("/rollouts/{name}")
def rollout(request: Request, name: str, shared: Shared, note: str = "") -> Response:
    """One rollout, by id or by model."""
    shown, health = shared.releases.read(name), shared.watchman.health()
    wired = request.app.state.services
    with wired.store.read() as tx:
        model = catalog.model(tx, wired.project, shown.rollout["model"])
        after = follow_up_document(tx, shown.rollout["id"])
    actual = health.weights.get(shown.rollout["model"], {}).get("canary") if shown.rollout["active"] else None
    visitor = visitor_of(request)
    return page(
        request,
        "rollout.html",
        shown=shown,
        r={**shown.rollout, "actualWeight": None if actual is None else actual / 100, "reconciliation": after},
        model=model,
        outlook=[views.plain(sight) for sight in shown.outlook],
        health=health,
        note_text=request.app.state.notes.find(note),
        buttons=[*rollout_buttons(shown.rollout, visitor), *_switches(shown, model, visitor)],
    )


def _switches(shown: ReleasePage, model: views.Document, visitor: html.Visitor | None) -> list[Button]:
    """Of the model, on the page of its rollout: while that goes on, to roll back is to abort, which has its button."""
    buttons = model_buttons(model, visitor)
    return [b for b in buttons if b.verb != "rollback"] if shown.rollout["active"] else buttons


@router.get("/rollouts/{name}/pictures/{picture}.svg")
async def picture(name: str, picture: str, shared: Shared, n: int = 0) -> Response:
    """One picture; ``n``, the number of decisions it shows, makes its address its content."""
    shown = await run_in_threadpool(shared.releases.read, name)
    found = next((p for p in shown.pictures if p.name == picture), None)
    if found is None:
        raise NotFound("ST0852", f"rollout {name!r} has no picture {picture!r}.")
    svg = await shared.figures.svg((shown.rollout["id"], shown.decisions, picture), found.draw)
    caching = FOREVER if n == shown.decisions else {"cache-control": "no-store"}
    return Response(svg, media_type="image/svg+xml", headers=PICTURE | caching)


@router.get("/events")
async def events(shared: Shared) -> Response:
    """Server-sent events: what changed, for as long as the page is open."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(shared.pulse.stream(), media_type="text/event-stream", headers=headers)


@router.get("/static/palette.css")
def palette() -> Response:
    """The colours, which the report has as well."""
    return Response(_palette(), media_type="text/css", headers={"cache-control": "no-cache"})


@cache
def _palette() -> str:
    return files("seatrial.control").joinpath("templates", "palette.css").read_text(encoding="utf-8")
