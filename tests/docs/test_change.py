"""The page of changes: its commands print what is shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from commandline import run_command

PAGE = (Path(__file__).parents[2] / "docs" / "change.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^```console\n\$ seatrial ([^\n]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command[:20] for command, _ in SHOWN])
def test_the_commands_print_what_is_shown(
    command: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(capsys, *shlex.split(command)) == output


def test_there_is_something_to_run() -> None:
    assert [command.split()[:2] for command, _ in SHOWN] == [["change", "triage"], ["calc", "review-capacity"]]
