"""Names of steps, and approvals that nobody could give."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seatrial.rollout.plan import Approval, Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.validate.problem import Problem

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,39}")
_WHO = re.compile(r"[A-Za-z0-9._@+-]{1,64}")


def check_names(plan: Plan) -> Iterator[Problem]:
    """Names that call nothing by name, and metrics that begin at a step that is not there."""
    named = [step.name for step in plan.steps if step.name is not None]
    for n, step in enumerate(plan.steps, start=1):
        if step.name is None:
            continue
        opens = step.shadow is not None or (step.set_weight is not None and step.set_weight.per_10k < 10_000)
        if not opens:
            yield Problem(
                "ST0233", f"step {n}", f"'{step.name}' names nothing: a name is of a step that opens a stage.",
                "Put it on 'shadow' or 'setWeight'.",
            )  # fmt: skip
        if not _NAME.fullmatch(step.name):
            yield Problem("ST0233", f"step {n}", f"{step.name!r} is not a name.", "A letter, then at most 39 more.")
        if named.count(step.name) > 1:
            yield Problem("ST0233", f"step {n}", f"'{step.name}' is the name of two steps.", "Names are unique.")
    yield from _starts(plan)


def _starts(plan: Plan) -> Iterator[Problem]:
    known = [stage.title for stage in compile_stages(plan) if stage.title]
    for m in plan.metrics:
        if m.starting_step is not None and m.starting_step not in known:
            yield Problem(
                "ST0234", f"metric '{m.name}'", f"no step has the name '{m.starting_step}'.",
                f"Steps with a name: {', '.join(known) or 'none'}.",
            )  # fmt: skip
        elif m.starting_step is not None and m.role != "guardrail":
            yield Problem(
                "ST0217", f"metric '{m.name}'", f"'startingStep' has no meaning for a {m.role}.", "Remove it."
            )
        if m.role == "dryRun" and m.limit is not None:
            yield Problem(
                "ST0217", f"metric '{m.name}'", "a 'limit' aborts at once, which a dry run must not.",
                "Remove the limit, or make it a guardrail.",
            )  # fmt: skip


def check_approvals(plan: Plan) -> Iterator[Problem]:
    """Approvals that nobody could give, or that the same stage asks for twice."""
    asked = False
    for n, step in enumerate(plan.steps, start=1):
        if step.shadow is not None or step.set_weight is not None:
            asked = False
        if step.approval is None:
            continue
        if asked:
            yield Problem(
                "ST0235", f"step {n}", "the stage has an approval already.", "Give that one a higher 'count'."
            )
        asked = True
        yield from _approval(step.approval, f"step {n}")


def _approval(wanted: Approval, where: str) -> Iterator[Problem]:
    if wanted.count < 1:
        yield Problem("ST0235", where, f"{wanted.count} approvals are none.", "Remove the step, or ask for 1.")
    roles = {"approver", "admin"} & set(wanted.by)
    if wanted.by and not roles and len(set(wanted.by)) < wanted.count:
        yield Problem(
            "ST0235", where, f"{wanted.count} approvals by {len(set(wanted.by))} people.",
            "Name more people, or a role: approver, admin.",
        )  # fmt: skip
    for who in wanted.by:
        if not _WHO.fullmatch(who) or who in ("reporter", "viewer", "operator"):
            yield Problem(
                "ST0235", where, f"'{who}' cannot approve.",
                "Name people as in `seatrial access list`, or a role: approver, admin.",
            )  # fmt: skip
