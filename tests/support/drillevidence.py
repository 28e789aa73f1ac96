"""Evidence of a drill that passes, and of drills that do not."""

from __future__ import annotations

import copy
from typing import Any

from seatrial.governance.drills.steps import STEPS

POINTERS = {"champion": 2, "previous": 1}
ASKED = {"requests": 100, "userErrors": 0, "answeredBy": {"2": 100}}
EVIDENCE: dict[str, dict[str, Any]] = {
    "ready": {**ASKED, "champion": 2, "pointers": POINTERS, "split": {"v2": 1.0}, "auditWhole": True},
    "inject": {"version": 3, "rollout": "r-0002", "weight": 100, "split": {"v2": 0.99, "v3": 0.01}},
    "detect": {**ASKED, "weight": 100, "detectedAfter": 4.2, "zeroAfter": 4.25, "rule": "guardrail_harm"},
    "rollback": {**ASKED, "zeroAfter": 4.25, "byHand": False, "weight": 0, "canaryRequests": 7,
                 "canaryRequestsAfter": 0},
    "verify": {**ASKED, "split": {"v2": 1.0}, "pointers": POINTERS, "counted": 900, "logged": 900, "auditWhole": True,
               "standby": {"version": 1, "serves": True, "text": "v1 (hot) serves in 0.02 s"}},
    "restore": {"stage": "Archived", "pointers": POINTERS, "split": {"v2": 1.0}},
}  # fmt: skip


def evidence() -> dict[str, Any]:
    """Of a drill that passes."""
    steps = [{"number": n, "name": name, "evidence": copy.deepcopy(EVIDENCE[name])} for n, name in enumerate(STEPS, 1)]
    return {
        "schema": "seatrial.drill-evidence.v1", "drill": "d-0001", "model": "fraud", "share": 100,
        "targets": {"detect": 60.0, "zero": 60.0}, "steps": steps,
    }  # fmt: skip


def changed(step: str, **values: Any) -> dict[str, Any]:
    document = evidence()
    next(one for one in document["steps"] if one["name"] == step)["evidence"].update(values)
    return document
