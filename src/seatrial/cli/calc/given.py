"""Numbers as people write them on ``seatrial calc``: shares, effects, traffic; each refused with its remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from seatrial.cli import amounts
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.values import Margin

_NUMBER = r"(\d+(?:\.\d+)?(?:e-?\d+)?)"
_MOST = 1e15
_LEAST = 1e-12


def successes(x: int, n: int, arm: str = "") -> tuple[int, int]:
    """Successes and trials of one arm, ``arm`` as in the options' names. Raises UsageError (ST0240)."""
    if n == 0 or x > n:
        what = "no trials" if n == 0 else f"{x} successes of {n} trials"
        raise UsageError(
            "ST0240", f"--x{arm}, --n{arm}: {what}.", remedy=f"--x{arm} counts successes among the --n{arm} trials."
        )
    return x, n


def fraction(text: str, option: str) -> float:
    """A part of 1, as ``5%`` or ``0.05``. Raises UsageError (ST0241)."""
    try:
        value = amounts.number(text)
    except ValueError:
        value = -1.0
    if not _LEAST <= value <= 1 - _LEAST:
        raise UsageError(
            "ST0241", f"{option}: '{text}' is not a part between 0 and 1.", remedy=f"e.g. {option} 5% or {option} 0.05"
        )
    return value


def margin(text: str) -> Margin:
    """The size of a tolerable loss with its unit. Raises UsageError (ST0242), also for a sign or a bare number."""
    from seatrial.values import Margin

    try:
        found = Margin.parse(text)
        if found.value >= 1:
            raise ValueError(f"'{text}': a loss of that size tolerates everything")
    except ValueError as error:
        raise UsageError(
            "ST0242", f"--margin: {error}.",
            remedy="--margin 1% is one per cent of the champion's rate, --margin 0.1pp a tenth of a point. "
            "It is a size: --better says which direction is a loss.",
        ) from None  # fmt: skip
    return found


def changed(baseline: float, text: str) -> float:
    """The rate after an effect with its unit, ``-0.5%`` or ``0.1pp``. Raises UsageError (ST0243)."""
    found = re.fullmatch(rf"\s*([+-]?){_NUMBER}\s*(%|pp)\s*", text)
    if found is None:
        raise UsageError(
            "ST0243", f"--effect: '{text}' has no unit, so nobody can tell what it means."
            if re.fullmatch(rf"\s*[+-]?{_NUMBER}\s*", text) else f"--effect: '{text}' is not an effect.",
            remedy="--effect -0.5% is relative to the baseline, --effect -0.03pp is in points.",
        )  # fmt: skip
    size = float(found[2]) / 100 * (-1 if found[1] == "-" else 1)
    target = baseline * (1 + size) if found[3] == "%" else baseline + size
    none = abs(target / baseline - 1) < 1e-6
    if none or not _LEAST < target < 1 - _LEAST:
        why = "no effect at all" if none else f"{baseline:.4%} would become {target:.4%}"
        raise UsageError("ST0243", f"--effect: '{text}': {why}.", remedy="Give the smallest change that matters.")
    return target


def per_day(text: str) -> float:
    """Traffic a day from ``20M/day`` or ``500/h``. Raises UsageError (ST0244)."""
    try:
        amount = amounts.per_day(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount < _MOST:
        raise UsageError(
            "ST0244", f"--traffic: '{text}' is not an amount per time.",
            remedy="e.g. --traffic 20M/day, 500k/day or 1200/h",
        )  # fmt: skip
    return amount


def split(counts: str, shares: str) -> tuple[list[int], list[float]]:
    """Units of each arm and their planned shares, separated by commas. Raises UsageError (ST0245)."""
    parts = [part.strip() for part in counts.split(",")]
    if not all(re.fullmatch(r"\d{1,15}", part) for part in parts):
        raise UsageError("ST0245", f"--counts: '{counts}' are not whole numbers.", remedy="e.g. --counts 5013,4870")
    planned = [fraction(part, "--shares") for part in shares.split(",")]
    if len(planned) != len(parts) or len(parts) < 2:
        raise UsageError(
            "ST0245", f"{len(parts)} counts and {len(planned)} shares.",
            remedy="Give both for the same arms, at least two, champion first: --counts 5013,4870 --shares 50%,50%",
        )  # fmt: skip
    if abs(sum(planned) - 1) > 1e-9:
        raise UsageError(
            "ST0245", f"--shares: they sum to {sum(planned):.4%}.",
            remedy="The shares of all arms make 100%; leave out an arm that is planned to be empty.",
        )  # fmt: skip
    return [int(part) for part in parts], planned


def design_effect(given: float | None, per_unit: float | None, icc: float | None) -> float:
    """The design effect as it was given or as Kish has it; 1 if nothing was. Raises UsageError (ST0246)."""
    from seatrial.stats.samplesize import kish_design_effect

    if given is None and per_unit is None and icc is None:
        return 1.0
    if given is not None and per_unit is None and icc is None and 0 < given < _MOST:
        return given
    try:
        if given is None and per_unit is not None and icc is not None:
            return kish_design_effect(per_unit, icc)
        what = "give either --design-effect, or --per-unit with --icc"
    except ValueError as error:
        what = str(error)
    raise UsageError(
        "ST0246", f"the design effect of returning units: {what}.",
        remedy="e.g. --design-effect 2.5 where the effective sample is 40%, or --per-unit 10 --icc 0.05",
    )  # fmt: skip
