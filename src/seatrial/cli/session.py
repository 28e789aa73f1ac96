"""The project a command is about, its store, and who is asking."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.store.db import Store


def project_of(context: typer.Context) -> Project:
    """``--project``, SEATRIAL_PROJECT, or the directory above that holds seatrial.yaml."""
    from seatrial.control.project import Project

    return Project.find(context.find_root().obj or Path.cwd())


@contextmanager
def opened(project: Project) -> Iterator[Store]:
    """The project's store."""
    from seatrial.store.db import Store

    with Store.open(project.store_url) as store:
        yield store


def actor() -> str:
    """The name of the user, as it is written into the audit log."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no account for this user id, as in some containers
        name = "cli"
    return re.sub(r"[^A-Za-z0-9._@+-]", "-", name)[:64] or "cli"
