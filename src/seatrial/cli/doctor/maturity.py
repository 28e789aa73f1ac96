"""``seatrial doctor --maturity``: how far the way from training to users is automated, and what raises it most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.control.project import Project


def document(project: Project) -> dict[str, Any]:
    """``seatrial.maturity.v1``, of what is stored; a project without a store has nothing to show."""
    from seatrial.cli.session import opened
    from seatrial.control.documents.maturity import maturity_document

    project.prepare()
    with opened(project) as store, store.read() as tx:
        return maturity_document(tx, project)


def lines(d: dict[str, Any]) -> Iterator[str]:
    yield f"Maturity: level {d['level']} of 3, {d['name']}"
    for practice in d["practices"]:
        yield f"{'✔' if practice['found'] else '✖'} {practice['level']}  {practice['evidence']}"
    if d["improvements"]:
        yield "What raises it most:"
    for place, improvement in enumerate(d["improvements"], 1):
        yield f"  {place}. {improvement['name']}: {improvement['remedy']}"
    for one in d["strategies"]:
        yield f"{one['model']} ({one['impact']} impact): first {one['first']}, then {one['then']}"
        yield f"  {one['why']}"
