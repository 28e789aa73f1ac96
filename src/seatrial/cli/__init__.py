"""The command line: nouns, then verbs; thin over the operations and the documents of control.documents.views."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code (errors.Exit)."""
    from seatrial.cli.app import run

    run(arguments)
