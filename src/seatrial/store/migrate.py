"""Bring a database to the schema of this release."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

from seatrial.errors import SeatrialError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0006"
"""The newest revision. Known here so that opening an up-to-date store does not import Alembic."""

_ALEMBIC: Final = threading.Lock()  # its environment is a global of the process


def upgrade(connection: Connection) -> None:
    """Apply what is missing, inside the caller's transaction: a migration is there as a whole or not at all."""
    if current_revision(connection) == HEAD:
        return
    from alembic import command
    from alembic.util import CommandError

    try:
        with _ALEMBIC:
            command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise SeatrialError(
            "ST0610",
            f"the store is at revision {current_revision(connection)}, which this release does not know.",
            remedy="It was written by a newer seatrial: upgrade this installation.",
        ) from error


def current_revision(connection: Connection) -> str | None:
    """The revision the database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def alembic_config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
