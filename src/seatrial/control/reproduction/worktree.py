"""The code of a version: its commit, checked out where nothing else lies."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.errors import NotFound, SeatrialError

TIMEOUT_S = 300.0
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


@contextmanager
def checked_out(repository: Path, commit: str, place: Path) -> Iterator[Path]:
    """A worktree of the commit at ``place``, which must not exist. The user's own tree is not touched.

    Raises NotFound: ``ST1585`` for what is no repository, or does not have the commit.
    """
    if not _git(repository, "rev-parse", "--git-dir"):
        raise NotFound("ST1585", f"'{repository}' is no git repository.", remedy="--repository DIRECTORY")
    if not _git(repository, "cat-file", "-t", f"{commit}^{{commit}}"):
        raise NotFound(
            "ST1585", f"the repository '{repository}' does not have the commit {commit}.",
            remedy="git fetch it, or name the repository it is in: --repository DIRECTORY.",
        )  # fmt: skip
    if not _git(repository, *_NO_HOOKS, "worktree", "add", "--detach", "--force", str(place), commit, wordless=True):
        raise SeatrialError("ST1585", f"git cannot check out {commit} of '{repository}' at '{place}'.")
    try:
        yield place
    finally:
        _git(repository, "worktree", "remove", "--force", str(place), wordless=True)


def _git(directory: Path, *arguments: str, wordless: bool = False) -> str:
    """What git says; of what succeeds without words, "done". Empty where it fails."""
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    said = "done" if wordless else done.stdout.decode(errors="replace").strip()
    return said if done.returncode == 0 else ""
