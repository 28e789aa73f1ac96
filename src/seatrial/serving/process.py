"""Model hosts as processes: started in a session of their own, adopted when they are already there, stopped by id."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial import processes
from seatrial.errors import Unavailable
from seatrial.serving.spec import HostSpec, Reading

STALE_GRACE_S = 2.0
"""For a host that could not be adopted: it hangs, or serves something else."""

_POLL_S = 0.05
_LOG_LIMIT = 8 * 2**20
_INHERITED = (
    "PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class _Running:
    """What the pid file says. ``started`` tells a process from a later one with the same number."""

    pid: int
    started: str
    port: int
    digest: str


class HostProcess:
    """One model host and its directory (``spec.json``, ``host.pid``, ``stdout.log``, ``stderr.log``).

    A host outlives the process that started it; ``adopt`` finds it again.
    """

    def __init__(self, spec: HostSpec, directory: Path) -> None:
        self.spec = spec
        self.directory = directory
        self._running: _Running | None = None

    @property
    def pid(self) -> int | None:
        return self._running.pid if self._running else None

    @property
    def port(self) -> int:
        """Where it listens; 0 before the first start when the spec leaves the choice."""
        return self._running.port if self._running else self.spec.port

    @property
    def url(self) -> str:
        return f"http://{self.spec.host}:{self.port}"

    def start(self) -> None:
        """Start a new process and return at once; ``ready`` waits for it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        port = self.spec.port or processes.free_port(self.spec.host)
        spec_file = self._write_spec(port)
        with self._log("stdout.log").open("ab") as out, self._log("stderr.log").open("ab") as err:
            child = subprocess.Popen(
                [sys.executable, "-I", "-m", "seatrial.serving", str(spec_file.resolve())],
                cwd=self.directory,
                env=scrubbed_environment(self.directory),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        processes.mine(child)
        self._running = _Running(child.pid, processes.started(child.pid), port, self.spec.digest())
        _write(self._pid_file, json.dumps(dataclasses.asdict(self._running)))

    def adopt(self) -> bool:
        """Take over a healthy host of the same spec that an earlier process started; false when there is none.

        One that only reads bodies in another way is told to read them so. A proxy is healthy when it answers: whether
        the foreign server does is not its doing.
        """
        running = self._recorded()
        if running is None or self.spec.port not in (0, running.port) or not _is_alive(running):
            return False
        answer = host_info(self.spec.host, running.port)
        if answer is None or answer.get("pid") != running.pid or not (answer.get("ready") or self.spec.kind == "proxy"):
            return False
        if answer.get("digest") != self.spec.digest():
            answer = self._told_to_reread(running)
        if answer is None or answer.get("digest") != self.spec.digest():
            return False
        self._adopt(running)
        return True

    def reread(self, reading: Reading) -> bool:
        """Change how the host reads bodies, without a restart and without losing a request.

        One that is not alive will be started so. False where the host does not take it; then only a restart helps.
        """
        self.spec = self.spec.read_as(reading)
        if self._running is None or not self.alive():
            return True
        answer = self._told_to_reread(self._running)
        if answer is None or answer.get("digest") != self.spec.digest():
            return False
        self._adopt(self._running)
        return True

    def _told_to_reread(self, running: _Running) -> dict[str, Any] | None:
        self._write_spec(running.port)
        return host_info(self.spec.host, running.port, method="POST")

    def _adopt(self, running: _Running) -> None:
        self._running = dataclasses.replace(running, digest=self.spec.digest())
        _write(self._pid_file, json.dumps(dataclasses.asdict(self._running)))

    def _write_spec(self, port: int) -> Path:
        file = self.directory / "spec.json"
        _write(file, dataclasses.replace(self.spec, port=port).to_json())
        return file

    def ensure(self) -> bool:
        """Adopt a healthy host or replace whatever is left of an earlier one; true when it was adopted."""
        if self.adopt():
            return True
        self.stop(grace=STALE_GRACE_S)
        self.start()
        return False

    def ready(self, timeout: float = 0.0) -> bool:
        """True once the host answers ready, false when ``timeout`` seconds pass.

        Raises ``Unavailable`` when the process has ended, with the last line of its log.
        """
        deadline = time.monotonic() + timeout
        while True:
            if not self.alive():
                raise Unavailable(
                    "ST0760",
                    f"the host of {self.spec.model}/{self.spec.version} ended: {self._last_words()}",
                    remedy=f"Its log is {self.directory / 'stderr.log'}.",
                )
            answer = host_info(self.spec.host, self.port)
            if answer is not None and answer.get("ready") and answer.get("pid") == self.pid:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)

    def alive(self) -> bool:
        return self._running is not None and _is_alive(self._running)

    def stop(self, grace: float = 12.0) -> bool:
        """End the host: SIGTERM, and after ``grace`` seconds SIGKILL. One left by an earlier process is ended too.

        False if none ran.
        """
        running = self._running or self._recorded()
        # The host leads its own session, so the group is exactly its descendants.
        ran = running is not None and processes.stop(running.pid, running.started, grace_s=grace, group=True)
        self._running = None
        with contextlib.suppress(OSError):  # on a disk that takes no more; nobody is taken for what it names
            self._pid_file.unlink()
        return ran

    def kill(self) -> None:
        """End a host that does not answer any more, at once."""
        if self._running is not None:
            processes.kill(self._running.pid, self._running.started, group=True)

    @property
    def _pid_file(self) -> Path:
        return self.directory / "host.pid"

    def _recorded(self) -> _Running | None:
        try:
            return _Running(**json.loads(self._pid_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _log(self, name: str) -> Path:
        """The log file; one generation is kept."""
        path = self.directory / name
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        return path

    def _last_words(self) -> str:
        try:
            lines = (self.directory / "stderr.log").read_bytes()[-16384:].decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        for line in reversed(lines):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
                    return str(entry.get("error") or entry.get("event"))
        return lines[-1] if lines else "it wrote nothing"


def scrubbed_environment(home: Path) -> dict[str, str]:
    """What a host may see: no more than is in a bare environment. One thread each: there are many hosts."""
    return {**bare_environment(home), **dict.fromkeys(_ONE_THREAD, "1")}


def bare_environment(home: Path) -> dict[str, str]:
    """Where programs and the language are. No tokens, no store, no Python path."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "HOME": str(home.resolve())}


def host_info(host: str, port: int, timeout: float = 2.0, *, method: str = "GET") -> dict[str, Any] | None:
    """What the host at this port says about itself; ``None`` when nothing like a host answers."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, "/-/host")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None


def _is_alive(running: _Running) -> bool:
    return processes.running(running.pid, running.started)


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
