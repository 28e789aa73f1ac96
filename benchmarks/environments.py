"""Rivals in Python that must not share seatrial's packages: each in an environment of its own, made when needed."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.machine import Missing

HOME = Path(sys.prefix) / "rivals"
"""Inside seatrial's own environment: ``make clean`` takes them with it."""


def python_of(name: str, requirements: Path, *, make: bool) -> Path:
    """The interpreter of an environment with these requirements.

    Raises Missing where there is none and ``make`` is false, or where its packages cannot be installed.
    """
    home = HOME / name
    python, done = home / "bin" / "python", home / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    if not make:
        raise Missing(f"{name} is not installed; a run without --quick installs it")
    print(f"... installing {name} into {home}", file=sys.stderr, flush=True)
    venv.create(home, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        raise Missing(f"{name} cannot be installed: {' '.join(command)}")
    done.write_text(wanted, encoding="utf-8")
    return python
