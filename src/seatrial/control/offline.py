"""Work that is the control plane's, done while none runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seatrial.control.controller import Controller
from seatrial.control.project import Project
from seatrial.control.tenure import directory_held
from seatrial.store.db import Store


@contextmanager
def in_its_place(project: Project, store: Store) -> Iterator[Controller]:
    """A controller that has the project to itself and starts nothing. Raises Conflict where one runs already."""
    project.prepare()
    with directory_held(project):
        controller = Controller(project, store)
        controller.take_lease()
        try:
            yield controller
        finally:
            controller.stop()
