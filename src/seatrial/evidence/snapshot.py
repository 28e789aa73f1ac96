"""Everything one look at a rollout can see, as plain values: the only input of the gates besides plan and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.inputs import InputTally
from seatrial.evidence.tally import Tally
from seatrial.ids import Arm

Outputs = Literal["", "scores", "classes", "lists", "mixed"]
"""What models answer with; empty while nobody has looked."""


@dataclass(frozen=True)
class MetricEvidence:
    """Sums of one metric over the whole rollout, with what is not in them yet.

    ``immature``: exposures per (phase, arm) younger than the horizon; ``missing``: mature exposures without an outcome
    (in ``tally`` only where the metric counts them as zero or failure); ``late``: outcomes that came after the horizon;
    ``outside``: mature exposures that cannot have the outcome: unobserved, and in nothing else here.
    """

    tally: Tally = field(default_factory=Tally)
    immature: Mapping[tuple[int, Arm], int] = field(default_factory=dict)
    missing: Mapping[tuple[int, Arm], int] = field(default_factory=dict)
    late: int = 0
    outside: Mapping[tuple[int, Arm], int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Sampled:
    """Pairs that were copied at one share: ``grid`` and ``buckets`` by segment, as of ``ShadowEvidence``."""

    grid: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    buckets: dict[str, NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ShadowEvidence:
    """Answers of champion and shadow to the same requests.

    ``grid``: per segment, counts of shape (128, 128), champion score bin by shadow score bin (bins: evidence.scores).
    ``pairs``: joined requests; ``unmatched``: mirrored requests that lack an answer on one side. For a plan that
    judges agreement also ``buckets``: per segment, pairs on the grid by unit bucket, shape (256,); and ``outputs``:
    what the answers are. Class labels have the bins 0, 1, 2, ... in alphabetical order. ``lists``: of ranked lists, in
    place of the grid, per segment the sums of ``evidence.lists.PARTS`` by unit bucket, shape (256, 5).
    ``shares``: the pairs on the grid by the share of units (points of 10,000) that were copied where they came from,
    for a plan that copies segments at shares of their own.
    """

    grid: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    pairs: int = 0
    unmatched: int = 0
    buckets: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    outputs: Outputs = ""
    lists: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    shares: Mapping[int, Sampled] = field(default_factory=dict)


@dataclass(frozen=True)
class Captured:
    """Requests of one (phase, arm): lines in the capture log beside Envoy's own counter.

    ``lost``: those that were counted and whose lines are known to have ended with an Envoy, before it wrote them.
    """

    logged: int
    counted: int | None
    lost: int = 0


@dataclass(frozen=True)
class Evidence:
    """What a look at event time ``at`` sees: exactly the events up to ``at``, the open time bucket included.

    ``metrics``: champion and canary; ``pairs``: champion and shadow on the same requests (losses only).
    ``inputs``: the features that both used for them, where they told.
    """

    at: datetime
    metrics: Mapping[str, MetricEvidence] = field(default_factory=dict)
    pairs: Mapping[str, MetricEvidence] = field(default_factory=dict)
    units: UnitCounts = field(default_factory=UnitCounts)
    exposures: Mapping[tuple[int, Arm], int] = field(default_factory=dict)
    shadow: ShadowEvidence = field(default_factory=ShadowEvidence)
    inputs: InputTally = field(default_factory=InputTally)
    capture: Mapping[tuple[int, Arm], Captured] = field(default_factory=dict)
