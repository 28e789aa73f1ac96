"""``seatrial model anchor``: the fixed version that all releases of a model are held against together."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of


def anchor(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int | None, typer.Argument(help="From now on this one; it was or is the champion.")] = None,
    reason: Annotated[str, typer.Option(help="Why what was lost before it does not count any more.")] = "",
    as_json: output.Json = False,
) -> None:
    """Which version releases are held against together, or another one from now on.

    Each release may lose a margin; all since the anchor may lose erosionAtMost margins (3x). By default the anchor is
    the first champion. Setting one writes off what was lost before it: it needs a reason, and is audited.
    """
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.anchors import anchor_document
    from seatrial.control.operations import Operations

    project = project_of(context)
    if version is None:
        with opened(project) as store, store.read() as tx:
            document = anchor_document(tx, name)
    else:
        try:
            document = Client(project).put(f"/v1/models/{name}/anchor", {"version": version, "reason": reason})
        except NotRunning:
            with opened(project) as store:
                document = Operations(project, store).anchor(name, version, reason=reason, actor=actor())
    if as_json:
        output.data(document)
    else:
        output.text(_line(document))


def _line(d: dict[str, Any]) -> str:
    if d["anchor"] is None:
        return f"{d['model']} has no champion yet, and no anchor"
    since = f", set by {d['setBy']}: {d['reason']}" if d["setBy"] else ""
    releases = f"{len(d['releases'])} release{'s' * (len(d['releases']) != 1)} since"
    return f"{d['model']}: v{d['anchor']} is the anchor{since}; {releases}, v{d['champion']} serves"
