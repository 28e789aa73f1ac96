"""Golden outputs: inputs with what a model answered to them on some machine, kept as a file beside the code."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.ci.parity import Scores
from seatrial.errors import NotFound, UsageError
from seatrial.store.canonical import canonical

SCHEMA = "seatrial.golden.v1"


@dataclass(frozen=True, slots=True)
class Golden:
    """``digest``: of the model that answered; ``device``: where. ``scores`` has one number for each row, or NaN."""

    model: str
    digest: str
    device: str
    recorded_at: str
    rows: tuple[Mapping[str, Any], ...]
    scores: Scores

    def text(self) -> str:
        """The file. JSON has no NaN: a row without an answer is null."""
        plain = [float(score) if math.isfinite(score) else None for score in self.scores]
        return canonical({
            "schema": SCHEMA, "model": self.model, "digest": self.digest, "device": self.device,
            "recordedAt": self.recorded_at, "rows": [dict(row) for row in self.rows], "scores": plain,
        }) + "\n"  # fmt: skip


def read_scores(path: Path, count: int) -> Scores:
    """Answers that somebody else recorded: one number a line, as many as there are rows."""
    try:
        found = np.array([float(line) for line in path.read_text(encoding="utf-8").split()])
    except FileNotFoundError:
        raise NotFound("ST1224", f"there is no file '{path}'.", remedy="One number a line.") from None
    except (OSError, ValueError) as error:
        raise UsageError("ST1225", f"'{path}' is not numbers: {error}.", remedy="One number a line.") from None
    if len(found) != count:
        raise UsageError(
            "ST1225", f"'{path}' has {len(found)} numbers for {count} rows.", remedy="One number a row, in order."
        )
    return found


def read_golden(path: Path) -> Golden:
    """Raises NotFound, and UsageError for a file that is not one of ``seatrial ci golden``."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["schema"] != SCHEMA:
            raise ValueError(f"its schema is {told['schema']}")
        scores = np.array([math.nan if score is None else float(score) for score in told["scores"]])
        rows = tuple(dict(row) for row in told["rows"])
        if not rows or len(rows) != len(scores):
            raise ValueError(f"{len(rows)} rows and {len(scores)} scores")
        return Golden(told["model"], told["digest"], told["device"], told["recordedAt"], rows, scores)
    except FileNotFoundError:
        raise NotFound(
            "ST1216", f"there is no golden file '{path}'.", remedy="`seatrial ci golden MODEL VERSION` records one."
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            "ST1217", f"'{path}' is not a golden file: {error}.", remedy="`seatrial ci golden` records one."
        ) from None
