"""How far a command says it is: lines of JSON among whatever else it prints."""

from __future__ import annotations

import json
import math

LONGEST_MESSAGE = 200


def latest(text: str) -> tuple[float | None, str]:
    """The last progress that was told, 0 to 1, and the last message; a line may have either.

    >>> latest('loading\\n{"progress": 0.4, "message": "epoch 2 of 5"}\\n{"progress": 0.6}\\n')
    (0.6, 'epoch 2 of 5')
    """
    progress: float | None = None
    message = ""
    for line in reversed(text.splitlines()):
        told = _told(line)
        if told is None:
            continue
        progress = _share(told.get("progress")) if progress is None else progress
        message = message or _message(told.get("message"))
        if progress is not None and message:
            break
    return progress, message


def _told(line: str) -> dict[str, object] | None:
    line = line.strip()
    if not (line.startswith("{") and line.endswith("}")):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.keys() & {"progress", "message"} else None


def _share(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, float(value)))


def _message(value: object) -> str:
    return " ".join(value.split())[:LONGEST_MESSAGE] if isinstance(value, str) else ""
