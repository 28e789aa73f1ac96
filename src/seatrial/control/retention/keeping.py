"""How long the records of a model are kept.

Errors: ``ST1512`` less is declared than the model must keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.control.declarations import declaration_of
from seatrial.control.project import Project
from seatrial.errors import UsageError
from seatrial.governance.retention import FLOORS, KINDS, Kind, too_short
from seatrial.registry.version import Model
from seatrial.store.db import Transaction
from seatrial.values import Duration


@dataclass(frozen=True, slots=True)
class Keeping:
    """``spans``: None is for ever. ``floors``: why there are floors; empty where there are none. ``short``: kinds of
    which less is declared than their floor; of such a model nothing is deleted at all.
    """

    model: str
    spans: Mapping[Kind, Duration | None]
    floors: str
    short: tuple[Kind, ...]

    def require(self) -> None:
        """Raises UsageError (``ST1512``)."""
        for kind in self.short:
            raise UsageError(
                "ST1512", f"retention: {kind} of '{self.model}' would be kept for {self.spans[kind]}, and "
                f"{self.floors} asks for {FLOORS[kind]}.",
                remedy="Keep them longer: `retention` in seatrial.yaml, or `seatrial model configure --retention`.",
            )  # fmt: skip


def keeping(tx: Transaction, project: Project, model: Model) -> Keeping:
    """What is declared for a model, and against what. Where nothing is, events of a regulated model are kept for the
    floor at least, whatever ``capture.retention`` says for all."""
    said = declaration_of(tx, model.name).regulated
    floors = ", ".join(said) if said else "tier 1" if model.safety.tier == 1 else ""
    declared: dict[Kind, Duration | None] = {
        kind: project.config.retention.declared(model.name, kind) for kind in KINDS
    }
    declared["events"] = model.contract.retention or declared["events"]
    short = too_short(declared) if floors else ()
    general = project.config.capture.retention
    spans: dict[Kind, Duration | None] = {
        **declared,
        "events": declared["events"] or (max(general, FLOORS["events"]) if floors else general),
    }
    return Keeping(model.name, spans, floors, short)
