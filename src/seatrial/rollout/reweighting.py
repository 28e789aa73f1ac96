"""Pairs that were copied at different shares: each counts for as many requests as it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.snapshot import Outputs, ShadowEvidence
from seatrial.stats.weighting import evenness, rank_influence, weighted_units

POINTS = 10_000
"""Shares are out of so many."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Weighed:
    """A grid whose pairs count by inverse share, adding up to their number.

    ``units``: what they are worth as units of equal weight (Kish); ``worth``: what is left of that for the estimate,
    where pairs that stand for many also vary more (``stats.weighting.evenness``).
    """

    grid: Floats
    units: float
    worth: float


def weigh(shadow: ShadowEvidence, segment: str) -> Weighed | None:
    """A segment whose pairs were copied at several shares; None where they are all alike."""
    grids = {share: found.grid[segment] for share, found in shadow.shares.items() if segment in found.grid}
    if len(grids) < 2:
        return None
    buckets = {POINTS / share: shadow.shares[share].buckets[segment] for share in grids}
    return weigh_grids({POINTS / share: grid for share, grid in grids.items()}, buckets, shadow.outputs)


def weigh_grids(
    grids: Mapping[float, NDArray[np.int64]], buckets: Mapping[float, NDArray[np.int64]], outputs: Outputs
) -> Weighed:
    """Grids and unit buckets by weight."""
    pairs = sum(int(grid.sum()) for grid in grids.values())
    total: Floats = np.sum([weight * grid for weight, grid in grids.items()], axis=0)
    influence = agreement_influence(total) if outputs == "classes" else rank_influence(total)
    units = weighted_units(buckets)
    parts = {w: (float(grid.sum()), float((grid * influence**2).sum())) for w, grid in grids.items()}
    return Weighed(total * (pairs / total.sum()), units, units * evenness(parts))


def agreement_influence(grid: Floats) -> Floats:
    """Influence of a pair in each cell on the share of pairs that agree."""
    same = np.eye(len(grid))
    return np.asarray(same - float((grid * same).sum() / grid.sum()), dtype=np.float64)
