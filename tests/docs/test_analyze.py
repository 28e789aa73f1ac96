"""The example of docs/analyze.md, typed as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "analyze.md").read_text(encoding="utf-8")


def typed(capsys: pytest.CaptureFixture[str], block: str) -> tuple[int, str]:
    """Exit code and output of the last command of a block."""
    code = 0
    for line in block.replace("\\\n", " ").splitlines():
        command, *words = shlex.split(line)
        if command == "python":
            subprocess.run([sys.executable, *words], check=True)
            continue
        with pytest.raises(SystemExit) as left:
            main(words)
        code = int(left.value.code or 0)
    return code, capsys.readouterr().out


def test_the_example_says_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    good, worse = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    code, said = typed(capsys, good)
    assert code == 0
    for line in shown.splitlines():
        assert line == "..." or line in said.splitlines()
    code, said = typed(capsys, worse)
    assert code == 3
    assert '"result": "fail"' in said
