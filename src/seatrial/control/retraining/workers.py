"""The threads of retraining under ``seatrial up``: one steps the managers, one carries runs through.

Two, because ML CI and comparing models take minutes, and a schedule that falls due meanwhile must not count as missed.
"""

from __future__ import annotations

from seatrial.control.operations import Operations
from seatrial.control.retraining.desk import launchers
from seatrial.control.retraining.loop import Loop
from seatrial.control.worker import Worker

PAUSE_S, TROUBLE_S = 1.0, 10.0


class Retraining:
    """``start`` and ``stop``, like the other parts beside the controller.

    A replay's managers are stepped when its clock moves, once for every move, and not by a thread.
    """

    def __init__(self, operations: Operations) -> None:
        loop = Loop(operations, launchers())
        self._workers: list[Worker] = [_Carrier(loop)]
        if operations.project.config.clock == "replay":
            operations.followers.append(loop.watch)
        else:
            self._workers.append(_Watcher(loop))

    def start(self) -> None:
        for worker in self._workers:
            worker.__enter__()

    def stop(self) -> None:
        for worker in self._workers:
            worker.__exit__()


class _Watcher(Worker):
    def __init__(self, loop: Loop) -> None:
        super().__init__("retraining: managers", first_s=PAUSE_S, trouble_s=TROUBLE_S)
        self._loop = loop

    def turn(self) -> float:
        self._loop.watch()
        return PAUSE_S


class _Carrier(Worker):
    def __init__(self, loop: Loop) -> None:
        super().__init__("retraining: runs", first_s=PAUSE_S, trouble_s=TROUBLE_S)
        self._loop = loop

    def turn(self) -> float:
        self._loop.carry()
        return PAUSE_S
