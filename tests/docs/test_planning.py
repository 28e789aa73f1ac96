"""The page on planning says what the command says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from seatrial.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(yaml plan|bash|text)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_command_that_needs_no_log_runs_and_says_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catalog.yaml").write_text(next(text for kind, text in BLOCKS if kind == "yaml plan"))
    said = []
    for line in (line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()):
        if "--model" not in line:
            with pytest.raises(SystemExit) as left:
                main(shlex.split(line)[1:])
            answer = capsys.readouterr()
            assert left.value.code in (0, None), f"{line}: {answer.err}"
            said.append(answer.out)
    assert len(said) == 4
    shown = next(text for kind, text in BLOCKS if kind == "text")
    assert [line.rstrip() for line in said[0].splitlines()] == shown.splitlines()
    assert (tmp_path / "power.svg").exists()
