"""The page of methods: its commands are run and say what it shows, and no function of stats is missing from it."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import seatrial.stats
from seatrial.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(seatrial calc .*)$", PAGE, re.MULTILINE)
SHOWN = re.findall(r"^```bash\n(seatrial calc [^\n]*)\n```\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def said(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        main(shlex.split(command)[1:])
    told = capsys.readouterr()
    assert left.value.code in (0, None), told.err
    return told.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(command, capsys)


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_they_say_what_the_page_shows(command: str, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.rstrip() for line in said(command, capsys).splitlines()]
    assert lines == output.splitlines()


def test_the_documents_have_the_fields_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| (`z`.*|`\w+`, .*) \|$", PAGE, re.MULTILINE))
    assert set(listed) == {command.split()[2] for command in COMMANDS}
    for name, fields in listed.items():
        command = next(c for c in COMMANDS if c.split()[2] == name).removesuffix(" --json")
        assert set(re.findall(r"`(\w+)`", fields)) <= set(json.loads(said(f"{command} --json", capsys)))


def test_there_is_enough_to_run() -> None:
    assert len(COMMANDS) >= 10
    assert len(SHOWN) >= 5
    assert {words.split()[2] for words in COMMANDS} == {"ztest", "noninferiority", "power", "srm", "interval", "psi"}


def test_five_per_cent_takes_as_long_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    half = next(command for command in COMMANDS if "--share 5%" in command)
    assert "6.00 days" in said(half, capsys)
    assert "At 5% it takes 6.00 days" in PAGE


def table() -> list[tuple[list[str], list[str]]]:
    """Functions and reference values of each row of the last table."""
    rows = re.findall(
        r"^\| (`[a-z_]+\.[^|]*) \| [^|]* \| ?([^|]*)\|$", PAGE.partition("## Every function")[2], re.MULTILINE
    )
    return [(re.findall(r"`([^`]+)`", first), re.findall(r"`([^`]+)`", last)) for first, last in rows]


def test_every_public_function_is_listed() -> None:
    public = {
        f"{found.name.removeprefix('seatrial.stats.')}.{name}"
        for found in pkgutil.walk_packages(seatrial.stats.__path__, "seatrial.stats.")
        if found.name != "seatrial.stats.checks"
        for name, function in inspect.getmembers(importlib.import_module(found.name), inspect.isfunction)
        if function.__module__ == found.name and not name.startswith("_")
    }
    assert {name for names, _ in table() for name in names} == public


def test_every_reference_value_that_is_checked_is_listed() -> None:
    checks = (Path(__file__).parents[1] / "stats" / "test_oracles.py").read_text().partition("CHECKS: dict")[2]
    checked = set(re.findall(r'^    "([\w.-]+)": ', checks.partition("\n}\n")[0], re.MULTILINE))
    assert len(checked) > 45
    assert {value for _, values in table() for value in values} == checked


def test_the_example_in_python_runs() -> None:
    block = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[-1]
    printed: list[object] = []
    exec(block, {"print": printed.append})
    assert printed
