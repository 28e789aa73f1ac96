"""The flags of a model's contract, the same on ``model adopt``, ``model register`` and ``model configure``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli.session import opened
from seatrial.errors import UsageError
from seatrial.registry.contract import Contract, WireFormat

if TYPE_CHECKING:
    from seatrial.control.project import Project

PANEL = "What callers and the log agree on"


def _option(*flags: str, metavar: str | None = None, help: str) -> Any:
    return typer.Option(*flags, metavar=metavar, help=help, rich_help_panel=PANEL)


Wire = Annotated[WireFormat | None, _option("--wire", help="Wire format; by path and shape of each request without.")]
Score = Annotated[str | None, _option("--score", metavar="POINTER", help="Where the answer has the number: /output.")]
Label = Annotated[str | None, _option("--label", metavar="POINTER", help="Where the answer has the class.")]
Rows = Annotated[str | None, _option("--rows", metavar="POINTER", help="Where a JSON request has its rows: /items.")]
OutputName = Annotated[
    str | None, _option("--output-name", metavar="NAME", help="The tensor or column that is the answer.")
]
Items = Annotated[
    str | None, _option("--items", metavar="POINTER", help="Where the answer has a ranked list's ids: /items/*/id.")
]
ItemScores = Annotated[str | None, _option("--item-scores", metavar="POINTER", help="Where it has their scores.")]
TopK = Annotated[int | None, _option("--top-k", metavar="N", help="Of a ranked list so many are kept; 10 without.")]
OutcomeKey = Annotated[
    str | None, _option("--outcome-key", metavar="FIELD", help="Field of a row that outcomes are reported under.")
]
KeepFeature = Annotated[
    list[str] | None, _option("--keep-feature", metavar="NAME", help="Kept in the log; may repeat. '*': all.")
]
Retention = Annotated[str | None, _option("--retention", metavar="30d", help="How long predictions are kept.")]


def changes(
    wire: str | None,
    score: str | None,
    label: str | None,
    rows: str | None,
    output_name: str | None,
    items: str | None,
    item_scores: str | None,
    top_k: int | None,
    outcome_key: str | None,
    keep_feature: Sequence[str] | None,
    retention: str | None,
) -> dict[str, Any]:
    """The fields of a contract that were given."""
    given = {
        "format": wire,
        "score": score,
        "label": label,
        "rows": rows,
        "output": output_name,
        "items": items,
        "item_scores": item_scores,
        "top_k": top_k,
        "outcome_key": outcome_key,
        "features": tuple(keep_feature) if keep_feature else None,
        "retention": None if retention is None else _duration(retention),
    }
    return {name: value for name, value in given.items() if value is not None}


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
