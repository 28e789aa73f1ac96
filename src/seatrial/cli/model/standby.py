"""``seatrial model standby``: the way home now and after a promotion, and how fast it is."""

from __future__ import annotations

from typing import Annotated

import typer

from seatrial.cli import amounts, output
from seatrial.cli.session import opened, project_of


def standby(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    measure: Annotated[bool, typer.Option("--measure", help="Measure it now, past the gateway; recorded.")] = False,
    load: Annotated[
        str | None,
        typer.Option(
            metavar="2s", help="With --measure: also how much it can take, so long for each rate up to what users send."
        ),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Who is the way home, how it is kept, whether it answers, and how fast it serves."""
    from seatrial.cli.client import Client
    from seatrial.control.way_home.emergency import clock_of
    from seatrial.control.way_home.upkeep import standby_document
    from seatrial.errors import UsageError
    from seatrial.values import Duration

    project = project_of(context)
    if load is not None and not measure:
        raise UsageError("ST0829", "--load is part of a measurement.", remedy="Add --measure.")
    if measure:
        seconds = 0.0 if load is None else amounts.read("--load", load, Duration.parse, "2s").seconds
        document = Client(project, timeout_s=PATIENCE_S).post(f"/v1/models/{name}/standby", {"load": seconds})
        text = f"{'✔' if document['ready'] else '✖'} {document['text']}"
    else:
        with opened(project) as store, store.read() as tx:
            document = standby_document(tx, project, name, clock_of(project, store).now())
        text = _text(document)
    if as_json:
        output.data(document)
    else:
        output.text(text)


PATIENCE_S = 600.0
"""A cold start may take minutes, and a ramp four steps."""

_READY = {True: "answers", False: "does not answer", None: "is kept cold"}


def _text(document: dict[str, object]) -> str:
    home, ready = document["home"], document["ready"]
    assert ready is None or isinstance(ready, bool)
    lines = [f"{document['model']}: {document['text']}"]
    if home is not None:
        lines.append(f"  the way home is v{home}, which {_READY[ready]}")
    if document["until"] is not None:
        lines.append(f"  v{document['version']} is kept until {document['until']}")
    if document["warning"]:
        lines.append(f"⚠ {document['warning']}")
    return "\n".join(lines)
