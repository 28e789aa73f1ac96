"""``seatrial report``: all rollouts as one HTML file with pictures, for people who were not there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.errors import UsageError


def add_to(app: typer.Typer) -> None:
    app.command()(report)


def report(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="What the report is called.", show_default="the project's name")] = "",
) -> None:
    """Write every rollout, its decisions, evidence and pictures into one HTML file."""
    from seatrial.control.documents.report import write_report
    from seatrial.store.artifacts import ArtifactStore

    project = project_of(context)
    with opened(project) as store:
        try:
            path = write_report(store, ArtifactStore(project.artifacts), out, title=title or project.config.project)
        except OSError as error:
            raise UsageError("ST0889", f"'{out}' cannot be written: {error.strerror}.", remedy="--out FILE") from error
    output.text(f"✔ {path}")
