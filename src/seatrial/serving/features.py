"""Features that a foreign server says it used, as the header that the gateway takes into the log, and away.

It says them in a header of the same name (``seatrial.log_features``), or in a list ``features`` of its answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from seatrial.evidence.features import only
from seatrial.features import FEATURES_HEADER
from seatrial.serving.columns import HEADER_LIMIT


def features_header(told: str | None, body: bytes, names: Sequence[str] | None) -> tuple[bytes, bytes] | None:
    """The header for the features that an answer names; None where it names none, or has too much to say.

    ``told``: the header that the server sent itself, which counts before the body. ``names``: those that may leave;
    None for all.
    """
    if (told is None and b'"features"' not in body) or (names is not None and not names):
        return None
    try:
        rows = json.loads(told) if told is not None else _listed(json.loads(body))
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            return None
        kept = [only(row, names) for row in rows]
        text = json.dumps(kept, separators=(",", ":"))
    except (ValueError, RecursionError):  # the answer may be in another format, where this is a word like any other
        return None
    return (FEATURES_HEADER.encode(), text.encode("ascii")) if any(kept) and len(text) <= HEADER_LIMIT else None


def _listed(document: object) -> object:
    return document.get("features") if isinstance(document, dict) else None
