"""``seatrial retrain``: training runs, begun by hand or by triggers, and what came of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from seatrial.cli import amounts, output, staleness
from seatrial.cli.session import actor, opened, project_of
from seatrial.cli.training_desk import call
from seatrial.errors import Exit, SeatrialError, Unavailable, UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project

app = typer.Typer(help="Training runs: begun by triggers or by hand, and carried through to a rollout.",
                  no_args_is_help=True)  # fmt: skip
staleness.add_to(app)

Model = Annotated[str, typer.Argument(help="The model.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Its id, e.g. t-0001.")]

ICONS: Final = {"released": "✔", "registered_only": "✔", "requested": "◌", "kept": "॥", "failed": "✖", "cancelled": "✖"}
EXITS: Final = {"released": Exit.OK, "registered_only": Exit.OK, "requested": Exit.APPROVAL_NEEDED,
                "kept": Exit.GATE_FAILED, "failed": Exit.ERROR, "cancelled": Exit.ERROR}  # fmt: skip
WORDS: Final = {"registered_only": "registered", "kept": "champion kept"}
POLL_S = 1.0


@app.command("run")
def run(
    context: typer.Context,
    model: Model,
    trigger: Annotated[str | None, typer.Option(help="Which manual trigger.", show_default="the first")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until the run is over; its exit code says how.")] = False,
    limit: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait at most.")] = "24h",
    as_json: output.Json = False,
) -> None:
    """Ask for a run now; the interval after the last run does not hold it back, failing data do.

    With --wait: 0 released or registered, 3 the champion is kept or the data fail, 5 a person has to start the rollout,
    1 failed, 4 not over in time.
    """
    from seatrial.values import Duration

    project, patience = project_of(context), amounts.read("--timeout", limit, Duration.parse, "2h")
    asked, runs = call(
        project, "POST", f"/v1/retraining/models/{model}/run", {"trigger": trigger},
        lambda desk: desk.ask(model, trigger, actor=actor()),
    )  # fmt: skip
    if not runs and wait:
        raise Unavailable("ST0800", f"a run of '{model}' is asked for, and nobody is there to begin it.",
                          remedy="`seatrial up`")  # fmt: skip
    if not wait:
        _tell_asked(asked, runs, as_json)
        return
    found = _awaited(project, model, asked["after"], patience.seconds)
    if as_json:
        output.data(found)
    else:
        output.text(_line(found))
    raise typer.Exit(EXITS[found["status"]])


@app.command("status")
def status(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The model.", show_default="all")] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Triggers, runs and rollouts of the model, in order of time.")
    ] = False,
    chart: Annotated[Path | None, typer.Option(metavar="FILE", help="The timeline as a picture, .svg or .png.")] = None,
    as_json: output.Json = False,
) -> None:
    """How retraining stands: what runs, what waits and until when, what was measured last, how old the champion is."""
    from seatrial.control.retraining import documents
    from seatrial.control.way_home.emergency import clock_of

    if (timeline or chart is not None) and model is None:
        raise UsageError("ST1309", "a timeline is of one model.", remedy="seatrial retrain status MODEL --timeline")
    project = project_of(context)
    with opened(project) as store:
        now = clock_of(project, store).now()
        with store.read() as tx:
            found = documents.status_document(tx, now, model)
            told = documents.timeline(tx, model) if model is not None else None
    if chart is not None and told is not None:
        _save(told, chart)
    document = told if timeline and told is not None else found
    if as_json:
        output.data(document)
    elif document is told:
        for entry in told["entries"]:
            said = f"{entry['name']} {entry['what']}: {entry['text']}"
            output.text(f"{_clock(entry['start'])}  {entry['lane']:<8}  {said}")
    else:
        for one in found["models"]:
            _tell_status(one)


@app.command("list")
def list_runs(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The model.", show_default="all")] = None,
    as_json: output.Json = False,
) -> None:
    """Training runs, oldest first, and what they cost."""
    from seatrial.control.retraining import documents

    with opened(project_of(context)) as store, store.read() as tx:
        document = documents.runs_document(tx, model)
    if as_json:
        output.data(document)
        return
    for one in document["runs"]:
        output.text(_line(one))
    if document["cost"] is not None:
        output.text(f"together {document['cost']:,.2f}")


@app.command("log")
def log(
    context: typer.Context,
    run: RunId,
    last: Annotated[int | None, typer.Option(metavar="N", help="Only the last lines.", show_default="all")] = None,
    as_json: output.Json = False,
) -> None:
    """What the run's command printed."""
    from seatrial.control.operations import Operations
    from seatrial.control.retraining.desk import RetrainingDesk

    project = project_of(context)
    with opened(project) as store:
        document = RetrainingDesk(Operations(project, store)).log(run, last=last)
    if as_json:
        output.data(document)
    else:
        typer.echo(document["text"], nl=False)


