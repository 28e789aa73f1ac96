"""``seatrial cadence curve``: how loss grows with a model's age, from a log of models of several ages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.cadence import given
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.retrain.staleness import Measured

_HEADER = "period,age_days,loss"


def curve(
    log: Annotated[
        Path, typer.Option(metavar="FILE", help=f"CSV of {_HEADER} (or age_hours): models of several ages a period.")
    ],
    relative: Annotated[
        bool, typer.Option("--relative", help="Decline in per cent of the youngest's loss, not of 1.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the curve for `cadence optimise --curve FILE`.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Loss against a model's age with intervals, paired by period: what `cadence optimise` needs to know."""
    from seatrial.retrain.staleness import measured

    try:
        found = measured(_rows(log), relative=relative)
    except ValueError as error:
        raise UsageError(
            "ST1350",
            f"'{log}': {error}.",
            remedy="Each period needs models of several ages: `cadence compare --run`.",
        ) from None
    if out is not None:
        given.write(out, ("age_days", "decline", "lower", "upper"), found.usable)
    document = _document(found, relative)
    if as_json:
        output.data(document)
    else:
        _tell(document, out)


def _rows(path: Path) -> list[tuple[str, float, float]]:
    """Raises ValueError for ages and losses that are no numbers."""
    lines = given.rows(path, ("period", "loss"), _HEADER)
    name, scale = ("age_days", 1.0) if "age_days" in lines[0] else ("age_hours", 24.0)
    if name not in lines[0]:
        raise ValueError("it has neither age_days nor age_hours")
    return [(line["period"], float(line[name]) / scale, float(line["loss"])) for line in lines]


def _document(found: Measured, relative: bool) -> dict[str, Any]:
    return {
        "schema": "seatrial.staleness-curve.v1",
        "unit": "per cent of the youngest's loss" if relative else "points of per cent",
        "youngest_days": found.youngest,
        "youngest_loss": found.loss,
        "points": [
            {
                "age_days": one.age,
                "loss": one.loss,
                "periods": one.periods,
                "decline": None if one.decline is None else one.decline.mean,
                "interval": None if one.decline is None else list(one.decline.interval),
            }
            for one in found.points
        ],
    }


def _tell(d: dict[str, Any], out: Path | None) -> None:
    from seatrial.cli.tables import table

    output.text(f"Youngest: {d['youngest_days']:.3g} d, loss {d['youngest_loss']:.5g}. Decline in {d['unit']}, 95%.")
    output.text("")
    headers = ("AGE", "LOSS", "DECLINE", "INTERVAL", "PERIODS")
    rows = [
        (f"{one['age_days']:.3g} d", f"{one['loss']:.5g}", *_decline(one), f"{one['periods']:,}") for one in d["points"]
    ]
    output.show(table(headers, rows, right=headers))
    if out is not None:
        output.text("")
        output.text(f"✔ '{out}': seatrial cadence optimise --curve {out} --cost K --loss L/pct-day")


def _decline(one: dict[str, Any]) -> tuple[str, str]:
    if one["decline"] is None:
        return "-", "too few periods"
    low, high = one["interval"]
    return f"{one['decline']:+.3g}", f"[{low:+.3g}, {high:+.3g}]"
