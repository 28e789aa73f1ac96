"""Two machines, one model: are recorded and replayed answers the same, up to rounding that decides nothing?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.stats.ranking import spearman

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parity:
    """``flips``: decisions (score >= threshold) that differ; None without a threshold. ``rank_agreement``: Spearman's
    rho, None where a side is constant. ``one_sided``: rows that are a finite number on one side only.
    """

    rows: int
    largest: float
    beyond: int
    one_sided: int
    flips: int | None
    rank_agreement: float | None

    def document(self) -> dict[str, Any]:
        return {
            "rows": self.rows, "largestDifference": self.largest, "beyondTolerance": self.beyond,
            "oneSided": self.one_sided, "flips": self.flips, "rankAgreement": self.rank_agreement,
        }  # fmt: skip


def compare(recorded: Scores, replayed: Scores, *, tolerance: float, threshold: float | None = None) -> Parity:
    """Compare scores row by row (both of shape (n,)).

    >>> a = np.array([0.1, 0.5, 0.9])
    >>> compare(a, a + 1e-7, tolerance=1e-5).beyond, compare(a, a + 1e-2, tolerance=1e-5).beyond
    (0, 3)
    >>> compare(a, a - 1e-6, tolerance=1e-5, threshold=0.5).flips
    1
    """
    if recorded.shape != replayed.shape or recorded.ndim != 1 or not len(recorded):
        raise ValueError(f"{recorded.shape} and {replayed.shape} are not two columns of equally many answers")
    finite = np.isfinite(recorded) & np.isfinite(replayed)
    one_sided = int((np.isfinite(recorded) != np.isfinite(replayed)).sum())
    difference = np.abs(recorded[finite] - replayed[finite])
    flips = None
    if threshold is not None:  # NaN is on no side of a threshold: it is counted as one-sided, or on both sides
        flips = int(((recorded[finite] >= threshold) != (replayed[finite] >= threshold)).sum())
    return Parity(
        rows=len(recorded),
        largest=float(difference.max(initial=0.0)),
        beyond=int((difference > tolerance).sum()),
        one_sided=one_sided,
        flips=flips,
        rank_agreement=spearman(recorded[finite], replayed[finite]),
    )


def rounded(values: npt.NDArray[Any], precision: str) -> npt.NDArray[Any]:
    """Floats as a machine of less precision holds them, in the type they came in; anything else as it is.

    *bfloat16* keeps the upper half of a float32, rounded to nearest, ties to even (as accelerators do). NaN stays NaN.

    >>> rounded(np.array([1.0, 1.001, 1.005]), "bfloat16").tolist()
    [1.0, 1.0, 1.0078125]
    """
    if values.dtype.kind != "f":
        return values
    single = values.astype(np.float32)
    if precision == "bfloat16":
        bits = single.view(np.uint32)
        even = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        cut = ((bits + even) & np.uint32(0xFFFF0000)).view(np.float32)
        single = np.where(np.isfinite(single), cut, single).astype(np.float32)
    elif precision != "float32":
        raise ValueError(f"{precision!r} is not float32 or bfloat16")
    return single.astype(values.dtype)
