"""``seatrial mlflow``: what is published in MLflow, what is asked there, and models of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="MLflow: what is published there, and what is asked there.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="The model here.")]


@app.command("status")
def status(context: typer.Context, as_json: output.Json = False) -> None:
    """What MLflow shows of each linked model, what waits to be written, and what was asked for."""
    from seatrial.control.mlflow.documents import status_document

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = status_document(tx, project)
    if as_json:
        output.data(document)
        return
    if document["trouble"]:
        output.text(f"⚠ since {document['since']}: {document['trouble']}")
    output.show(_models(document))
    if document["requests"]:
        output.show(_requests(document))


@app.command("sync")
def sync(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Write every tag anew, whoever changed it.")] = False,
    as_json: output.Json = False,
) -> None:
    """Look at MLflow now, not at the next poll."""
    from seatrial.cli.client import Client

    document = Client(project_of(context)).post(f"/v1/mlflow/sync?full={str(full).lower()}")
    if as_json:
        output.data(document)
        return
    done = ", ".join(f"{document[what]} {what}" for what in ("requests", "aliases", "tags", "evidence"))
    output.text(f"✔ in step with MLflow: {done}")
    for trouble in document["troubles"]:
        output.text(f"⚠ {trouble}")


@app.command("link")
def link(
    context: typer.Context,
    model: Model,
    registered: Annotated[str, typer.Argument(help="The registered model in MLflow.")],
    champion: Annotated[
        int | None,
        typer.Option(min=1, help="The version there that the champion here is.", show_default="what @champion names"),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Publish a model in MLflow, and heed what is asked there: from now on @champion is moved by rollouts."""
    from seatrial.cli.client import Client, NotRunning

    project = project_of(context)
    try:
        document = Client(project).put(f"/v1/models/{model}/mlflow", {"registered": registered, "champion": champion})
    except NotRunning:
        from seatrial.api.mlflow import linked_document
        from seatrial.control.mlflow import linking
        from seatrial.control.operations import Operations

        project.prepare()
        with opened(project) as store:
            now = Operations(project, store).clock.now()
            tracking = linking.tracking_of(project)
            number = linking.link(
                project, store, tracking, model, registered, champion=champion, actor=actor(), now=now
            )
        document = linked_document(model, registered, number)
    if as_json:
        output.data(document)
        return
    number = document["champion"]
    known = (
        f"its champion is version {number} there"
        if number
        else "its champion is no version there, so @champion stays as it is until a rollout is promoted"
    )
    output.text(f"✔ {model} is linked to '{registered}': {known}")


@app.command("register")
def register(
    context: typer.Context,
    model: Model,
    uri: Annotated[str, typer.Argument(help="models:/NAME/3, models:/m-ID or runs:/RUN/PATH.")],
    pin: Annotated[bool, typer.Option("--pin", help="Look an alias up now, and keep the version it names.")] = False,
    url: Annotated[
        str, typer.Option(help="Where it is served.", show_default="its tag seatrial.url, else a host here")
    ] = "",
    as_json: output.Json = False,
) -> None:
    """Add a version of what MLflow has, with the lineage that its run tells."""
    from seatrial.cli.client import Client, NotRunning

    project = project_of(context)
    try:
        document: dict[str, Any] = Client(project).post(
            f"/v1/models/{model}/mlflow/versions", {"uri": uri, "pin": pin, "url": url}
        )
    except NotRunning:
        from seatrial.control.documents import views
        from seatrial.control.mlflow import linking
        from seatrial.control.operations import Operations

        project.prepare()
        with opened(project) as store:
            tracking = linking.tracking_of(project)
            version, remark = linking.register(
                Operations(project, store), tracking, model, uri, resolved=pin, url=url, actor=actor()
            )
        document = {**views.version_document(version), "remark": remark or None}
    if as_json:
        output.data(document)
        return
    output.text(f"✔ {model} v{document['version']} is {document['tags'].get('mlflow.uri', uri)}")
    if document["remark"]:
        output.text(f"⚠ {document['remark']}")


def _models(document: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table("model", "registered", "versions", "aliases", "waiting", box=None, pad_edge=False)
    for m in document["models"]:
        aliases = ", ".join(_alias(one) for one in m["aliases"] if one["truth"] or one["published"] or not one["known"])
        versions = ", ".join(f"{number} is v{version}" for number, version in m["versions"].items())
        waiting = m["tagsWaiting"] + m["evidenceWaiting"] + sum(not one["inOrder"] for one in m["aliases"])
        table.add_row(m["model"], m["registered"], versions or "-", aliases or "-", str(waiting))
    return table


def _alias(one: dict[str, Any]) -> str:
    if not one["known"]:
        return f"@{one['alias']} left as it is"
    return f"@{one['alias']} {one['truth'] or 'none'}" + ("" if one["inOrder"] else " (waits)")


def _requests(document: dict[str, Any]) -> Table:
    from rich.table import Table

    table = Table("asked", "model", "version", "by", "", box=None, pad_edge=False)
    for one in document["requests"]:
        table.add_row(one["askedAt"], one["model"], str(one["version"]), one["via"], one["text"] or one["state"])
    return table
