"""What a plan would see on a model's traffic, as rows of a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cli.session import opened

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.rollout.plan import Plan


def rows(project: Project, plan: Plan, model: str, effect: float | None = None) -> list[dict[str, Any]]:
    """One row a step and guardrail; empty when no rollout of the model has measured them. Raises NotFound."""
    from seatrial.control.outlook import outlook
    from seatrial.control.views import plain
    from seatrial.store.artifacts import ArtifactStore

    with opened(project) as store, store.read() as tx:
        return [plain(sight) for sight in outlook(tx, ArtifactStore(project.artifacts), plan, model, effect)]
