"""The page about rankers: its example, its snippet and its table of the log are what is really there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import seatrial as st
from seatrial.cli import main
from seatrial.engines.impressions import PARTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "interleaving.md").read_text(encoding="utf-8")


def test_the_example_says_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    make, analyze = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0].splitlines()
    subprocess.run([sys.executable, ROOT / make.split()[1], "pages.csv"], check=True)
    with pytest.raises(SystemExit) as left:
        main(shlex.split(analyze)[1:])
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert (left.value.code, capsys.readouterr().out) == (0, shown)
    _, snippet = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(snippet, {})
    assert capsys.readouterr().out.startswith("candidate 0.08")


def test_the_snippet_runs_and_every_column_is_explained() -> None:
    snippet, _ = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    printed: list[object] = []
    exec(snippet, {"print": printed.append})
    row = printed[-1]
    assert isinstance(row, dict)
    table = PAGE.partition("### The log")[2].partition("## Which ranker")[0]
    listed = {
        name for cell in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    assert listed == {*row} == {*PARTS, "time"}
    assert st.interleave(["a"], ["b"], salt="s", unit="u", query="q").row().keys() == row.keys()
