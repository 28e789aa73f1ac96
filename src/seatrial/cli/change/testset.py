"""``seatrial change testset``: test data that nobody trains on, and how often it was looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.change.sending import done
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import Exit

if TYPE_CHECKING:
    from seatrial.control.changes.desk import ChangeDesk

app = typer.Typer(help="Locked test sets: never trained on, and counted.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="The model.")]
TestSet = Annotated[str, typer.Argument(help="Its id, e.g. s-0001.")]


@app.command("lock")
def lock(
    context: typer.Context,
    model: Model,
    file: Annotated[Path, typer.Argument(help="The test set: Parquet or CSV.")],
    name: Annotated[str, typer.Option(help="What it is called.", show_default="the name of the file")] = "",
    columns: Annotated[
        str, typer.Option(metavar="A,B,C", help="What makes a row, e.g. the study's id.", show_default="all columns")
    ] = "",
    limit: Annotated[int, typer.Option(metavar="COUNT", help="Uses after which it is worn.")] = 20,
    as_json: output.Json = False,
) -> None:
    """Lock a test set by the hashes of its rows; the rows themselves are not kept."""
    from seatrial.control.changes.test_sets import hashed

    project = project_of(context)
    project.prepare()
    chosen = [part.strip() for part in columns.split(",") if part.strip()]
    given = hashed(project, model, file, chosen, name=name or file.name, limit=limit)

    def directly(desk: ChangeDesk) -> dict[str, Any]:
        return desk.lock_test_set(given, actor=actor())

    _tell(done(context, "POST", "/v1/changes/testsets", given, directly), as_json)


@app.command("check")
def check(
    context: typer.Context,
    model: Model,
    file: Annotated[Path, typer.Argument(help="Training data: Parquet or CSV.")],
    as_json: output.Json = False,
) -> None:
    """Are rows of the model's locked test sets among training data? Exit 3 if any is."""
    from seatrial.control.changes.test_sets import overlaps

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        tx.models.get_model(model)
        found = overlaps(tx, project, model, file)
    shared = sum(one.rows for one in found)
    if as_json:
        output.data({
            "schema": "seatrial.test_set_check.v1", "model": model, "file": str(file), "apart": not shared,
            "testSets": [{"id": one.test_set, "rows": one.rows, "of": one.of} for one in found],
        })  # fmt: skip
    else:
        for one in found:
            output.text(f"{'✖' if one.rows else '✔'} {one.test_set}: {one.rows} of {one.of} rows are rows of it")
        if not found:
            output.text(f"{model} has no locked test set")
    if shared:
        raise typer.Exit(Exit.GATE_FAILED)


@app.command("list")
def list_test_sets(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    as_json: output.Json = False,
) -> None:
    """All locked test sets, oldest first."""
    from seatrial.control.changes.test_sets import all_told

    with opened(project_of(context)) as store, store.read() as tx:
        document = all_told(tx, model)
    if as_json:
        output.data(document)
        return
    for one in document["testSets"]:
        output.text(_line(one))
    if not document["testSets"]:
        output.text("no test set is locked")


@app.command("show")
def show(context: typer.Context, id: TestSet, as_json: output.Json = False) -> None:
    """One test set with every use that was made of it."""
    from seatrial.control.changes.test_sets import told

    with opened(project_of(context)) as store, store.read() as tx:
        document = told(tx, tx.test_sets.get(id))
    _tell(document, as_json)


@app.command("use")
def use(
    context: typer.Context,
    id: TestSet,
    version: Annotated[int, typer.Argument(min=1, help="The version that was measured on it.")],
    purpose: Annotated[str, typer.Option(help="What for.")],
    as_json: output.Json = False,
) -> None:
    """Count a use outside seatrial; what ML CI measures on it counts by itself."""

    def directly(desk: ChangeDesk) -> dict[str, Any]:
        return desk.use_test_set(id, version, purpose=purpose, actor=actor())

    body = {"version": version, "purpose": purpose}
    _tell(done(context, "POST", f"/v1/changes/testsets/{id}/uses", body, directly), as_json)


@app.command("retire")
def retire(
    context: typer.Context,
    id: TestSet,
    reason: Annotated[str, typer.Option(help="Why: locked by mistake, worn, withdrawn.")],
    as_json: output.Json = False,
) -> None:
    """Keep a test set apart no longer: its rows may be trained on. What was known of it stays."""

    def directly(desk: ChangeDesk) -> dict[str, Any]:
        return desk.retire_test_set(id, reason=reason, actor=actor(), own=False)

    _tell(done(context, "POST", f"/v1/changes/testsets/{id}/retire", {"reason": reason}, directly), as_json)


def _tell(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.data(document)
        return
    output.text(_line(document))
    for one in document["uses"]:
        output.text(f"  v{one['version']} {one['purpose']} by {one['by']}, {one['at'][:10]}")
    if document["warning"] and not document["retired"]:
        output.text(f"⚠ {document['warning']}")


def _line(d: dict[str, Any]) -> str:
    used = f"used {len(d['uses'])} of {d['limit']} times"
    if d["retired"]:
        used += f"; retired by {d['retired']['by']}: {d['retired']['reason']}"
    return f"{d['id']} {d['model']} {d['name']}: {d['rows']} rows by {', '.join(d['fields'])}; {used}"
