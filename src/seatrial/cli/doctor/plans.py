"""The plans of a project: can they be honoured, and can they ever come to a decision on this traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.doctor.finding import Case, Finding, error, fine, warning
from seatrial.errors import SeatrialError

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.rollout.forecast import Sight
    from seatrial.rollout.plan import Plan

DAY_S = 86_400.0


def valid(project: Project) -> Iterator[Finding]:
    """Every plan in ``plans/``."""
    from seatrial.store.plans import check_plan, read_plan

    found = 0
    for path in _files(project):
        try:
            check_plan(read_plan(path))
            found += 1
        except SeatrialError as problem:
            yield error(
                "plan", f"{path.relative_to(project.root)}: {problem.message}",
                problem.remedy or f"`seatrial plan validate {path.relative_to(project.root)}` shows every problem.",
            )  # fmt: skip
    if found:
        yield fine("plans", f"{found} can be honoured")


def can_decide(case: Case) -> Iterator[Finding]:
    """Plans, running or not yet, whose deadline comes before the evidence at the rate of today's traffic."""
    for model in case.tx.models.list_models():
        for name, plan in (*_running(case, model.name), *_readable(case.project)):
            late = [sight for sight in _last_stage(case, plan, model.name) if _too_late(sight, plan)]
            for sight in late[:1]:
                yield warning(
                    "plan",
                    f"{name}: on the traffic of {model.name}, {sight.metric} needs {sight.margin_days:.1f} days at "
                    f"{sight.stage} to exclude its margin, and the deadline is {plan.deadline}",
                    "Take a larger share, a wider margin or a later deadline: "
                    f"`seatrial plan explain FILE --model {model.name}`.",
                )


def _files(project: Project) -> list[Path]:
    return sorted(path for path in (project.root / "plans").glob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def _readable(project: Project) -> Iterator[tuple[str, Plan]]:
    from seatrial.store.plans import check_plan, read_plan

    for path in _files(project):
        try:
            yield str(path.relative_to(project.root)), check_plan(read_plan(path))
        except SeatrialError:
            continue  # `valid` has told


def _running(case: Case, model: str) -> Iterator[tuple[str, Plan]]:
    from seatrial.control.documents.catalog import load

    for stored in case.tx.rollouts.list(model, active=True):
        yield f"rollout {stored.id}", load(stored).plan


def _last_stage(case: Case, plan: Plan, model: str) -> list[Sight]:
    """What the stage before everyone sees, where the margin itself must be excluded.

    Known from the evidence of former rollouts; without one, errors and slow answers are known by the rate of units.
    """
    from seatrial.cli.doctor.log import recent
    from seatrial.control.analyses.outlook import outlook
    from seatrial.rollout.forecast import Traffic, sights
    from seatrial.store.artifacts import ArtifactStore

    found = outlook(case.tx, ArtifactStore(case.project.artifacts), plan, model)
    seen = recent(case, model)
    if not found and seen.days > 0 and seen.bare < 0.5:
        rate = Traffic(0.0, seen.requests / seen.days, seen.units / seen.days, 0.0)
        found = sights(plan, {metric.name: rate for metric in plan.guardrails if metric.rare})
    stages = [sight.stage for sight in found]
    return [sight for sight in found if sight.stage == stages[-1]]


def _too_late(sight: Sight, plan: Plan) -> bool:
    return sight.margin_days is not None and sight.margin_days > plan.deadline.seconds / DAY_S
