"""One command of the program, in this process: its document, once its exit code is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seatrial.cli import main


def run_command(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    """The JSON document that it prints, or its text without ``--json``."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert (ended.value.code or 0) == code, told.err or told.out
    return json.loads(told.out) if "--json" in arguments else told.out
