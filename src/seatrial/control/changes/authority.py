"""Who may say that a model was reviewed elsewhere: what shortens the review of a release takes four eyes, too.

Only where the project asks for approvals; where nobody is asked, there is nothing to get around.
"""

from __future__ import annotations

from seatrial.control.project import Project
from seatrial.errors import UsageError
from seatrial.registry.version import ModelVersion
from seatrial.store.db import Transaction


def require_person(project: Project, name: str, *, own: bool) -> None:
    """``own``: by a token that was granted to them. Raises UsageError (ST1407) for the project's, or for none."""
    if project.config.approvals is not None and not own:
        raise UsageError(
            "ST1407", f"nobody knows that it is '{name}' who says what was reviewed.",
            remedy=f"`seatrial access grant {name} --role approver`, then SEATRIAL_TOKEN=..., with `seatrial up`.",
        )  # fmt: skip


def require_independent(tx: Transaction, project: Project, version: ModelVersion, name: str) -> None:
    """Raises UsageError (ST1408) for who made the version, under whatever name, and for the team that owns it."""
    policy = project.config.approvals
    if policy is None:
        return
    owner = tx.models.get_model(version.model).owner
    made = policy.identities.same(name, version.created_by)
    if made or policy.in_team(name, owner):
        why = f"made {version.name}" if made else f"belongs to {owner}, who own {version.model}"
        raise UsageError(
            "ST1408", f"{name} {why}, and does not say that it was approved.",
            remedy="Four eyes: somebody else has to.",
        )  # fmt: skip