@app.command("cancel")
def cancel(context: typer.Context, run: RunId, as_json: output.Json = False) -> None:
    """End a run, with everything that its command began. What it made is not released."""
    document, runs = call(
        project_of(context), "POST", f"/v1/retraining/runs/{run}/cancel", {},
        lambda desk: desk.cancel(run, actor=actor()),
    )  # fmt: skip
    if as_json:
        output.data(document)
    else:
        output.text(f"{run} is being cancelled" if runs else f"{run} is cancelled when the control plane is up again")


def _awaited(project: Project, model: str, after: int, patience_s: float) -> dict[str, Any]:
    """The first run after those there were, once it is over. Raises SeatrialError with the exit code of what held it
    back."""
    from seatrial.cli.client import Client

    client, deadline, told = Client(project), time.monotonic() + patience_s, ""
    while True:
        known: list[dict[str, Any]] = client.get(f"/v1/retraining/runs?model={model}")["runs"]
        runs = [one for one in known if one["number"] > after]
        if runs and runs[0]["status"] in EXITS:
            return runs[0]
        (stands,) = client.get(f"/v1/retraining?model={model}")["models"]
        if not runs and stands["dataFailure"]:
            _stop("ST1315", f"no training of '{model}': {stands['dataFailure']}.", Exit.GATE_FAILED)
        now = _underway(runs[0]) if runs else "waits for its turn"
        if now != told:
            output.note(f"{model}: {now}")
            told = now
        if time.monotonic() > deadline:
            _stop("ST1316", f"the run of '{model}' is not over in time; it goes on.", Exit.UNDECIDED)
        time.sleep(POLL_S)


def _stop(code: str, message: str, exit_code: Exit) -> None:
    error = SeatrialError(code, message, remedy="See `seatrial retrain status`.")
    error.exit_code = exit_code
    raise error


def _tell_asked(asked: dict[str, Any], runs: bool, as_json: bool) -> None:
    if as_json:
        output.data(asked)
    else:
        rest = "" if runs else "; it begins when the control plane is up (`seatrial up`)"
        output.text(f"✔ a run of {asked['model']} is asked for by trigger '{asked['trigger']}'{rest}")


def _tell_status(one: dict[str, Any]) -> None:
    from seatrial.control.documents.wording import span

    champion = "no champion" if one["champion"] is None else f"champion v{one['champion']}"
    ages = [f"serves for {span(one['servesFor'])}"] if one["servesFor"] is not None else []
    ages += [f"its data end {span(one['dataAge'])} ago"] if one["dataAge"] is not None else []
    output.text(f"{one['model']}: {', '.join([champion, *ages])}")
    if one["policy"] is None:
        output.text("  no policy: `seatrial trigger set` puts one in force")
        return
    if one["dataFailure"]:
        output.text(f"  ✖ the data fail, nothing is trained: {one['dataFailure']}")
    for waiting in one["waiting"]:
        until = f" until {_clock(waiting['until'])}" if waiting["until"] else ""
        output.text(f"  ॥ {waiting['trigger']} waits{until}: {waiting['detail']}")
    if one["lastRun"] is not None:
        output.text(f"  {_line(one['lastRun'])}")
    if one["nextDue"]:
        output.text(f"  next due {_clock(one['nextDue'])}")


def _line(one: dict[str, Any]) -> str:
    over = one["status"] in EXITS
    made = f" v{one['version']}" if one["version"] else ""
    cost = f" · {one['cost']:,.2f}" if one["cost"] is not None else ""
    said = one["reason"] if over else _underway(one)
    icon, word = ICONS.get(one["status"], "⟳"), WORDS.get(one["status"], one["status"])
    return f"{icon} {one['id']} {one['model']}{made} {word} ({one['trigger']}: {one['detail']}){cost}: {said}"


def _underway(one: dict[str, Any]) -> str:
    done = f" {one['progress']:.0%}" if one["status"] == "training" and one["progress"] is not None else ""
    said = f", {one['message']}" if one["message"] else ""
    return f"{one['id']} {one['status']}{done}{said}"


def _save(told: dict[str, Any], path: Path) -> None:
    from seatrial.charts.retraining import retraining_chart
    from seatrial.charts.save import check_name, save

    check_name(path)
    drawn = retraining_chart(told["entries"], told["model"])
    if drawn is None:
        raise UsageError("ST1309", f"nothing has happened to '{told['model']}' yet: there is no picture.",
                         remedy="`seatrial retrain run MODEL`")  # fmt: skip
    try:
        save(drawn, path)
    except OSError as error:
        raise UsageError("ST1309", f"'{path}' cannot be written: {error.strerror}.", remedy="--chart FILE") from error


def _clock(text: str) -> str:
    return text[:16].replace("T", " ")
