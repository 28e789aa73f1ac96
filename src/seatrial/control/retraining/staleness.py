"""Loss against age in a project: what every version that answered lost, and how old it was then, period by period.

Shadows count: an old version that still gets copies of the traffic is what tells age from season.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seatrial.control.project import Project
from seatrial.control.retraining.documents import age
from seatrial.control.retraining.losses import Sample, clustered, losses, matured, units
from seatrial.control.retraining.policies import load
from seatrial.engines.captured import answers
from seatrial.errors import UsageError
from seatrial.retrain.policy import Policy
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store, Transaction

Document = dict[str, Any]

DAY = timedelta(days=1)
Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Aged:
    """The mean loss of one version in one period. ``age`` in days, at its begin, since the end of its training data."""

    period: datetime
    version: int
    age: float
    lost: Sample


def staleness(
    project: Project, store: Store, model: str, now: datetime, *, since: datetime, every: timedelta, steps: timedelta
) -> Document:
    """``seatrial.staleness.v1``: by version and period, and by age over all of them, with intervals (95%).

    Periods are counted in UTC; an age is cut to whole ``steps``: a version has the same in several periods. Raises
    NotFound (ST1300) for a model without a policy, UsageError (ST1318) where it names no outcome or none is due.
    """
    with store.read() as tx:
        tx.models.get_model(model)
        policy, ends, stands = load(tx, model).policy, _ends(tx, model), age(tx, model, now)
    if policy.watch.outcome is None:
        raise UsageError("ST1318", f"the policy of '{model}' names no outcome, so nobody knows what it lost.",
                         remedy="Add one: watch: {outcome: late, horizon: 12h}")  # fmt: skip
    until = now - policy.watch.horizon.delta
    if not since < until:
        raise UsageError("ST1318", f"no outcome of '{model}' from {iso_z(since)} on is due before {iso_z(now)}.",
                         remedy="Begin earlier: --from TIME")  # fmt: skip
    found = [*_aged(project, policy, ends, since, until, now, every, steps)]
    return {
        "schema": "seatrial.staleness.v1", "model": model, "now": iso_z(now), **stands,
        "loss": policy.watch.loss, "from": iso_z(since), "until": iso_z(until),
        "period_days": every / DAY, "step_days": steps / DAY,
        "ages": [_by_age(days, [one for one in found if one.age == days]) for days in sorted({o.age for o in found})],
        "periods": [
            {"period": iso_z(one.period), "version": one.version, "age_days": one.age, "loss": one.lost.mean,
             "rows": one.lost.rows} for one in found
        ],
        "unknownAge": sorted(number for number, end in ends.items() if end is None),
    }  # fmt: skip


def _ends(tx: Transaction, model: str) -> dict[int, datetime | None]:
    """Where the training data of each version end; None for one that was adopted without lineage."""
    versions = tx.models.list_versions(model)
    return {v.number: None if v.lineage is None or v.lineage.data is None else v.lineage.data.end for v in versions}


def _aged(
    project: Project, policy: Policy, ends: Mapping[int, datetime | None], since: datetime, until: datetime,
    now: datetime, every: timedelta, steps: timedelta,
) -> Iterator[Aged]:  # fmt: skip
    table = answers(project.events, policy.model, since, until)
    truth, known = matured(table, project.outcomes, policy, now)
    scores = table["score"].to_numpy()
    known &= np.isfinite(scores)
    lost, unit = losses(policy.watch.loss, truth, scores), units(table)
    period = pc.cast(table["time"], pa.int64()).to_numpy() // (every // timedelta(microseconds=1))
    version = np.array(table["served_version"].to_pylist(), dtype=object)
    for at in np.unique(period[known]):
        begin = datetime.fromtimestamp(0, UTC) + int(at) * every
        for number, end in ends.items():
            rows = known & (period == at) & (version == str(number))
            if end is not None and rows.any():
                whole = max(0, (begin - end) // steps)
                yield Aged(begin, number, whole * (steps / DAY), clustered(lost[rows], unit[rows]))


def _by_age(days: float, found: list[Aged]) -> Document:
    """Rows of all periods together; periods are independent, so their errors add up."""
    rows = sum(one.lost.rows for one in found)
    mean = sum(one.lost.rows * one.lost.mean for one in found) / rows
    error = sum((one.lost.rows * one.lost.error) ** 2 for one in found) ** 0.5 / rows
    interval = [mean - Z * error, mean + Z * error] if np.isfinite(error) else None
    return {"age_days": days, "loss": mean, "interval": interval, "rows": rows, "periods": len(found),
            "versions": sorted({one.version for one in found})}  # fmt: skip
