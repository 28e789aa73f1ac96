"""``seatrial drill``: the calendar, and drills on the running system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.drill import review
from seatrial.cli.session import opened, project_of
from seatrial.errors import Exit, SeatrialError, UsageError

if TYPE_CHECKING:
    from seatrial.cli.client import Client
    from seatrial.control.project import Project

app = typer.Typer(help="The way home, rehearsed on purpose: a failure, its detection, and everything as before.",
                  no_args_is_help=True)  # fmt: skip
review.add_to(app)

Drill = Annotated[str, typer.Argument(help="Its id, e.g. d-0001.")]
MARKS = {"passed": "✔", "failed": "✖", "aborted": "॥", "running": "⟳"}


@app.command("list")
def list_drills(
    context: typer.Context,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also a picture of the times to 0%, .svg or .png.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Which model is due when, and what came of the drills so far."""
    from seatrial.control.drills.calendar import drills_document
    from seatrial.control.way_home.emergency import clock_of

    project = project_of(context)
    with opened(project) as store:
        now = clock_of(project, store).now()
        with store.read() as tx:
            document = drills_document(tx, project, now)
    if chart is not None:
        _save(document["trend"], chart)
    if as_json:
        output.data(document)
    else:
        _show(document)


@app.command("run")
def run(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    requests: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Bodies to ask, one JSON text a line.", show_default="what users sent last"),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Take all steps of a drill, or those that are left of the one that the model is in. Exit 0 passed, 3 failed.

    What goes wrong on the way, Ctrl-C included, aborts the drill and puts everything back.
    """
    project = project_of(context)
    client = _client(project)
    document = client.post("/v1/drills", {"model": model, "requests": _bodies(requests)})
    try:
        while (step := document["next"]) is not None:
            output.note(f"{document['id']} step {step['number']} {step['name']}: {step['about']}")
            document = client.post(f"/v1/drills/{document['id']}/steps/{step['number']}")
    except (SeatrialError, KeyboardInterrupt) as error:
        why = error.message if isinstance(error, SeatrialError) else "interrupted"
        client.post(f"/v1/drills/{document['id']}/abort", {"reason": why})
        output.note(f"{document['id']} is aborted, everything is as it was.")
        raise
    _tell(document, as_json)
    if document["status"] != "passed":
        raise typer.Exit(Exit.GATE_FAILED)


@app.command("start")
def start(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    requests: Annotated[Path | None, typer.Option(metavar="FILE", help="Bodies to ask, one JSON text a line.")] = None,
    as_json: output.Json = False,
) -> None:
    """Begin a drill whose steps are taken one by one (`drill step`); traffic is as it was."""
    body = {"model": model, "requests": _bodies(requests)}
    _tell(_client(project_of(context)).post("/v1/drills", body), as_json)


@app.command("step")
def step(
    context: typer.Context,
    drill: Drill,
    number: Annotated[int, typer.Argument(min=1, help="Its number; only the next one can be taken.")],
    as_json: output.Json = False,
) -> None:
    """Take one step of a drill."""
    _tell(_client(project_of(context)).post(f"/v1/drills/{drill}/steps/{number}"), as_json)


@app.command("abort")
def abort(
    context: typer.Context,
    drill: Drill,
    reason: Annotated[str, typer.Option(help="Why; goes into the audit log.")] = "by hand",
    as_json: output.Json = False,
) -> None:
    """End a drill at whatever step it is, and put everything back."""
    _tell(_client(project_of(context)).post(f"/v1/drills/{drill}/abort", {"reason": reason}), as_json)


def _client(project: Project) -> Client:
    """A step may take as long as detection may."""
    from seatrial.cli.client import Client
    from seatrial.governance.drills.policy import DrillPolicy

    policy = project.config.drills or DrillPolicy()
    return Client(project, timeout_s=180.0 + 2 * policy.targets.detect.seconds)


def _bodies(path: Path | None) -> list[Any]:
    from seatrial.control.drills.asking import read_bodies

    if path is None:
        return []
    try:
        return read_bodies(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("ST0374", f"'{path}' cannot be read: {error}.", remedy="--requests FILE") from None


def _tell(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.data(document)
        return
    verdict = document["verdict"]
    output.text(f"{MARKS[document['status']]} {document['id']} {document['model']}: {document['status']}")
    for criterion in () if verdict is None else verdict["criteria"]:
        mark = "✔" if criterion["passed"] else "✖"
        output.text(f"  {mark} {criterion['name']}: {criterion['measured']} (target {criterion['target']})")
    if document["next"] is not None:
        output.text(f"  next: {document['next']['number']} {document['next']['name']}: {document['next']['about']}")


def _show(document: dict[str, Any]) -> None:
    from seatrial.cli.tables import table

    if not document["calendar"]:
        output.note("Nothing is due: seatrial.yaml has no schedule (`drills:`), or no model has a champion yet.")
    else:
        due = [
            (c["model"], str(c["tier"]), c["every"], (c["last"] or "never")[:10], c["due"][:16], _state(c))
            for c in document["calendar"]
        ]
        output.show(table(("MODEL", "TIER", "EVERY", "LAST", "DUE", "STATE"), due))
    if document["drills"]:
        rows = [
            (d["id"], d["model"], d["status"], d["startedAt"][:16], _seconds(d["detectedAfter"]),
             _seconds(d["zeroAfter"]), str(d["openActions"]))
            for d in document["drills"]
        ]  # fmt: skip
        output.show(table(("ID", "MODEL", "STATUS", "BEGUN", "DETECTED AFTER", "0% AFTER", "OPEN ACTIONS"), rows))


def _state(due: dict[str, Any]) -> str:
    if due["overdue"]:
        return "overdue: releases wait" if due["blocks"] else "overdue"
    return "now" if due["planned"] else "due"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _save(trend: list[dict[str, Any]], path: Path) -> None:
    from seatrial.charts.drills import trend_chart
    from seatrial.charts.save import check_name, save

    check_name(path)
    timed = [row for row in trend if row["zeroAfter"] is not None]
    if not timed:
        raise UsageError("ST0379", "no drill was finished yet: there is no trend.", remedy="`seatrial drill run MODEL`")
    try:
        save(trend_chart(timed), path)
    except OSError as error:
        raise UsageError("ST0379", f"'{path}' cannot be written: {error.strerror}.", remedy="--chart FILE") from error
