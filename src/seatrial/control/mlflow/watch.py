"""The thread that looks at MLflow again and again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from seatrial.control.worker import Worker
from seatrial.errors import SeatrialError
from seatrial.store.leases import LeaseLost

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

log = logging.getLogger("seatrial.mlflow")

FIRST_S, TROUBLE_S, IDLE_S = 1.0, 60.0, 10.0


class MlflowWatch(Worker):
    """Does nothing, and imports nothing of MLflow, until a model is linked."""

    def __init__(self, operations: Operations) -> None:
        super().__init__("mlflow", first_s=FIRST_S, trouble_s=TROUBLE_S, patient=False)
        self.sync = operations.mlflow
        self._operations, self._failed = operations, ""

    def start(self) -> None:
        """Look again and again, until ``stop``."""
        self.__enter__()

    def stop(self) -> None:
        """What is not published yet is, the next time."""
        self.__exit__()

    def turn(self) -> float:
        settings = self._operations.project.config.mlflow
        if not settings.models and not self._linked():
            return IDLE_S
        try:
            self.sync.round()
            self._failed = ""
        except LeaseLost:
            raise
        except SeatrialError as error:
            if error.message != self._failed:  # an outage of an hour is one entry in the log
                log.warning("%s", error)
            self._failed = error.message
        return settings.poll.seconds

    def _linked(self) -> bool:
        with self._operations.store.read() as tx:
            return bool(tx.mlflow.links())
