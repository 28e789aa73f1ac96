"""What a project shows of its maturity: practices by the records they leave, and how its models are best released."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, Literal

from seatrial.ci.results import run_of
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.events.parts import list_parts, model_directory
from seatrial.governance.maturity import NAMES, STRATEGIES, Practice, judge
from seatrial.registry.lineage import missing
from seatrial.store.db import Transaction

Shown = Callable[[Transaction, Project, str, int], bool]
"""Whether a model whose champion is this version follows a practice."""


def maturity_document(tx: Transaction, project: Project) -> Document:
    """``seatrial.maturity.v1``"""
    champions = {m.name: tx.models.pointers(m.name).get("champion") for m in tx.models.list_models()}
    practices = []
    for name, level, what, remedy, shown in _PRACTICES:
        having = {m: shown(tx, project, m, number) for m, number in champions.items() if number is not None}
        follow, lack = (tuple(m for m, it in having.items() if it is wanted) for wanted in (True, False))
        practices.append(Practice(name, level, what, follow, lack, remedy))
    found = judge(practices)
    return {
        "schema": "seatrial.maturity.v1",
        "level": found.level,
        "name": NAMES[found.level],
        "practices": [
            {"name": p.name, "level": p.level, "found": p.found, "evidence": p.evidence, "lacking": list(p.lacking)}
            for p in found.practices
        ],
        "improvements": [{"name": p.name, "evidence": p.evidence, "remedy": p.remedy} for p in found.improvements],
        "strategies": [_strategy(tx, name) for name in champions],
    }


def _strategy(tx: Transaction, model: str) -> Document:
    impact = tx.models.get_model(model).safety.impact
    advised = STRATEGIES[impact]
    return {"model": model, "impact": impact, "first": advised.first, "then": advised.then, "why": advised.why}


def _has_lineage(tx: Transaction, project: Project, model: str, champion: int) -> bool:
    version = tx.models.get_version(model, champion)
    return version.source == "registered" and not missing(version.lineage)


def _is_tested(tx: Transaction, project: Project, model: str, champion: int) -> bool:
    """The last CI run of the champion is green in code, data and model."""
    runs = (run_of(json.loads(text)) for text in tx.ci_runs.list(model))
    last = [run for run in runs if run.version == champion][-1:]
    return any(set(run.groups().values()) == {"passed"} for run in last)


def _is_released_by_plan(tx: Transaction, project: Project, model: str, champion: int) -> bool:
    """The champion was promoted by its plan's rule, not by hand."""
    made = [r for r in tx.rollouts.list(model, active=False) if r.candidate == champion and r.status == "promoted"]
    decisions = [d for rollout in made[-1:] for d in tx.decisions.list(rollout.id) if d.action == "promote"]
    return bool(decisions) and decisions[-1].rule != "manual"


def _is_drilled(tx: Transaction, project: Project, model: str, champion: int) -> bool:
    over = [drill for drill in tx.drills.list(model) if drill.status in ("passed", "failed")]
    return bool(over) and over[-1].status == "passed"


def _has_outcomes(tx: Transaction, project: Project, model: str, champion: int) -> bool:
    return bool(list_parts(model_directory(project.outcomes, model)))


def _has_policy(tx: Transaction, project: Project, model: str, champion: int) -> bool:
    return any(policy.model == model for policy in tx.training.policies())


def _is_retrained(tx: Transaction, project: Project, model: str, champion: int) -> bool:
    """A version came of a training run that a trigger began."""
    return any(run.document.get("version") is not None for run in tx.training.runs(model))


_PRACTICES: Final[tuple[tuple[str, Literal[1, 2, 3], str, str, Shown], ...]] = (
    (
        "lineage", 1, "the champion is registered with its code, data and model",
        "`seatrial model register MODEL --data FILE ...` instead of adopting what runs", _has_lineage,
    ),
    (
        "ci", 1, "the champion passed code, data and model tests", "`seatrial ci run MODEL VERSION`", _is_tested,
    ),
    (
        "plan", 2, "the champion was promoted by its plan on evidence",
        "`seatrial rollout start MODEL VERSION --plan plans/standard.yaml`", _is_released_by_plan,
    ),
    (
        "drill", 2, "the way home was rehearsed, and the last drill passed", "`seatrial drill run MODEL`", _is_drilled,
    ),
    (
        "outcomes", 3, "what became of predictions is reported",
        "`seatrial.log_outcome(MODEL, id, NAME, value)`, or `seatrial outcomes import`", _has_outcomes,
    ),
    (
        "triggers", 3, "triggers decide when it is trained again", "`seatrial trigger set MODEL POLICY.yaml`",
        _has_policy,
    ),
    (
        "retraining", 3, "a training run made a version by itself",
        "`seatrial retrain run MODEL` tries what the triggers will do", _is_retrained,
    ),
)  # fmt: skip
