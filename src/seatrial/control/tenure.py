"""When a controller may begin: it has the project's directory, and the lease in the store.

The directory is held by a lock of the operating system, because the files in it (capture positions, journal, pids) know
no lease; the kernel drops it with the process, and with nothing else. The lease stands between directories: two
machines on one PostgreSQL.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from seatrial.control.controller import Controller
from seatrial.control.project import Project
from seatrial.errors import Conflict, Unavailable
from seatrial.gateway.files import locked
from seatrial.store.leases import LeaseHeld

log = logging.getLogger("seatrial.control")

STANDBY_S = 1.0
PID_FILE = "control.pid"


@contextmanager
def directory_held(project: Project, *, wait: bool = False) -> Iterator[None]:
    """Be the only control plane of this directory. Raises Conflict for a second one, unless it waits."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(project.run / "control.lock", wait=False))
                break
            except BlockingIOError:
                if not wait:
                    raise _held_by_other(project) from None
            time.sleep(STANDBY_S)
        yield


def wait_for_lease(controller: Controller) -> None:
    """Until no other controller holds the lease: a standby. A store that is away is waited for as well."""
    told = ""
    while True:
        try:
            controller.take_lease()
            return
        except (LeaseHeld, Unavailable) as error:
            if error.code != told:
                log.info("waiting as a standby: %s", error.message)
            told = error.code
        time.sleep(STANDBY_S)


def _held_by_other(project: Project) -> Conflict:
    try:
        who = f"process {(project.run / PID_FILE).read_text().split()[0]}"
    except (OSError, IndexError):
        who = "a process that is starting"
    return Conflict(
        "ST0626",
        f"the control plane of {project.root} runs already: {who}.",
        remedy="`seatrial down` ends it. If it does not answer (stopped, hung), kill it: traffic flows on.",
    )
