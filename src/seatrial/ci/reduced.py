"""``python -m seatrial.ci.reduced SPEC.json ROWS.json PRECISION``: a model's answers at less precision.

A process of its own, as every model that is loaded. Inputs, every array of floats that the model holds, and its answers
are rounded. Arithmetic in between keeps its own precision, so this finds what rounding of inputs and parameters does,
and not what another order of summation does. Parameters of an ONNX graph are not reached.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.ci.parity import rounded
from seatrial.events.wire import Request
from seatrial.serving.columns import Columns
from seatrial.serving.loaders import load
from seatrial.serving.spec import HostSpec

DEPTH = 8


def answers(spec: HostSpec, rows: Sequence[dict[str, Any]], precision: str) -> dict[str, Any]:
    """Scores at the given precision, and how many parameter arrays were rounded."""
    model = load(spec)
    holder = getattr(model.predict, "__self__", None)
    arrays = 0 if holder is None or spec.format == "onnx" else _round_parameters(holder, precision, DEPTH, set())
    columns = Columns(spec.features, spec.dtypes, tuple(model.categories))
    batch = [columns.rows(Request("json", 1, features=(row,))) for row in rows]
    if model.wants_frame:
        data = columns.frame(batch)
        for name in data.columns:
            if data[name].dtype.kind == "f":
                data[name] = rounded(data[name].to_numpy(), precision)
    else:
        data = rounded(np.asarray(columns.array(batch)), precision)
    output = np.asarray(model.predict(data), dtype=np.float64)
    scores = rounded(output[:, -1] if output.ndim == 2 else output, precision)
    return {"arrays": arrays, "scores": [float(score) if np.isfinite(score) else None for score in scores]}


def _round_parameters(thing: Any, precision: str, depth: int, seen: set[int]) -> int:
    """Every float array that hangs on an estimator, in place where it can be written; returns how many."""
    if depth == 0 or id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return _round_array(thing, precision)
    held: list[Any] = []
    if isinstance(thing, (list, tuple)):
        held = list(thing)
    elif isinstance(thing, dict):
        held = list(thing.values())
    elif type(thing).__name__ == "Tree":  # compiled: it has no dictionary, and shows its arrays
        held = [thing.threshold, thing.value]
    elif type(thing).__module__.partition(".")[0] == "sklearn" and hasattr(thing, "__dict__"):
        held = list(vars(thing).values())
    return sum(_round_parameters(one, precision, depth - 1, seen) for one in held)


def _round_array(array: np.ndarray[Any, Any], precision: str) -> int:
    """In place; a table of records (the nodes of a boosted tree) by its float columns."""
    parts = [array] if array.dtype.names is None else [array[name] for name in array.dtype.names]
    floats = [part for part in parts if part.dtype.kind == "f" and part.flags.writeable]
    for part in floats:
        part[...] = rounded(part, precision)
    return int(bool(floats))


def main(arguments: Sequence[str]) -> None:
    spec, rows, precision = arguments
    told = answers(HostSpec.read(Path(spec)), json.loads(Path(rows).read_text(encoding="utf-8")), precision)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
