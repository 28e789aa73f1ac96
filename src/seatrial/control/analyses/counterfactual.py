"""What a candidate's choices would have earned, from a log whose choices were partly left to chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seatrial.engines.columns import USUAL
from seatrial.engines.inputs import Input
from seatrial.engines.usual import usual_columns
from seatrial.errors import UsageError
from seatrial.stats.offpolicy import Counterfactual, Value, counterfactual

Document = dict[str, Any]
Result = Literal["candidate", "champion", "undecided"]
Floats = NDArray[np.float64]

PARTS: Mapping[str, tuple[str, ...]] = {
    "unit": USUAL["unit"],
    "reward": ("reward", "click", "clicked"),
    "propensity": ("propensity", "propensity_score", "pscore"),
    "candidate-propensity": ("candidate_propensity", "candidate_pscore"),
    "action": ("action", "item", "item_id"),
    "candidate-action": ("candidate_action", "candidate_item"),
}
OPTIONAL = ("unit", "propensity", "candidate-propensity", "action", "candidate-action")
_UNKNOWN = (
    "Log what was chosen and with which probability, or compare the rankers with `seatrial analyze interleaving`."
)

_OTHER = "Leave such rows out, or name another column."


@dataclass(frozen=True, kw_only=True)
class Question:
    """``columns``: names by part. ``alpha``: of the intervals."""

    columns: Mapping[str, str] = field(default_factory=dict)
    alpha: float = 0.05


@dataclass(frozen=True)
class Estimate:
    """What the log allows to say; ``left_out``: decisions without a reward."""

    name: str
    question: Question
    found: Counterfactual
    by_unit: bool
    left_out: int

    @property
    def result(self) -> Result:
        if self.found.difference is None:
            return "undecided"
        low, high = self.found.difference.interval
        return "candidate" if low > 0 else "champion" if high < 0 else "undecided"


def estimate(source: Input, question: Question) -> Estimate:
    """One look at a log of decisions.

    Raises UsageError for columns that are missing (ST0292), values that cannot be (ST0293), a log whose choices were
    not left to chance (ST0294) or a question that means nothing (ST0295).
    """
    if not 0 < question.alpha < 1:
        raise UsageError("ST0295", "alpha is between 0 and 1.", remedy="e.g. --alpha 0.05")
    columns = usual_columns(source.columns, PARTS, question.columns, source.name, optional=OPTIONAL)
    _require_chance(columns, source.name)
    table = source.run(source.table.select(*dict.fromkeys(columns.values())))
    known = table.filter(pc.is_valid(table[columns["reward"]]))
    logged = _numbers(known, columns["propensity"], source.name)
    _check_chances(logged, columns["propensity"], source.name, possible=lambda p: (p > 0) & (p <= 1))
    if logged.size and np.all(logged == 1):
        raise UsageError("ST0294", f"'{source.name}': every choice had probability 1, none was tried.", remedy=_UNKNOWN)
    chosen = _candidate(known, columns, source.name)
    units = known[columns["unit"]].to_numpy(zero_copy_only=False).astype(str) if "unit" in columns else None
    found = counterfactual(
        chosen / logged, _numbers(known, columns["reward"], source.name), units, alpha=question.alpha
    )
    return Estimate(source.name, question, found, "unit" in columns, table.num_rows - known.num_rows)


def _require_chance(columns: Mapping[str, str], name: str) -> None:
    if "propensity" not in columns:
        raise UsageError(
            "ST0294", f"'{name}' does not say how probable each choice was: there is no estimate without.",
            remedy=f"{_UNKNOWN} If it is another column: --propensity COLUMN.",
        )  # fmt: skip
    if "candidate-propensity" not in columns and not {"action", "candidate-action"} <= set(columns):
        raise UsageError(
            "ST0294", f"'{name}' does not say what the candidate would have chosen.",
            remedy="--candidate-propensity COLUMN: its probability of the logged choice; or, if it leaves nothing to "
            "chance, --action and --candidate-action.",
        )  # fmt: skip


def _candidate(table: pa.Table, columns: Mapping[str, str], name: str) -> Floats:
    """The candidate's probability of what was chosen: 0 or 1 for one that leaves nothing to chance."""
    if "candidate-propensity" in columns:
        chosen = _numbers(table, columns["candidate-propensity"], name)
        _check_chances(chosen, columns["candidate-propensity"], name, possible=lambda p: (p >= 0) & (p <= 1))
        return chosen
    action, wanted = (table[columns[part]] for part in ("action", "candidate-action"))
    if action.null_count or wanted.null_count:
        raise UsageError("ST0293", f"'{name}' has rows without an action.", remedy=_OTHER)
    same: Floats = np.array(action.to_pylist(), dtype=object) == np.array(wanted.to_pylist(), dtype=object)
    return same.astype(np.float64)


def _numbers(table: pa.Table, column: str, name: str) -> Floats:
    values = table[column]
    try:
        numbers: Floats = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UsageError("ST0293", f"column '{column}' of '{name}' does not hold numbers.", remedy=_OTHER) from None
    if not np.all(np.isfinite(numbers)):
        raise UsageError("ST0293", f"column '{column}' of '{name}' has rows without a number.", remedy=_OTHER)
    return numbers


def _check_chances(chances: Floats, column: str, name: str, *, possible: Callable[[Floats], Any]) -> None:
    wrong = chances[~possible(chances)]
    if wrong.size:
        raise UsageError(
            "ST0293", f"column '{column}' of '{name}' holds {wrong[0]:g}, which is no probability of a choice.",
            remedy="What was chosen had a probability above 0 and at most 1; the candidate's may be 0.",
        )  # fmt: skip


def estimate_document(e: Estimate) -> Document:
    """Everything as one document (``seatrial.counterfactual.v1``). Rewards are a decision."""
    f = e.found
    return {
        "schema": "seatrial.counterfactual.v1",
        "log": e.name,
        "result": e.result,
        "status": f.status,
        "reason": f.reason or _reason(e.result),
        "decidedAt": "one look",
        "alpha": e.question.alpha,
        "logged": _value(f.logged),
        "ips": _value(f.ips),
        "snips": _value(f.snips),
        "difference": _value(f.difference),
        "effectiveUnits": f.effective,
        "largestShare": f.largest,
        "meanWeight": _value(f.mean_weight),
        "data": {
            "decisions": f.decisions,
            "units": f.units if e.by_unit else None,
            "leftOut": {"withoutReward": e.left_out},
        },
    }


def _value(v: Value | None) -> Document | None:
    return None if v is None else {"estimate": v.value, "standardError": _finite(v.error), "interval": _finite_ends(v)}


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None


def _finite_ends(v: Value) -> list[float] | None:
    return [*v.interval] if np.isfinite(v.error) else None


def _reason(result: Result) -> str:
    return {
        "candidate": "the candidate would have earned more",
        "champion": "the candidate would have earned less",
        "undecided": "no difference is shown",
    }[result]
