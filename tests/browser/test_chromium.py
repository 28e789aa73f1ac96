"""The pages in a real browser: they come up clean, follow what happens, and do what is pressed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

import chromium
from livesystem import Live
from seatrial import processes
from seatrial.api.app import create_app
from seatrial.api.server import Server
from seatrial.store.plans import parse_plan

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(chromium.find() is None, reason=f"no browser is installed: none of {', '.join(chromium.NAMES)}"),
]

PLAN = parse_plan("""
name: calm
metrics:
  - {name: errors, kind: error_rate, margin: 5pp}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 1d}
  - setWeight: 10%
""")
REASON = "release <b>freeze</b>"


class Site:
    """A server of an application on a thread; it may be ended and started again."""

    def __init__(self, build: Callable[[], FastAPI]) -> None:
        self._build, self._port = build, processes.free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        app = self._build()
        config = uvicorn.Config(app, host="127.0.0.1", port=self._port, log_level="error")
        self._server = Server(config, app.state.desk.pulse)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        Live.wait_for(lambda: self._server.started)

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "open pages hold the server up"


@pytest.fixture
def live(make: Any) -> Any:
    """Model fraud, v2 in shadow."""
    live = make(clock="wall")
    live.adopt(live.server("champion"))
    live.rollout = live.begin(live.register(live.server("candidate")), PLAN)
    live.run()
    return live


@pytest.fixture
def site(live: Any) -> Iterator[Site]:
    site = Site(lambda: create_app(live.operations, live.project, live.store, ready=live.controller.missing))
    yield site
    site.end()


@pytest.fixture
def browser() -> Iterator[chromium.Chromium]:
    program = chromium.find()
    assert program is not None
    browser = chromium.Chromium(program)
    yield browser
    browser.close()


def test_the_pages_in_a_browser(live: Any, site: Site, browser: chromium.Chromium, tmp_path: Path) -> None:
    live.send(live.people(0, 40))
    page = browser.page()

    # The front page comes up without a complaint, and follows what is done elsewhere without being loaded again.
    page.open(site.url + "/")
    page.wait("document.querySelector('#link').innerText.includes('live')")
    assert "◌ Progressing" in page.text()
    page.run("window.kept = true")
    live.operations.by_hand(live.rollout, "pause", reason=REASON, actor="bob")
    page.wait("document.querySelector('#models').innerText.includes('‖ Paused')")
    assert REASON in page.text(), "as text"
    live.operations.by_hand(live.rollout, "resume", actor="bob")
    page.wait("document.querySelector('#models').innerText.includes('◌ Progressing')")

    # It says since when it hears nothing, and goes on by itself when the control plane is back.
    site.end()
    page.wait(r"/disconnected since \d\d:\d\d/.test(document.querySelector('#link').innerText)")
    live.operations.by_hand(live.rollout, "pause", reason="meanwhile", actor="bob")
    site.start()
    page.wait("document.querySelector('#link').innerText.includes('live')")
    page.wait("document.querySelector('#models').innerText.includes('meanwhile')")
    live.operations.by_hand(live.rollout, "resume", actor="bob")
    assert page.run("window.kept"), "it was never loaded again"
    page.complaints.clear()  # of the time without a server

    # Who logs in may act: the dialog asks why, and what was pressed is what is stored.
    page.open(site.url + "/rollouts/fraud")
    page.click("header a[href^='/login']")
    page.wait("document.querySelector('[name=token]')")
    page.fill("[name=token]", live.project.token())
    page.fill("[name=name]", "ann")
    page.click("form.card button")
    page.wait("location.pathname === '/rollouts/fraud' && document.querySelector('a[href$=\"/pause\"]')")
    live.wait_for(lambda: live.decisions(live.rollout)[-1].verdicts)
    page.wait("document.querySelectorAll('#pictures img').length >= 2")
    page.run("document.querySelectorAll('#pictures img').forEach(image => { image.loading = 'eager'; })")
    page.wait("[...document.querySelectorAll('#pictures img')].every(image => image.naturalWidth > 400)")
    page.click("a[href$='/pause']")
    page.wait("document.querySelector('#dialog').open")
    page.fill("#dialog textarea", REASON)
    page.click("#dialog button")
    page.wait("document.querySelector('.note')?.innerText.includes('paused by ann')")
    assert live.status(live.rollout) == "paused"
    assert live.decisions(live.rollout)[-1].reason == REASON

    # A kill is red on every page that shows the model.
    page.open(site.url + "/")
    other = browser.page(width=390, height=844, dark=True)
    other.open(site.url + "/models/fraud/kill")
    other.fill("textarea", "wrong currency")
    other.click("form.card button")
    other.wait("document.querySelector('.killed')?.innerText.includes('wrong currency')")
    page.show()  # while nobody saw it, it was not told
    page.wait("document.querySelector('#models tr.dead')?.innerText.includes('wrong currency')")
    colour = page.run("getComputedStyle(document.querySelector('#models tr.dead th')).color")
    red, green, blue = map(int, re.findall(r"\d+", colour))
    assert red > 2 * max(green, blue)
    assert live.status(live.rollout) == "aborted"
    for path in ("/", "/models/fraud", f"/rollouts/{live.rollout}", "/docs", "/login"):
        other.open(site.url + path)
        assert other.run("document.documentElement.scrollWidth") <= 390, f"{path} is wider than the screen"
    page.picture(tmp_path / "front.png")
    assert page.complaints + other.complaints == []


def test_a_page_that_is_broken_would_be_noticed(api: Any, browser: chromium.Chromium) -> None:
    site, page = Site(lambda: api.app), browser.page()
    page.open(site.url + "/")
    page.run("document.body.append(Object.assign(document.createElement('img'), { src: '/nothing.png' }))")
    page.run("document.head.append(Object.assign(document.createElement('style'), { textContent: 'a {}' }))")
    page.run("setTimeout(() => { throw new Error('oh') })")
    page.wait("document.images[document.images.length - 1].complete")
    told = " ".join(page.complaints)
    site.end()
    assert "404" in told
    assert "Error: oh" in told
    assert "Content Security Policy" in told
