"""What an approver reviews: the artifact, where it came from, what CI found, the plan, and what all of it changes."""

from __future__ import annotations

import json
from typing import Any

from seatrial.ci.results import Run, StepResult, run_of
from seatrial.control.documents.difference import difference
from seatrial.control.documents.views import Document, plain
from seatrial.control.quality import digest_of_version
from seatrial.governance.approvals.acts import Reviewed
from seatrial.registry.version import ModelVersion
from seatrial.rollout.plan import Plan
from seatrial.store.canonical import digest_of
from seatrial.store.db import Transaction
from seatrial.store.plans import plan_digest, plan_to_json


def evidence_of(tx: Transaction, model: str, version: int, plan: Plan, change: Document) -> Document:
    """All of it as JSON, by part. ``change``: its triage."""
    candidate = tx.models.get_version(model, version)
    champion = tx.models.pointers(model).get("champion")
    return {
        "artifact": {"digest": digest_of_version(candidate), "serving": plain(candidate.serving)},
        "lineage": plain(candidate.lineage),
        "ci": _ci(tx, candidate),
        "plan": {"digest": plan_digest(plan), "plan": plan_to_json(plan)},
        "change": {
            "against": champion,
            "diff": None if champion is None else difference(tx, model, champion, version),
            "triage": change,
        },
    }


def reviewed(document: Document) -> Reviewed:
    """The digest of the evidence and of each part. When and where a CI step ran is not a part of what it found."""
    found = {name: value for name, value in document.items() if name != "ci"}
    found["ci"] = [{name: step[name] for name in _FOUND} for step in document["ci"]]
    parts = {name: digest_of(found[name]) for name in document}
    return Reviewed(digest_of(parts), parts)


_FOUND = ("name", "status", "blocking", "reason", "detail")


def _ci(tx: Transaction, candidate: ModelVersion) -> list[dict[str, Any]]:
    """The latest result of each step for this very model, by name; a step that did not run leaves the one before."""
    digest = digest_of_version(candidate)
    latest: dict[str, tuple[Run, StepResult]] = {}
    for text in tx.ci_runs.list(candidate.model):
        run = run_of(json.loads(text))
        if digest is not None and run.digest == digest:
            latest |= {step.name: (run, step) for step in run.steps if step.status in ("passed", "failed")}
    return [
        {**plain(step), "run": run.id, "at": plain(run.started_at)}
        for run, step in (latest[name] for name in sorted(latest))
    ]
