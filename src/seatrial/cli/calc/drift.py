"""``seatrial calc psi``: the population stability index by hand."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.calc import given
from seatrial.cli.calc.say import say
from seatrial.errors import UsageError

Bins = list[float]


def add_to(app: typer.Typer) -> None:
    app.command("psi")(psi)


def psi(
    reference: Annotated[str, typer.Option(metavar="A,B,...", help="Shares, or counts, of the bins in the reference.")],
    current: Annotated[str, typer.Option(metavar="A,B,...", help="Of the same bins now.")],
    threshold: Annotated[
        float, typer.Option(min=0, metavar="PSI", help="What it is held against: 0.1 is moderate, 0.25 major.")
    ] = 0.25,
    alpha: Annotated[
        str, typer.Option(metavar="PART", help="Of samples without drift, how many may exceed; with counts.")
    ] = "0.05",
    as_json: output.Json = False,
) -> None:
    """How far has a distribution moved? With counts the threshold is never below what chance alone gives."""
    from seatrial.stats.drift.psi import SMOOTHING, no_drift_p, no_drift_quantile, parts
    from seatrial.stats.drift.psi import psi as index_of

    level = given.fraction(alpha, "--alpha")
    before, now = _bins("--reference", reference), _bins("--current", current)
    if len(before) != len(now) or len(before) < 2:
        raise UsageError(
            "ST0380", f"{len(before)} bins of the reference and {len(now)} of now.",
            remedy="Give the same bins on both sides, at least two: --reference 0.3,0.7 --current 0.2,0.8",
        )  # fmt: skip
    counted = [_counted(side) for side in (before, now)]
    if any(counted) and not all(counted):
        raise UsageError(
            "ST0380", "shares on one side and counts on the other.", remedy="Give both as shares, or both as counts."
        )
    if not any(counted) and 0 in (*before, *now):
        raise UsageError(
            "ST0381", "a share of 0 makes the index infinite, whatever the others are.",
            remedy="Give counts: an empty bin then counts as rare (half a value is added to each).",
        )  # fmt: skip
    smoothing = SMOOTHING if all(counted) else 0.0
    found = index_of(before, now, smoothing)
    chance = no_drift_quantile(sum(before), sum(now), len(before), level) if all(counted) else None
    limit = max(threshold, chance or 0.0)
    document: dict[str, Any] = {
        "psi": found,
        "exceeds": found > limit,
        "threshold": limit,
        "threshold_asked": threshold,
        "chance_quantile": chance,
        "p_value": no_drift_p(found, sum(before), sum(now), len(before)) if all(counted) else None,
        "alpha": level,
        "bins": len(before),
        "parts": parts(before, now, smoothing).tolist(),
        "smoothing": smoothing,
    }
    say("psi", document, as_json)


def _bins(option: str, text: str) -> Bins:
    def read(part: str) -> float:
        value = amounts.number(part)
        if not 0 <= value <= 1e15:
            raise ValueError(f"'{part.strip()}' is neither a share nor a count")
        return value

    found = [amounts.read(option, part, read, "0.3,0.7") for part in text.split(",")]
    whole = all(value == int(value) for value in found) and sum(found) > 1
    if not whole and not math.isclose(sum(found), 1, abs_tol=1e-6):
        raise UsageError(
            "ST0380", f"{option}: they sum to {sum(found):.6g}, so they are not the shares of all bins.",
            remedy="Shares sum to 1 (or 100%); counts are whole numbers.",
        )  # fmt: skip
    return found


def _counted(side: Bins) -> bool:
    return sum(side) > 1 + 1e-6
