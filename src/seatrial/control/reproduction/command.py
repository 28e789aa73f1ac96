"""The training command of a version, run again."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

TAIL_CHARS: Final = 400
_KEPT: Final = ("HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_NUMERIC: Final = ("OPENBLAS_", "OMP_", "MKL_", "BLIS_", "NVPL_BLAS_")
"""Settings by which libraries of linear algebra choose kernels and threads, and so the last bits of their sums."""


def run_again(command: tuple[str, ...], directory: Path, *, python: Path, log: Path, timeout_s: float) -> str:
    """Run it, with ``python`` first on the path and no secrets in the environment; returns what went wrong, or nothing.

    All that it prints is in ``log``. What runs too long is ended with all it started.
    """
    environment = {n: value for n, value in os.environ.items() if n in _KEPT or n.startswith(_NUMERIC)}
    environment["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return f"does not start: {error.strerror}"
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"not done after {timeout_s:g} s"
    return "" if code == 0 else f"exit {code}: {_tail(log)}"


def _tail(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return text[-TAIL_CHARS:] or "it printed nothing"
