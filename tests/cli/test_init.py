"""What ``seatrial init`` writes, and what it asks."""

from __future__ import annotations

import re
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.cli.init import _as_model
from seatrial.cli.templates import files
from seatrial.control.project import Config, Project
from seatrial.registry.version import check_name
from seatrial.rollout.plan import Plan
from seatrial.store.plans import check_plan, parse_plan
from seatrial.values import to_camel

NEW = files(name="shop", api_port=8700, gateway_port=8710)


def uncommented(text: str) -> str:
    """With every setting that stands there as a comment: ``#`` and no space behind it."""
    return re.sub(r"^(\s*)#(?=\S)", r"\1", text, flags=re.MULTILINE)


def read(text: str, directory: Path) -> Config:
    (directory / "seatrial.yaml").write_text(text)
    return Project.open(directory).config


def names(kind: Any, value: Any) -> dict[str, Any]:
    """Settings of a class as a tree of names, as they are written in YAML."""
    return {
        to_camel(f.name): names(type(inner), inner) if is_dataclass(inner := getattr(value, f.name)) and hasattr(
            type(inner), "__pydantic_config__") else None
        for f in fields(kind)
    }  # fmt: skip


def missing(wanted: dict[str, Any], document: Any, path: str = "") -> list[str]:
    """Names that a document does not have."""
    if not isinstance(document, dict):
        return [path]
    found = []
    for key, below in wanted.items():
        if key not in document:
            found.append(f"{path}{key}")
        elif below:
            found += missing(below, document[key], f"{path}{key}.")
    return found


def test_the_settings_that_are_commented_out_are_the_defaults(tmp_path: Path) -> None:
    text = NEW["seatrial.yaml"]
    assert uncommented(text) != text
    assert read(text, tmp_path) == read(uncommented(text), tmp_path) == Config(project="shop")


def test_every_setting_is_in_the_file() -> None:
    document = yaml.safe_load(uncommented(NEW["seatrial.yaml"]))
    assert missing(names(Config, Config(project="shop")), document) == []
    assert missing({"new": None, "api": {"port": None, "more": None}}, document) == ["new", "api.more"]


@pytest.mark.parametrize("path", ["plans/quick.yaml", "plans/standard.yaml"])
def test_what_is_commented_out_in_a_plan_is_the_default(path: str) -> None:
    plain, told = (files(name="s", api_port=1, gateway_port=2, outcome=name)[path] for name in ("", "bought"))
    assert uncommented(told) != told
    assert check_plan(parse_plan(told)) == check_plan(parse_plan(uncommented(told)))
    full = check_plan(parse_plan(uncommented(plain)))
    assert full.metrics[2].outcome == "label", "the metric that is only an example can be honoured, too"
    assert check_plan(parse_plan(plain)) == replace(full, metrics=(*full.metrics[:2], *full.metrics[3:]))
    document = yaml.safe_load(uncommented(plain))
    known = {to_camel(field.name) for field in fields(Plan)} - {"apiVersion", "kind"}
    assert set(document) == known, "every field of a plan is there"


@pytest.mark.parametrize("name", ["shop", "007", "yes", "a: b", "it's", "ä & ö", "[x]", "#1", "null", 'say "x"'])
def test_any_name_is_a_name(name: str, tmp_path: Path, run: Any) -> None:
    assert run("init", tmp_path, "--name", name, "--outcome", name).code == 0
    assert Project.open(tmp_path).config.project == name
    assert check_plan(parse_plan((tmp_path / "plans/quick.yaml").read_text())).metrics[2].outcome == name
    check_name(_as_model(name))


def test_what_serves_today_is_adopted(tmp_path: Path, run: Any) -> None:
    said = run("init", tmp_path, "--name", "Shop 1", "--url", "http://127.0.0.1:9/")
    assert (said.code, "✔ shop-1 v1 at http://127.0.0.1:9/ is the champion" in said.out) == (0, True)
    assert "does not answer" in said.err
    assert run("--project", tmp_path, "model", "show", "shop-1", "--json").json["pointers"]["champion"] == 1


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--url", "localhost:9000"), "ST0122"),
        (("--url", "http://127.0.0.1:9/", "--model", "A_b"), "ST0120"),
        (("--model", "fraud"), "ST0885"),
    ],
)
def test_a_wrong_answer_leaves_nothing_behind(flags: tuple[str, ...], code: str, tmp_path: Path, run: Any) -> None:
    said = run("init", tmp_path / "new", *flags)
    assert (said.code, code in said.err) == (2, True)
    assert not (tmp_path / "new").exists()


def test_on_a_terminal_it_asks_little(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __init__(self, *lines: str) -> None:
            self.lines = [*lines]

        def isatty(self) -> bool:
            return True

        def readline(self, *size: int) -> str:
            return self.lines.pop(0) + "\n"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", terminal := Terminal("", "http://127.0.0.1:9/", "fraud", "chargeback"))
    assert run("init", "shop").code == 0
    assert terminal.lines == []
    assert "outcome: chargeback" in (tmp_path / "shop/plans/quick.yaml").read_text()
    assert [m["name"] for m in run("--project", "shop", "model", "list", "--json").json["models"]] == ["fraud"]
    monkeypatch.setattr(sys, "stdin", Terminal("", "", ""))
    assert run("init", "other").code == 0, "Enter is an answer to everything"
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert run("init", "third", "--yes").code == 0, "nothing is asked"
