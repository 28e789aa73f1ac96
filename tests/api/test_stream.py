"""The stream of changes: one poller for all pages, none for nobody, and an end when the server ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from seatrial.api.stream import Pulse


class Source:
    """What is polled; counts how often."""

    def __init__(self) -> None:
        self.marks: dict[str, object] = {"health": "fine"}
        self.reads = 0
        self.broken = False

    def read(self) -> dict[str, object]:
        self.reads += 1
        if self.broken:
            raise RuntimeError("nobody is at home")
        return dict(self.marks)


async def event(stream: AsyncIterator[str]) -> tuple[str, Any]:
    text = await asyncio.wait_for(anext(stream), 30)
    name, data = text.strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def until_read(source: Source, more: int = 2) -> None:
    wanted = source.reads + more
    while source.reads < wanted:
        await asyncio.sleep(0.005)


def test_every_page_is_told_and_the_source_is_asked_once_for_all() -> None:
    async def story() -> None:
        source = Source()
        pulse = Pulse(source.read, poll_s=0.01)
        pages = [pulse.stream() for _ in range(50)]
        assert [await event(page) for page in pages] == [("hello", {})] * 50
        await until_read(source)
        before = source.reads
        source.marks = {"health": "fine", "rollouts/r-0001": 1}
        told = await asyncio.gather(*(event(page) for page in pages))
        assert told == [("changed", ["rollouts/r-0001"])] * 50
        assert source.reads - before < 50, "not once for each page"
        source.marks = {"health": "bad"}
        assert await event(pages[0]) == ("changed", ["health", "rollouts/r-0001"]), "what went is a change"
        for page in pages:
            await page.aclose()
        await asyncio.sleep(0.05)
        idle = source.reads
        await asyncio.sleep(0.1)
        assert source.reads == idle, "nobody listens, nothing is asked"

    asyncio.run(story())


def test_an_error_of_the_source_is_over_when_it_is_over() -> None:
    async def story() -> None:
        source = Source()
        pulse = Pulse(source.read, poll_s=0.01)
        page = pulse.stream()
        await event(page)
        await until_read(source)
        source.broken = True
        await until_read(source)
        source.broken, source.marks = False, {"health": "better"}
        assert await event(page) == ("changed", ["health"])
        await page.aclose()

    asyncio.run(story())


def test_a_server_that_ends_ends_the_streams() -> None:
    async def story() -> None:
        pulse = Pulse(Source().read, poll_s=0.01)
        page = pulse.stream()
        await event(page)
        rest = asyncio.create_task(_all(page))
        await asyncio.sleep(0.02)
        assert not rest.done()
        pulse.close()
        assert await asyncio.wait_for(rest, 30) == []

    asyncio.run(story())


async def _all(stream: AsyncIterator[str]) -> list[str]:
    return [text async for text in stream]
