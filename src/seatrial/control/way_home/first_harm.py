"""The first bad evidence behind an automatic decision: from when on its detection is counted."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.events.parts import list_parts, model_directory
from seatrial.ids import CANARY
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision
from seatrial.store.plans import plan_from_json

_COLUMNS = ["rollout", "arm", "phase", "event_time", "error", "latency_us"]


def first_harm(events: Path, plan: str, state: RolloutState, decision: Decision) -> datetime | None:
    """Event time of the first canary's request since the last strike that was an error or slow, where that is what
    failed; of its first request, where its predictions lose. None where it is not the canary that did harm.

    ``plan``: its JSON text.
    """
    blamed = _blamed(plan_from_json(json.loads(plan)), decision)
    if not blamed:
        return None
    found = [_first(part.path, blamed, state) for part in list_parts(model_directory(events, state.model))]
    return min((at for at in found if at is not None), default=None)


def _blamed(plan: Plan, decision: Decision) -> list[Metric]:
    """Metrics that a decision was taken for."""
    if decision.rule == "guardrail_harm":
        names = {v.metric for v in decision.verdicts if v.verdict == "fail"}
        return [metric for metric in plan.metrics if metric.name in names]
    limits = [alarm.text for alarm in decision.alarms if alarm.kind == "limit"]
    return [m for m in plan.metrics if m.limit is not None and any(text.startswith(m.name) for text in limits)]


def _first(path: Path, blamed: list[Metric], state: RolloutState) -> datetime | None:
    epoch = [phase.number for phase in state.phases if phase.weight and phase.number >= _epoch(state)]
    rows = pq.read_table(
        path, columns=_COLUMNS, partitioning=None,
        filters=[("rollout", "==", state.rollout), ("arm", "==", CANARY), ("phase", "in", epoch)],
    ) if epoch else None  # fmt: skip
    if rows is None or not len(rows):
        return None
    bad = [mask for metric in blamed if (mask := _bad(rows, metric)) is not None]
    if len(bad) == len(blamed):
        chosen = bad[0]
        for mask in bad[1:]:
            chosen = pc.or_kleene(chosen, mask)
        rows = rows.filter(chosen)
    found: datetime | None = pc.min(rows["event_time"]).as_py()
    return found


def _epoch(state: RolloutState) -> int:
    """The first phase that was judged. A step back has begun an epoch of its own already: then the phase before it."""
    stepped_back = not state.over and len(state.phases) > 1
    return state.phases[-2].number if stepped_back else state.epoch


def _bad(rows: pa.Table, metric: Metric) -> pa.ChunkedArray | None:
    """Which requests are the failure itself; None for a metric of which every request may be."""
    if metric.kind == "error_rate":
        return pc.fill_null(rows["error"], False)
    if metric.kind == "latency" and metric.threshold is not None:
        return pc.fill_null(pc.greater(rows["latency_us"], int(metric.threshold.seconds * 1e6)), False)
    return None
