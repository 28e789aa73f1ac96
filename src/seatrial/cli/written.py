"""Where a document for people goes: to the terminal, or into a file."""

from __future__ import annotations

import sys
from pathlib import Path

from seatrial.cli import output
from seatrial.errors import UsageError


def written(text: str, out: Path | None) -> None:
    """To stdout, or into a file. Raises UsageError (``ST1509``)."""
    if out is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("ST1509", f"'{out}' cannot be written: {error.strerror}.", remedy="--out FILE") from error
    output.text(f"✔ {out}")


def one_form(**asked: bool) -> None:
    """At most one of these options. Raises UsageError (``ST1510``)."""
    given = [f"--{name}" for name, wanted in asked.items() if wanted]
    if len(given) > 1:
        raise UsageError("ST1510", f"{' and '.join(given)} are two forms of one document.", remedy="Choose one.")
