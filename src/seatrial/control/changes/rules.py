"""The rules of triage of a project: ``triage.yaml`` beside ``seatrial.yaml``; without it the defaults hold."""

from __future__ import annotations

from typing import Final

from seatrial.control.changes.reading import parse, read_text
from seatrial.control.project import Project
from seatrial.governance.change_rules import Bounds, Review, Reviews, Rules

RULES_FILE: Final = "triage.yaml"

_PARTS: Final[dict[str, type]] = {
    "hyperParameters": Bounds, "tier1": Reviews, "tier2": Reviews, "tier3": Reviews, "material": Review,
    "nonMaterial": Review,
}  # fmt: skip


def rules_of(project: Project) -> Rules:
    """Raises UsageError that names the field."""
    path = project.root / RULES_FILE
    return rules_in(read_text(path), source=str(path)) if path.exists() else Rules()


def rules_in(text: str, *, source: str = RULES_FILE) -> Rules:
    return parse(text, Rules, _PARTS, source=source, help="`seatrial change schema triage` names every field.")
