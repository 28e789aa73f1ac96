"""``seatrial access``: people and pipelines with a token of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.registry.people import Role

if TYPE_CHECKING:
    from seatrial.values import Duration

app = typer.Typer(help="People and pipelines with a token of their own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Who; this is the actor in the audit log.")]


@app.command("grant")
def grant(
    context: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may do; reporter: send outcomes, nothing else.")],
    expires: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long the token holds, e.g. 90d.", show_default="for ever"),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Give somebody a role and a token, which is shown once. Again: a new role and a new token, the old one ends."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control import access

    project = project_of(context)
    span, now = _span(expires), datetime.now(UTC)
    body: dict[str, Any] = {"name": name, "role": role.value, "expires": None if span is None else str(span)}
    try:
        document = Client(project).post("/v1/access", body)
    except NotRunning:
        with opened(project) as store:
            document = access.grant_document(access.grant(store, name, role, expires=span, actor=actor(), now=now), now)
    if as_json:
        output.data(document)
        return
    until = document["expires"] or "until it is revoked"
    output.note(f"{name} is {role.value}, {until}. The token is shown only now; use it as SEATRIAL_TOKEN:")
    output.text(document["token"])


@app.command("list")
def list_access(context: typer.Context, as_json: output.Json = False) -> None:
    """Who has access, and until when."""
    from seatrial.cli import tables
    from seatrial.control import access

    with opened(project_of(context)) as store:
        document = access.listed(store, datetime.now(UTC))
    if as_json:
        output.data(document)
    else:
        output.show(tables.people(document))


@app.command("revoke")
def revoke(context: typer.Context, name: Name, as_json: output.Json = False) -> None:
    """End somebody's token, and what they are logged in with, at once."""
    from urllib.parse import quote

    from seatrial.cli.client import Client, NotRunning
    from seatrial.control import access

    project = project_of(context)
    try:
        document = Client(project).delete(f"/v1/access/{quote(name, safe='')}")
    except NotRunning:
        with opened(project) as store:
            access.revoke(store, name, actor=actor(), now=datetime.now(UTC))
        document = {"schema": "seatrial.revoked.v1", "name": name}
    if as_json:
        output.data(document)
    else:
        output.text(f"✔ {name} has no access any more")


def _span(text: str | None) -> Duration | None:
    from seatrial.errors import UsageError
    from seatrial.values import Duration

    try:
        return None if text is None else Duration.parse(text)
    except ValueError as error:
        raise UsageError("ST0859", f"--expires: {error}.", remedy="e.g. --expires 90d") from None
