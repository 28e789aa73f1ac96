"""The command tree, global options, and how errors leave the program."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial import __version__
from seatrial.cli import (
    access,
    alerts,
    approvals,
    ci,
    demo,
    events,
    fallback,
    help,
    incident_analysis,
    incidents,
    interventions,
    mlflow,
    outcomes,
    project,
    recall,
    report,
    retrain,
    review,
    rollout,
    switch,
    trigger,
)
from seatrial.cli.analyze import canary as analyze
from seatrial.cli.analyze import drift as analyze_drift
from seatrial.cli.analyze import inputs as analyze_inputs
from seatrial.cli.analyze import rankers as analyze_rankers
from seatrial.cli.analyze import shadow as analyze_shadow
from seatrial.cli.audit import app as audit
from seatrial.cli.cadence import app as cadence
from seatrial.cli.calc import app as calc
from seatrial.cli.calc import incidents as calc_incidents
from seatrial.cli.calc import review as calc_review
from seatrial.cli.change import app as change
from seatrial.cli.drill import app as drill
from seatrial.cli.model import app as model
from seatrial.cli.output import fail
from seatrial.cli.plan import app as plan
from seatrial.cli.shadow import app as shadow
from seatrial.errors import SeatrialError

app = typer.Typer(
    name="seatrial",
    help="Progressive delivery for machine-learning models: shadow, canary, rollout and the way home.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine or promoted · 1 error · 2 usage · 3 gate failed or rolled back · 4 undecided · "
    "5 approval needed · 6 integrity broken",
)
project.add_to(app)
app.add_typer(model.app, name="model")
app.add_typer(plan.app, name="plan")
app.add_typer(rollout.app, name="rollout")
app.add_typer(shadow.app, name="shadow")
analyze_shadow.add_to(analyze.app)
analyze_inputs.add_to(analyze.app)
analyze_rankers.add_to(analyze.app)
analyze_drift.add_to(analyze.app)
app.add_typer(analyze.app, name="analyze")
switch.add_to(app)
interventions.add_to(rollout.app)
approvals.add_to(app)
app.add_typer(fallback.app, name="fallback")
app.add_typer(review.app, name="review")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(events.app, name="events")
app.add_typer(audit.app, name="audit")
app.add_typer(ci.app, name="ci")
app.add_typer(mlflow.app, name="mlflow")
app.add_typer(access.app, name="access")
app.add_typer(alerts.app, name="alerts")
incident_analysis.add_to(incidents.app)
app.add_typer(incidents.app, name="incidents")
app.add_typer(recall.app, name="recall")
app.add_typer(drill.app, name="drill")
app.add_typer(change.app, name="change")
calc_incidents.add_to(calc.app)
calc_review.add_to(calc.app)
app.add_typer(calc.app, name="calc")
app.add_typer(cadence.app, name="cadence")
app.add_typer(trigger.app, name="trigger")
app.add_typer(retrain.app, name="retrain")
report.add_to(app)
demo.add_to(app)
help.use_in(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seatrial {__version__}")
        raise typer.Exit


@app.callback()
def seatrial(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Option("--project", metavar="DIR", envvar="SEATRIAL_PROJECT", help="The project's directory.",
                     show_default="here or above"),
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:  # fmt: skip
    context.obj = directory


@cache
def tree() -> Any:
    """The commands as Click objects, made once a process: Typer reads every signature again each time it is asked."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> None:
    """One command. A SeatrialError becomes its message and exit code; a bug keeps its traceback."""
    try:
        tree()(args=None if arguments is None else list(arguments), prog_name="seatrial")
    except SeatrialError as error:
        fail(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        sys.exit(141)
