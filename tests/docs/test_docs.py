"""The words are held to the code: commands exist, plans are valid, code compiles, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from seatrial.api.bodies import read_lineage
from seatrial.ci.pipeline import pipeline_of
from seatrial.cli import main
from seatrial.cli.app import tree
from seatrial.control.analyses.triggers import parse_policy
from seatrial.control.changes.envelopes import envelope_in
from seatrial.control.changes.rules import rules_in
from seatrial.control.project import Project
from seatrial.errors import Exit
from seatrial.events.schema import event_schema
from seatrial.governance.change_rules import Rules
from seatrial.registry.lineage import missing
from seatrial.retrain.lint import lint
from seatrial.rollout.metric import Kind, Metric
from seatrial.rollout.plan import Analysis, Plan, Step
from seatrial.rollout.rules import RULES
from seatrial.rollout.verdicts import VERDICT_OF, Action, Verdict
from seatrial.serving import rules_lint
from seatrial.serving.rules import Scorecard
from seatrial.store.plans import check_plan, parse_plan
from seatrial.training.result import read_result
from seatrial.values import to_camel

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"))
)
TREE: Any = tree()


@dataclass(frozen=True)
class Block:
    """A fenced block: ``info`` is what stands behind the fence."""

    page: Path
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path) -> Iterator[Block]:
    text = read(page)
    for found in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1].strip(), found[2])


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)


BLOCKS = [block for page in PAGES for block in blocks(page)]


def marked(*infos: str) -> Any:
    return pytest.mark.parametrize("block", [b for b in BLOCKS if b.info in infos], ids=str)


def commands(block: Block) -> Iterator[list[str]]:
    """Arguments of each ``seatrial`` command line of a shell block."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        words = [*takewhile(lambda word: word not in ("||", "&&", "|", "&", ";"), words)]
        if words and Path(words[0]).name == "seatrial":
            yield words[1:]


