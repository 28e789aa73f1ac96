"""``seatrial retrain staleness``: what versions of a model lost at which age, from the project's own log."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.session import opened, project_of
from seatrial.errors import Exit, UsageError

Model = Annotated[str, typer.Argument(help="The model.")]


def add_to(app: typer.Typer) -> None:
    app.command("staleness")(staleness)


def staleness(
    context: typer.Context,
    model: Model,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Where it begins.", show_default="90 days ago")
    ] = None,
    every: Annotated[str, typer.Option(metavar="DURATION", help="Periods.")] = "1d",
    ages: Annotated[str, typer.Option(metavar="DURATION", help="Steps that ages are cut to.")] = "7d",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it for `cadence curve --log FILE`.")] = None,
    as_json: output.Json = False,
) -> None:
    """How old the champion is, and what versions lost at which age: all that answered, shadows too. Exit 4: no loss is
    known."""
    from seatrial.cli.cadence import given
    from seatrial.control.retraining.staleness import staleness as measured
    from seatrial.control.way_home.emergency import clock_of
    from seatrial.values import Duration

    project, period = project_of(context), amounts.read("--every", every, Duration.parse, "1d")
    steps = amounts.read("--ages", ages, Duration.parse, "7d")
    if min(period.seconds, steps.seconds) <= 0:
        raise UsageError("ST1318", "periods and ages are longer than nothing.", remedy="e.g. --every 1d --ages 7d")
    with opened(project) as store:
        now = clock_of(project, store).now()
        start = now - timedelta(days=90) if since is None else given.moment("--from", since)
        document = measured(project, store, model, now, since=start, every=period.delta, steps=steps.delta)
    if out is not None:
        columns = ("period", "age_days", "loss", "version", "rows")
        given.write(out, columns, ([one[name] for name in columns] for one in document["periods"]))
    if as_json:
        output.data(document)
    else:
        _tell(document, out)
    raise typer.Exit(Exit.OK if document["ages"] else Exit.UNDECIDED)


def _tell(d: dict[str, Any], out: Path | None) -> None:
    from seatrial.cli.tables import table
    from seatrial.control.documents.wording import clock, span

    if d["champion"] is None:
        output.text(f"{d['model']} has no champion.")
    else:
        parts = [f"v{d['champion']}"]
        parts += [f"serves for {span(d['servesFor'])}"] if d["servesFor"] is not None else []
        parts += [f"its data end {span(d['dataAge'])} ago"] if d["dataAge"] is not None else []
        output.text(f"{d['model']}: {', '.join(parts)}")
    for number in d["unknownAge"]:
        output.text(f"· v{number} has no lineage: nobody knows how old it is")
    if not d["ages"]:
        output.text(f"no outcome of {clock(d['from'])} to {clock(d['until'])} is known of a version with lineage")
        return
    output.text("")
    headers = ("AGE", f"{d['loss'].upper()}", "95%", "ROWS", "PERIODS", "VERSIONS")
    rows = [
        (f"{one['age_days']:g} d", f"{one['loss']:.4f}", _interval(one["interval"]), f"{one['rows']:,}",
         one["periods"], ", ".join(f"v{number}" for number in one["versions"])) for one in d["ages"]
    ]  # fmt: skip
    output.show(table(headers, rows, right=headers[:5]))
    output.text("")
    if out is None:
        output.text(
            "Ages of different times differ by season too: --out FILE, then `seatrial cadence curve --log FILE`."
        )
    else:
        output.text(f"✔ '{out}': seatrial cadence curve --log {out}")


def _interval(found: list[float] | None) -> str:
    return "-" if found is None else f"{found[0]:.4f} to {found[1]:.4f}"
