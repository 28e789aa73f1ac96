"""The flags of a model's contract, the same on ``model adopt``, ``model register`` and ``model configure``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seatrial.cli.session import opened
from seatrial.errors import UsageError
from seatrial.registry.contract import Contract, WireFormat

if TYPE_CHECKING:
    from seatrial.control.project import Project

PANEL = "What callers and the log agree on"


def _option(kind: Any, flag: str, *, metavar: str | None = None, help: str) -> Any:
    return Annotated[kind | None, typer.Option(flag, metavar=metavar, help=help, rich_help_panel=PANEL)]


_OPTIONS: Final[dict[str, Any]] = {
    "wire": _option(WireFormat, "--wire", help="Wire format; by path and shape of each request without."),
    "score": _option(str, "--score", metavar="POINTER", help="Where the answer has the number: /output."),
    "label": _option(str, "--label", metavar="POINTER", help="Where the answer has the class."),
    "rows": _option(str, "--rows", metavar="POINTER", help="Where a JSON request has its rows: /items."),
    "output_name": _option(str, "--output-name", metavar="NAME", help="The tensor or column that is the answer."),
    "items": _option(str, "--items", metavar="POINTER", help="Where the answer has a ranked list's ids: /items/*/id."),
    "item_scores": _option(str, "--item-scores", metavar="POINTER", help="Where it has their scores."),
    "top_k": _option(int, "--top-k", metavar="N", help="Of a ranked list so many are kept; 10 without."),
    "outcome_key": _option(
        str, "--outcome-key", metavar="FIELD", help="Field of a row that outcomes are reported under."
    ),
    "keep_feature": _option(list[str], "--keep-feature", metavar="NAME", help="Kept in the log; may repeat. '*': all."),
    "retention": _option(str, "--retention", metavar="30d", help="How long predictions are kept."),
}

_FIELDS: Final = {"wire": "format", "output_name": "output", "keep_feature": "features"}
"""Fields of a contract whose flag has another name."""

Given = dict[str, Any]
"""The fields of a contract that were given on the command line."""


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of a contract: it takes what was given as ``given``, in the contract's own fields."""

    @wraps(command)
    def run(**arguments: Any) -> None:
        flags = {name: arguments.pop(name) for name in _OPTIONS}
        command(**arguments, given=_changes(flags))

    own = signature(command, eval_str=True)
    flags = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind) for name, kind in _OPTIONS.items()]
    taken = [one.replace(kind=Parameter.KEYWORD_ONLY) for name, one in own.parameters.items() if name != "given"]
    parameters = [*taken, *flags]
    vars(run)["__signature__"] = own.replace(parameters=parameters)
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _changes(flags: Mapping[str, Any]) -> Given:
    given = {_FIELDS.get(name, name): value for name, value in flags.items() if value is not None and value != []}
    if "features" in given:
        given["features"] = tuple(given["features"])
    if "retention" in given:
        given["retention"] = _duration(given["retention"])
    return given


def agreed(project: Project, model: str, given: dict[str, Any], *, reset: bool = False) -> Contract | None:
    """The model's contract with what was given put over it; None where nothing was. ``reset``: over the defaults."""
    if not given and not reset:
        return None
    return replace(Contract() if reset else _known(project, model), **given)


def lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a contract says, for people: name and value."""
    for name, value in document.items():
        yield name, ", ".join(value) if isinstance(value, list) else str(value)


def _known(project: Project, model: str) -> Contract:
    project.prepare()
    with opened(project) as store, store.read() as tx:
        return next((known.contract for known in tx.models.list_models() if known.name == model), Contract())


def _duration(text: str) -> Any:
    from seatrial.values import Duration

    try:
        return Duration.parse(text)
    except ValueError as error:
        raise UsageError("ST0133", f"--retention {error}.") from None