def parse(words: list[str]) -> None:
    """What the command line would do with these words before it does anything."""
    command, context = TREE, TREE.make_context("seatrial", list(words))
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, list(rest), parent=context)


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words begin with, and the words that are left."""
    command: Any = TREE
    while hasattr(command, "commands"):
        assert words, f"{command.name} needs a subcommand"
        assert words[0] in command.commands, f"no command {words[0]!r}; there are {', '.join(command.commands)}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def leaves(command: Any = TREE, path: tuple[str, ...] = ("seatrial",)) -> Iterator[str]:
    for name, below in getattr(command, "commands", {}).items():
        yield from leaves(below, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path)


# ── code ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@marked("bash", "console")
def test_command_lines_parse(block: Block) -> None:
    for words in commands(block):
        try:
            parse(words)
        except Exception as error:
            pytest.fail(f"{block}: seatrial {shlex.join(words)}: {error}")


def test_a_command_line_that_is_wrong_would_be_found() -> None:
    for words in (["rollout", "begin"], ["rollout", "get", "r-1", "--wait"], ["kill", "fraud"], ["plan", "validate"]):
        with pytest.raises(Exception, match=r"(?i)no such|missing"):
            parse(words)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_in_the_text_exist(page: Path) -> None:
    for text in re.findall(r"`seatrial ((?:[a-z]|--)[^`]*)`", prose(page)):
        words = text.split()
        if words[0].startswith("--"):
            continue
        command, rest = leaf(words) if words[0] in TREE.commands else (None, [])
        assert command is not None, f"{page}: `seatrial {text}`"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        unknown = [word for word in rest if word.startswith("--") and word not in known]
        assert not unknown, f"{page}: `seatrial {text}`: {unknown}"


def test_every_command_is_in_the_page_of_commands() -> None:
    page = read("docs/cli.md")
    assert [path for path in leaves() if f"`{path}" not in page] == []


@marked("python")
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@marked("yaml plan")
def test_plans_can_be_honoured(block: Block) -> None:
    check_plan(parse_plan(block.text, source=str(block)))


@marked("yaml config")
def test_project_files_are_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "seatrial.yaml").write_text(block.text)
    Project.open(tmp_path)


@marked("yaml scorecard")
def test_scorecards_can_be_set(block: Block) -> None:
    rules_lint.check(Scorecard.parse(block.text, str(block)))


@marked("yaml lineage")
def test_lineages_are_complete(block: Block) -> None:
    assert missing(read_lineage(yaml.safe_load(block.text))) == ()


@marked("yaml ci")
def test_pipelines_can_be_honoured(block: Block) -> None:
    assert pipeline_of(yaml.safe_load(block.text), source=str(block)).blocking


@marked("yaml triage")
def test_rules_of_triage_are_read(block: Block) -> None:
    assert rules_in(block.text, source=str(block)) != Rules()


@marked("yaml envelope")
def test_envelopes_can_be_declared(block: Block) -> None:
    assert envelope_in(block.text, source=str(block)).modifications


@marked("yaml retraining")
def test_policies_of_retraining_are_read(block: Block) -> None:
    policy = parse_policy(block.text, str(block))
    assert [found for found in lint(policy) if found.level == "error"] == []


@marked("json training-result")
def test_results_of_training_are_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "model.skops").touch()
    (tmp_path / "result.json").write_text(block.text)
    assert read_result(tmp_path / "result.json")[1].name == "model.skops"


def test_every_block_says_what_it_is() -> None:
    kinds = {"bash", "console", "python", "text", "json training-result"}
    kinds |= {f"yaml {kind}" for kind in ("plan", "config", "lineage", "ci", "scorecard", "triage", "envelope")}
    kinds |= {"yaml retraining"}
    assert [f"{block}: {block.info}" for block in BLOCKS if block.info not in kinds] == []


# ── really run ─────────────────────────────────────────────────────────────────────────────────────────────────────


def run(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert left.value.code in (0, None), said.err
    return said.out


def test_a_new_project_and_the_plans_of_the_book(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "shop"
    assert "plans/standard.yaml" in run(capsys, "init", project)
    assert "project: shop" in run(capsys, "--project", project, "config", "show")
    assert '"project"' in run(capsys, "config", "schema")
    assert '"steps"' in run(capsys, "plan", "schema")
    plans = [project / "plans" / "standard.yaml", ROOT / "src/seatrial/demo/plan.yaml"]
    for n, block in enumerate(b for b in BLOCKS if b.info == "yaml plan"):
        plans.append(tmp_path / f"{n}.yaml")
        plans[-1].write_text(block.text)
    assert len(plans) > 2
    for plan in plans:
        assert "can be honoured" in run(capsys, "plan", "validate", plan)
        assert "Strikes" in run(capsys, "plan", "explain", plan)


# ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def first_cells(page: str, heading: str) -> list[str]:
    """Code words in the first column of the tables between a heading and the next."""
    section = re.split(r"^#+ ", read(page).partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [row for row in section.splitlines() if row.startswith("| ")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_rules_are_listed_in_their_order() -> None:
    assert first_cells("docs/concepts.md", "## The order of rules") == [rule.__name__ for rule in RULES]


def test_words_of_judgement_are_all_there() -> None:
    listed = first_cells("docs/concepts.md", "## Numbers, verdicts, actions")
    assert set(listed) == {"ok", *VERDICT_OF, *get_args(Verdict), *get_args(Action)}


def test_every_field_of_a_plan_is_explained() -> None:
    page = read("docs/plans.md")
    names = {to_camel(f.name) for of in (Plan, Metric, Analysis, Step) for f in fields(of)} | set(get_args(Kind))
    assert [name for name in sorted(names) if not re.search(rf"`{name}\b", page)] == []


def test_every_code_of_validation_is_explained() -> None:
    checks = [*(ROOT / "src/seatrial/rollout/validate").glob("*.py")]
    raised = {code for path in checks for code in re.findall(r"ST0\d{3}", path.read_text(encoding="utf-8"))}
    section = read("docs/plans.md").partition("## What validation refuses")[2]
    spans = re.findall(r"ST(\d{4})(?: to ST(\d{4}))?", section)
    listed = {f"ST{n:04}" for low, high in spans for n in range(int(low), int(high or low) + 1)}
    assert sorted(raised - listed) == []


def test_exit_codes_are_listed() -> None:
    section = read("docs/cli.md").partition("## Exit codes")[2].partition("## ")[0]
    assert re.findall(r"^\| (\d) \|", section, re.MULTILINE) == [str(int(code)) for code in Exit]


def test_columns_of_events_are_listed() -> None:
    listed = first_cells("docs/events.md", "## Event schema v1")
    assert [name for name in event_schema(["NAME"]).names if name not in listed] == []


def test_every_line_of_the_doctor_is_explained() -> None:
    listed = set(first_cells("docs/operations.md", "## What doctor finds"))
    sources = "".join(path.read_text() for path in (ROOT / "src/seatrial/cli/doctor").glob("*.py"))
    written = set(re.findall(r'\b(?:fine|warning|error)\(\s*"([a-z ]+)"', sources))
    assert written <= listed
    assert listed - written == {"champion", "standby", "api port", "gateway port"}, "named by what they are of"


# ── links ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def anchors(page: Path) -> set[str]:
    """Anchors as GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page.parent / path).resolve() if path else ROOT / page
        assert found.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(found.relative_to(ROOT)), f"{page}: {target}"


def test_every_test_that_the_docs_name_exists() -> None:
    named = {name for path in PAGES for name in re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", read(path))}
    assert len(named) > 15
    assert [f"{file}::{test}" for file, test in sorted(named) if f"def {test}(" not in read(file)] == []
