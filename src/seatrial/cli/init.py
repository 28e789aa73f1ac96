"""``seatrial init``: a new project from a few answers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened
from seatrial.errors import Conflict, UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project

API_PORT, GATEWAY_PORT = 8700, 8710


@dataclass(frozen=True, slots=True)
class Answers:
    """What is asked: the project's name, what serves today (a model and its URL), what is learnt about predictions."""

    name: str
    url: str
    model: str
    outcome: str


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where.")] = Path(),
    name: Annotated[str, typer.Option(help="The project's name.", show_default="the directory's")] = "",
    url: Annotated[str, typer.Option(metavar="URL", help="What serves today; it is adopted as version 1.")] = "",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The name of the model at --url.", show_default="the project's")
    ] = "",
    outcome: Annotated[
        str, typer.Option(metavar="NAME", help="What you learn later about a prediction (0 or 1), e.g. bought.")
    ] = "",
    api_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of pages and API.")] = API_PORT,
    gateway_port: Annotated[int, typer.Option(min=1, max=65535, help="Port that clients call.")] = GATEWAY_PORT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is not given has its default.")] = False,
) -> None:
    """Make a project: seatrial.yaml and plans to start from. On a terminal it asks for what was not given."""
    from seatrial.cli.templates import files
    from seatrial.control.project import Project

    _refuse_existing(directory)
    given = Answers(name or directory.resolve().name or "project", url, model, outcome)
    answers = given if yes or not sys.stdin.isatty() else _ask(given, named=bool(name))
    if answers.model and not answers.url:
        raise UsageError("ST0885", f"model '{answers.model}': where it serves is not said.", remedy="Add --url URL.")
    served = _checked(answers) if answers.url else ""
    made = files(name=answers.name, api_port=api_port, gateway_port=gateway_port, outcome=answers.outcome)
    for path, text in made.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8")
    project = Project.open(directory)
    project.prepare()
    (project.state / ".gitignore").write_text("*\n", encoding="utf-8")
    output.text(f"✔ project '{project.config.project}' in {project.root}: {', '.join(made)}")
    if served:
        _adopt(project, served, answers.url)
    _warn_of_ports(project)
    _say_next(directory, served)


def _refuse_existing(directory: Path) -> None:
    from seatrial.cli.templates import files
    from seatrial.control.project import CONFIG_FILE

    for path in files(name="", api_port=API_PORT, gateway_port=GATEWAY_PORT):
        if (directory / path).exists():
            there = "Run commands in it, or" if path == CONFIG_FILE else "Move it away, or"
            raise Conflict(
                "ST0863", f"'{directory / path}' is there already; nothing was changed.",
                remedy=f"{there} choose another directory: `seatrial init DIR`.",
            )  # fmt: skip


def _ask(given: Answers, *, named: bool) -> Answers:
    """What was not given on the command line; Enter takes what is in brackets."""
    name = given.name if named else typer.prompt("Name of the project", default=given.name)
    url = given.url or _optional("URL that serves your model today, e.g. http://127.0.0.1:9000 (Enter: none yet)")
    model = given.model
    if url and not model:
        model = typer.prompt("Name of that model", default=_as_model(name))
    outcome = given.outcome or _optional("What you learn later about a prediction, e.g. bought (Enter: nothing yet)")
    return Answers(name, url, model, outcome)


def _optional(question: str) -> str:
    answer: str = typer.prompt(question, default="", show_default=False)
    return answer.strip()


def _as_model(name: str) -> str:
    """The nearest name that a model may have."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return kept.strip("-")[:63] or "model"


def _checked(answers: Answers) -> str:
    """The model's name, if name and URL are legal: an error now leaves no half-made project."""
    from seatrial.registry.version import Serving, check_name

    Serving(kind="url", url=answers.url)
    return check_name(answers.model or _as_model(answers.name))


def _adopt(project: Project, model: str, url: str) -> None:
    from seatrial.cli.doctor.endpoints import answers
    from seatrial.control.operations import Operations

    with opened(project) as store:
        Operations(project, store).adopt(model, url, actor=actor())
    output.text(f"✔ {model} v1 at {url} is the champion")
    if problem := answers(url):
        output.note(f"⚠ {url} {problem}. It is needed once traffic flows.")


def _warn_of_ports(project: Project) -> None:
    from seatrial.cli.doctor.running import can_bind

    for name, address in (("api", project.config.api), ("gateway", project.config.gateway)):
        if not can_bind(address):
            output.note(f"⚠ port {address.port} is taken by another program: set another {name}.port in seatrial.yaml.")


def _say_next(directory: Path, served: str) -> None:
    here = directory.resolve() == Path.cwd()
    command = "seatrial" if here else f"seatrial --project {directory}"
    steps = {f"{command} up": "start the gateway and the control plane"}
    if not served:
        steps[f"{command} model adopt NAME --url http://HOST:PORT"] = "what serves today becomes the champion"
    model = served or "NAME"
    steps[f"{command} model register {model} --url http://HOST:PORT"] = "the next version, with where it came from"
    steps[f"{command} plan explain {directory / 'plans' / 'standard.yaml'}"] = "what a release will go through"
    width = max(map(len, steps))
    output.text("\n".join(["", "Next:", *(f"  {step:<{width}}  {what}" for step, what in steps.items())]))
