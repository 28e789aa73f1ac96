"""The pages of drift and cadence: what they print is what is said, and a triggers' history is as it is shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from commandline import run_command

DOCS = Path(__file__).parents[2] / "docs"
CADENCE = (DOCS / "cadence.md").read_text(encoding="utf-8")
SHOWN = [
    (command, output)
    for block in re.findall(r"^```console\n(.*?)^```$", CADENCE, re.MULTILINE | re.DOTALL)
    for command, output in re.findall(r"^\$ seatrial ([^\n]*)\n(.*?)(?=^\$ |\Z)", block, re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command[:40] for command, _ in SHOWN])
def test_the_commands_print_what_is_shown(
    command: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    history = re.search(r"^\$ cat history.yaml\n(.*?)^\$", CADENCE, re.MULTILINE | re.DOTALL)
    assert history is not None
    Path("history.yaml").write_text(history[1])
    Path("churn.yaml").write_text(run_command(capsys, "trigger", "templates", "driver-churn"))
    said = [line.rstrip() for line in run_command(capsys, *shlex.split(command)).splitlines()]
    shown = [line.rstrip() for line in output.splitlines()]
    until = shown.index("...") if "..." in shown else len(shown)
    assert said[:until] == shown[:until]
    assert until == len(shown) or len(said) > until


def test_there_is_something_to_run() -> None:
    assert [command.split()[:2] for command, _ in SHOWN] == [
        ["cadence", "optimise"], ["cadence", "compare"], ["trigger", "explain"]]  # fmt: skip


def test_every_measure_is_explained_with_its_least_value() -> None:
    from seatrial.stats.drift.judge import LEAST_VALUES

    rows = dict(re.findall(r"^\| `(\w+)` \| [a-z]+ \| ([\d.]+) \|", (DOCS / "drift.md").read_text(), re.MULTILINE))
    assert {name: float(value) for name, value in rows.items()} == LEAST_VALUES
