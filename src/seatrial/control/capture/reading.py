"""How a model's traffic is read, by its contract and by the plan of its rollout: for the collector and for hosts."""

from __future__ import annotations

from seatrial.control.project import Secrets
from seatrial.events.capture import CaptureContext
from seatrial.events.wire import ResponseSpec
from seatrial.registry.contract import EVERYTHING
from seatrial.registry.version import Model
from seatrial.rollout.plan import Plan
from seatrial.serving.spec import Reading


def capture_context(model: Model, plan: Plan | None, secrets: Secrets, *, replay: bool) -> CaptureContext:
    """What the collector makes of a captured request. ``plan``: of the active rollout."""
    contract = model.contract
    return CaptureContext(
        bucket_salt=secrets.bucket_salt,
        unit_key=secrets.unit_key,
        segments=() if plan is None else tuple((s.name, s.field) for s in plan.segments),
        bands={} if plan is None else {s.name: bands for s in plan.segments if (bands := s.bands) is not None},
        outcome_key=contract.outcome_key,
        features=contract.features,
        format=contract.format,
        response=ResponseSpec.of(contract),
        replay=replay,
    )


def host_reading(model: Model, plan: Plan | None) -> Reading:
    """What a host is told. Only features that the log has a place for leave it: kept, segments, the outcome key."""
    contract = model.contract
    segments = () if plan is None else tuple(s.field for s in plan.segments if s.field is not None)
    keys = () if contract.outcome_key is None else (contract.outcome_key,)
    needed = tuple(sorted({*contract.features, *segments, *keys}))
    return Reading(contract.format, ResponseSpec.of(contract), None if EVERYTHING in needed else needed)
