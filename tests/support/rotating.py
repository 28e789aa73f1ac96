"""A process that does nothing but read and rotate the capture log, until it is killed."""

from __future__ import annotations

import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

from seatrial.control.offline import in_its_place
from seatrial.control.project import Project
from seatrial.store.db import Store


def rounds(root: str) -> None:
    project = Project.open(Path(root))
    with Store.open(project.store_url) as store, in_its_place(project, store) as controller:
        while True:
            controller._drain()


def started(project: Project) -> BaseProcess:
    """The process; forked from a server that has imported everything, so that it is there at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["seatrial.control.offline"])
    process = context.Process(target=rounds, args=(str(project.root),), daemon=True)
    process.start()
    return process
