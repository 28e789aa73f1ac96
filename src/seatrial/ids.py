"""Names of things, as distinct types."""

from __future__ import annotations

from typing import Final, Literal, NewType

ModelName = NewType("ModelName", str)
VersionNumber = NewType("VersionNumber", int)
StandInName = NewType("StandInName", str)  # "rules-1a2b3c4d", "review", "banner": answers without a version
RolloutId = NewType("RolloutId", str)
Digest = NewType("Digest", str)  # "sha256:<64 hex>"

PointerName = Literal["champion", "challenger", "shadow", "previous"]
"""Names that move from version to version of a model."""

Arm = Literal["champion", "canary", "shadow"]
"""Assigned arms. A request without a unit id has the arm ``none`` in the log and is in no arm of the evidence."""

HOLDOUT: Final = "holdout"
"""Units that stay on the version that everybody had before, while a holdout lasts. In the log an arm like the others;
no rollout is judged by it."""

CHAMPION: Arm = "champion"
CANARY: Arm = "canary"
SHADOW: Arm = "shadow"
