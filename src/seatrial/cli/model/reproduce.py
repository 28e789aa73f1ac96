"""``seatrial model reproduce``: a version made again from its lineage, and compared."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.session import opened, project_of
from seatrial.errors import Exit


def reproduce(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="The version.")],
    repository: Annotated[Path, typer.Option(help="The git repository that has its commit.")] = Path(),
    data: Annotated[Path | None, typer.Option(help="Its training data, where it is not found by its digest.")] = None,
    python: Annotated[
        Path | None, typer.Option(help="Interpreter with its packages.", show_default="that of seatrial")
    ] = None,
    timeout: Annotated[str, typer.Option(metavar="1h", help="How long the training may take.")] = "1h",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the training's log and say where it is.")] = False,
    as_json: output.Json = False,
) -> None:
    """Make a version again in a scratch directory: the same bytes, or metrics within its tolerance; else exit 3."""
    from seatrial.control.reproduction.again import Means
    from seatrial.control.reproduction.again import reproduce as made_again
    from seatrial.store.artifacts import ArtifactStore
    from seatrial.values import Duration

    project = project_of(context)
    limit_s = amounts.read("--timeout", timeout, Duration.parse, "1h").seconds
    with opened(project) as store, store.read() as tx:
        wanted = tx.models.get_version(name, version)
    scratch = Path(tempfile.mkdtemp(prefix="seatrial-reproduce-"))
    try:
        means = Means(
            repository=repository.resolve(), artifacts=ArtifactStore(project.artifacts), scratch=scratch,
            data=None if data is None else data.resolve(), python=python or Path(sys.executable), timeout_s=limit_s,
        )  # fmt: skip
        document = made_again(wanted, means).document()
    finally:
        if not keep:
            shutil.rmtree(scratch, ignore_errors=True)
    if as_json:
        output.data(document)
    else:
        output.text("\n".join([*_lines(document), *([f"  kept: {scratch}"] if keep else [])]))
    if not document["reproduced"]:
        raise typer.Exit(Exit.GATE_FAILED)


_BY = {"hash": "the same bytes", "metrics": "metrics within the stated tolerance"}


def _lines(d: dict[str, Any]) -> list[str]:
    shown = f"{d['model']} v{d['version']}"
    if d["reproduced"]:
        lines = [f"✔ {shown} is reproduced: {_BY[d['by']]}"]
    else:
        lines = [f"✖ {shown} is not reproduced: {d['difference']['what']} differs"]
    for check in d["checks"]:
        if check["same"]:
            lines.append(f"  {check['what']}: {check['found']}")
        else:
            lines.append(f"  {check['what']}: registered {check['expected']}, found {check['found']}")
    return lines
