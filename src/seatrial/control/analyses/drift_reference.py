"""A reference as a file: counts of cells and categories, from which no row of the data can be read back."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.control.analyses.drift import Known
from seatrial.engines.drift import Reference
from seatrial.errors import NotFound, SeatrialError
from seatrial.stats.drift.categories import Categories
from seatrial.stats.drift.cells import CELLS, Cells, Frame
from seatrial.stats.drift.measures import Column, Dependence

SCHEMA = "seatrial.drift-reference.v1"
ENDING = ".reference.json"


def keep(known: Known, path: Path) -> None:
    """Write it. Names of categories are in it as they are in the data; numbers are not."""
    columns = {name: _written(one) for name, one in known.columns.items()}
    document = {"schema": SCHEMA, "name": known.name, "rows": known.rows, "columns": columns,
                "leftOut": dict(known.left_out)}  # fmt: skip
    path.write_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")


def kept(path: Path) -> Known:
    """Read it. Raises NotFound, or SeatrialError (ST0385) for a file that is no reference."""
    if not path.is_file():
        raise NotFound("ST0385", f"there is no reference '{path}'.", remedy="Write one with --keep.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise ValueError(f"its schema is {found['schema']}")
        columns = {name: _read(one) for name, one in found["columns"].items()}
        return Known(name=found["name"], rows=found["rows"], columns=columns, left_out=found["leftOut"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SeatrialError(
            "ST0385", f"'{path}' is not a reference of this version: {error}.", remedy="Write it again with --keep."
        ) from None


def _written(one: Reference) -> dict[str, Any]:
    common = {"missing": one.column.missing, "dependence": list(astuple(one.dependence))}
    if isinstance(one.column, Categories):
        return {"categories": dict(one.column.counts), **common}
    cells = np.flatnonzero(one.column.counts)
    frame = one.column.frame
    return {"frame": [frame.center, frame.scale], "cells": cells.tolist(), "counts": one.column.counts[cells].tolist(),
            **common}  # fmt: skip


def _read(found: dict[str, Any]) -> Reference:
    scale, share, *more = found["dependence"]
    floor, known = more or (0.0, None)
    dependence = Dependence(float(scale), float(share), float(floor), None if known is None else float(known))
    column: Column
    if "categories" in found:
        column = Categories({str(name): int(n) for name, n in found["categories"].items()}, int(found["missing"]))
    else:
        counts = np.zeros(CELLS, dtype=np.int64)
        counts[np.array(found["cells"], dtype=np.int64)] = found["counts"]
        column = Cells(Frame(*(float(part) for part in found["frame"])), counts, int(found["missing"]))
    return Reference(column, dependence)
