"""``seatrial model diff``: what changed between two versions, and what of it a reviewer must look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.registry.flags import THRESHOLD


def diff(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    before: Annotated[int, typer.Argument(help="The version before.")],
    after: Annotated[int, typer.Argument(help="The version after.")],
    threshold: Annotated[str, typer.Option(help="Change of importance that is flagged, exclusive.")] = THRESHOLD,
    as_json: output.Json = False,
) -> None:
    """What changed in code, data, model and features; importances, sources and features to look at are flagged."""
    from seatrial.control.documents.difference import difference

    with opened(project_of(context)) as store, store.read() as tx:
        document = difference(tx, name, before, after, threshold=threshold)
    if as_json:
        output.data(document)
    else:
        output.text("\n".join(_lines(document)))


def _lines(d: dict[str, Any]) -> Iterator[str]:
    yield f"{d['model']} v{d['before']} → v{d['after']}"
    for change in d["changes"]:
        yield f"  {change['part']} {change['what']}: {change['before']} → {change['after']}"
    if not d["changes"]:
        yield "  nothing that is known differs"
    for flag in d["flags"]:
        yield f"⚠ {flag['feature']}: {_told(flag)}"


def _told(flag: dict[str, Any]) -> str:
    if flag["kind"] in ("added", "removed"):
        return str(flag["kind"])
    old, new = ("not known" if value is None else value for value in (flag["old"], flag["new"]))
    relative = "" if flag["relative"] is None else f" ({flag['relative']:+.1%})"
    return f"{flag['kind']} {old} → {new}{relative}"
