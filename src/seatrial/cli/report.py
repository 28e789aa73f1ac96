"""``seatrial report``: all rollouts as one HTML file with pictures, for people who were not there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of


def add_to(app: typer.Typer) -> None:
    app.command()(report)


def report(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(show_default="the project's name")] = "",
) -> None:
    """Write every rollout, its decisions, evidence and pictures into one HTML file."""
    from seatrial.control.report import write_report
    from seatrial.store.artifacts import ArtifactStore

    project = project_of(context)
    with opened(project) as store:
        path = write_report(store, ArtifactStore(project.artifacts), out, title=title or project.config.project)
    output.text(f"✔ {path}")
