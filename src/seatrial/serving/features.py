"""Features that a foreign server says it used, as the header that the gateway takes into the log, and away."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seatrial.serving.columns import HEADER_LIMIT


def features_header(body: bytes, names: Sequence[str] | None) -> tuple[bytes, bytes] | None:
    """The header for a top-level list ``features`` in an answer; None where there is none, or too much to say.

    ``names``: those that may leave; None for all.
    """
    if b'"features"' not in body or (names is not None and not names):
        return None
    try:
        document = json.loads(body)
        rows = document.get("features") if isinstance(document, dict) else None
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            return None
        kept = [{key: row[key] for key in row if names is None or key in names} for row in rows]
        text = json.dumps(kept, separators=(",", ":"))
    except (ValueError, RecursionError):  # the answer may be in another format, where this is a word like any other
        return None
    return (b"x-seatrial-features", text.encode("ascii")) if any(kept) and len(text) <= HEADER_LIMIT else None
