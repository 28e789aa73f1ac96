"""Pictures as SVG, drawn once for each content, by one thread of their own: no other call waits for a picture."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from seatrial.control.documents.pictures import Draw

Key = tuple[str, int, str]
"""Rollout, how many decisions it has, picture: decisions are only ever added, so this names the content."""

KEPT: Final = 256


class Figures:
    """The pictures that were drawn last."""

    def __init__(self) -> None:
        self._pencil = ThreadPoolExecutor(1, thread_name_prefix="figures")
        self._lock = threading.Lock()
        self._drawn: OrderedDict[Key, Future[str]] = OrderedDict()

    async def svg(self, key: Key, draw: Draw) -> str:
        """The picture; whoever asks for one that is being drawn waits for that one."""
        return await asyncio.shield(asyncio.wrap_future(self._promised(key, draw)))  # others may wait for it, too

    def _promised(self, key: Key, draw: Draw) -> Future[str]:
        with self._lock:
            known = self._drawn.get(key)
            if known is None or (known.done() and known.exception() is not None):
                self._drawn[key] = self._pencil.submit(_drawn, draw)
                while len(self._drawn) > KEPT:
                    self._drawn.popitem(last=False)
            self._drawn.move_to_end(key)
            return self._drawn[key]


def _drawn(draw: Draw) -> str:
    from seatrial.charts.save import to_page_svg

    return to_page_svg(draw())
