"""``seatrial model``: models and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.model import anchor as anchors
from seatrial.cli.model import card as cards
from seatrial.cli.model import contract as contracts
from seatrial.cli.model import difference as differences
from seatrial.cli.model import holdout as holdouts
from seatrial.cli.model import inventory as inventories
from seatrial.cli.model import keygen as keys
from seatrial.cli.model import register as registering
from seatrial.cli.model import reproduce as reproducing
from seatrial.cli.model import safety as safeties
from seatrial.cli.model import standby as standbys
from seatrial.cli.model.arguments import Name, UnitHeader
from seatrial.cli.model.sending import said, say, send
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import UsageError

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Models and their versions.", no_args_is_help=True)
app.command("anchor")(anchors.anchor)
app.command("safety")(safeties.safety)
app.command("diff")(differences.diff)
app.command("standby")(standbys.standby)
app.command("register")(registering.register)
app.command("reproduce")(reproducing.reproduce)
app.command("keygen")(keys.keygen)
app.command("holdout")(holdouts.holdout)
app.command("card")(cards.card)
app.command("declare")(cards.declare)
app.command("inventory")(inventories.inventory)


@app.command("adopt")
@contracts.options
def adopt(
    context: typer.Context,
    name: Name,
    url: Annotated[str | None, typer.Option(help="Where it serves today.")] = None,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URL", help="The same of `mlflow models serve`, whose contract is known.")
    ] = None,
    example: Annotated[
        Path | None, typer.Option(help="A row or a request as JSON, to see what it answers with; with --mlflow.")
    ] = None,
    unit_header: UnitHeader = "x-unit-id",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    purpose: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: output.Json = False,
    *,
    given: contracts.Given,
) -> None:
    """Make what serves today the first champion of a model."""
    from seatrial.cli.model import endpoint

    project = project_of(context)
    found = endpoint.place(name, url, mlflow, example)
    contract = endpoint.agreed(contracts.agreed(project, name, given), found)
    document = send(
        project, "POST", f"/v1/models/{name}/adopt",
        {"url": found.url, "unitHeader": unit_header, "owner": owner, "purpose": purpose, "tags": found.tags,
         **said(contract)},
        lambda operations: operations.adopt(
            name, found.url, unit_header=unit_header, contract=contract, actor=actor(), owner=owner, purpose=purpose,
            tags=found.tags,
        ),
    )  # fmt: skip
    say(document, as_json, f"✔ {name} v{document['version']} at {found.url} is the champion")
    if found.remark:
        output.note(f"⚠ {found.remark}")


@app.command("configure")
@contracts.options
def configure(
    context: typer.Context,
    name: Name,
    reset: Annotated[bool, typer.Option("--reset", help="Begin from the defaults, not from what is agreed.")] = False,
    as_json: output.Json = False,
    *,
    given: contracts.Given,
) -> None:
    """Change what callers and the log agree on with a model: wire format, pointers, what is kept and how long."""
    project = project_of(context)
    contract = contracts.agreed(project, name, given, reset=reset)
    if contract is None:
        raise UsageError("ST0762", f"model '{name}': nothing is to change.", remedy="`seatrial model configure --help`")
    document = send(
        project, "PUT", f"/v1/models/{name}/contract", contract.document(),
        lambda operations: operations.configure(name, contract, actor=actor()),
    )  # fmt: skip
    said = ", ".join(f"{field} {value}" for field, value in contracts.lines(document["contract"]))
    say(document, as_json, f"✔ {name} is agreed on: {said or 'the defaults'}")


@app.command("list")
def list_models(context: typer.Context, as_json: output.Json = False) -> None:
    """All models."""
    from seatrial.cli import tables
    from seatrial.control.documents import catalog

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = catalog.models(tx, project)
    if as_json:
        output.data(document)
    else:
        output.show(tables.models(document))


@app.command("show")
def show(
    context: typer.Context,
    name: Name,
    version: Annotated[int | None, typer.Argument(help="One version in full.")] = None,
    as_json: output.Json = False,
) -> None:
    """A model with its versions, or one version with its lineage."""
    from seatrial.control.documents import catalog, views

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = (
            catalog.model(tx, project, name)
            if version is None
            else views.version_document(tx.models.get_version(name, version))
        )
    if as_json:
        output.data(document)
    elif version is None:
        _show_model(document)
    else:
        _show_version(document)


def _show_model(m: dict[str, Any]) -> None:
    from seatrial.cli import tables

    output.text(f"{'Name:':<14}{m['name']}\n{'Owner:':<14}{m['owner'] or '-'}\n{'Purpose:':<14}{m['purpose'] or '-'}")
    output.text(f"{'Unit header:':<14}{m['unitHeader']}")
    for place, (field, value) in enumerate(contracts.lines(m["contract"])):
        output.text(f"{'' if place else 'Contract:':<14}{field} {value}")
    told = ", ".join(f"{field} {value}" for field, value in m["safety"].items() if field != "fallback")
    output.text(f"{'Safety:':<14}{told}")
    output.text(f"{'Standby:':<14}{m['standby']['text']}")
    for pointer, number in m["pointers"].items():
        if number is not None:
            output.text(f"{pointer.capitalize() + ':':<14}v{number}")
    if m["rollout"]:
        output.text(f"{'Rollout:':<14}{m['rollout']}")
    if m["killed"]:
        output.text(f"{'Killed:':<14}✖ {m['killed']['mode']} by {m['killed']['actor']}: {m['killed']['reason']}")
    output.text("")
    output.show(tables.versions(m))


def _show_version(v: dict[str, Any]) -> None:
    import sys

    import yaml

    shown = {key: value for key, value in v.items() if key != "schema"}
    sys.stdout.write(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))
