"""``seatrial plan``: check a plan, and see what it means before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.plan import forecast, simulate
from seatrial.cli.plan import imported as plan_import
from seatrial.cli.session import opened, project_of
from seatrial.errors import Exit, PlanError

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.rollout.plan import Plan

app = typer.Typer(help="Release plans: check one, and see what it means.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The plan's YAML file.")]


app.command("forecast")(forecast.forecast)
app.command("simulate")(simulate.simulate)
app.command("import")(plan_import.import_plan)
app.command("templates")(plan_import.templates)


@app.command("validate")
def validate(
    context: typer.Context,
    file: File,
    model: Annotated[str | None, typer.Option(help="Also on the traffic of this model: can it be in time?")] = None,
    as_json: output.Json = False,
) -> None:
    """Every problem of a plan at once; exit 2 if there is one."""
    from seatrial.rollout.validate import problems
    from seatrial.store.plans import read_plan

    try:
        plan = read_plan(file)
    except PlanError as error:
        if not as_json:
            raise
        _validation_document([{"code": error.code, "where": str(file), "text": error.message, "remedy": error.remedy}])
        raise typer.Exit(Exit.USAGE) from None
    found = problems(plan)
    if model is not None and not found:
        found = forecast.refused(project_of(context), plan, model)
    if as_json:
        _validation_document([{"code": p.code, "where": p.where, "text": p.text, "remedy": p.remedy} for p in found])
    elif found:
        output.note(f"plan '{plan.name}' in {file} cannot be honoured:")
        for problem in found:
            output.note(f"✖ {problem}")
    else:
        output.text(f"✔ plan '{plan.name}' in {file} can be honoured")
    if found:
        raise typer.Exit(Exit.USAGE)


@app.command("explain")
def explain(
    context: typer.Context,
    file: File,
    model: Annotated[str | None, typer.Option(help="Forecast for the traffic of this model.")] = None,
    effect: Annotated[
        str | None, typer.Option(help="Ask about a worsening of this size, e.g. 2% or 0.5pp: how likely is it found?")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """What a release goes through: stages with their conditions, and the error budget of each guardrail."""
    from seatrial.cli.plan import tables as plan_tables
    from seatrial.control.documents.plans import plan_document
    from seatrial.store.plans import check_plan, read_plan

    plan = check_plan(read_plan(file))
    document = plan_document(plan)
    if model is not None:
        document["erosion"] = _erosion(project_of(context), plan, model)
        document["forecast"] = forecast.rows(project_of(context), plan, model, forecast.effect_of(effect))
    if as_json:
        output.data(document)
        return
    output.text(plan_tables.headline(document))
    output.text("")
    for table in (plan_tables.stages(document), plan_tables.guardrails(document)):
        output.show(table)
        output.text("")
    output.text(plan_tables.rules(document))
    if model is not None:
        output.text(plan_tables.erosion(document, model))
        output.text("")
        output.text(plan_tables.forecast_note(document, model))
        if document["forecast"]:
            output.show(plan_tables.forecast(document))
            output.text("")
            output.text(plan_tables.sight(document, effect))
            for problem in forecast.refused(project_of(context), plan, model):
                output.text(f"✖ {problem}")


@app.command("schema")
def schema() -> None:
    """JSON Schema of a plan, for editors and other tools."""
    from seatrial.store.plans import plan_schema

    output.data(plan_schema())


def _erosion(project: Project, plan: Plan, model: str) -> list[dict[str, Any]]:
    """What the model's releases since its anchor lost together, by guardrail of the plan. Raises NotFound."""
    from seatrial.control.anchors import erosion_document

    with opened(project) as store, store.read() as tx:
        return erosion_document(tx, model, plan)


def _validation_document(found: list[dict[str, str]]) -> None:
    output.data({"schema": "seatrial.plan-validation.v1", "ok": not found, "problems": found})
