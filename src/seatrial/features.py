"""Saying, in the answer of a model's own server, which features the model used.

Nobody else knows: features are looked up behind the request. What is said travels in a header of the answer, so it
cannot be lost or delivered twice apart from it, and needs neither a token nor a second connection. The model host takes
the header away again; clients do not see it. Standard library only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any

log = logging.getLogger("seatrial.features")

FEATURES_HEADER = "x-seatrial-features"
FEATURES_MAX = 8000
"""Characters; HTTP clients refuse answers with longer headers."""

Moment = datetime | float
Row = Mapping[str, Any]


def log_features(
    headers: MutableMapping[str, str],
    rows: Row | Sequence[Row],
    *,
    as_of: Moment | Mapping[str, Moment] | None = None,
    schema: str | None = None,
) -> bool:
    """Put the features that the model used into the headers of its answer; false where they have no place there.

    ``rows``: one mapping of names to values for each row that was predicted, or a single one. ``as_of``: when the
    values were true, of all features or by name: aware times, or seconds since 1970. ``schema``: name or version of the
    feature view. Never raises, because an answer is worth more than what is said about it. Said twice, the last counts.

    >>> headers = {}
    >>> log_features(headers, {"amount": 12.5}, schema="v3")
    True
    >>> headers
    {'x-seatrial-features': '[{"amount":12.5,"@schema":"v3"}]'}
    """
    about: dict[str, Any] = {} if schema is None else {"@schema": schema}
    if as_of is not None:
        about["@as_of"] = as_of
    try:
        listed = [rows] if isinstance(rows, Mapping) else rows
        text = json.dumps([{**row, **about} for row in listed], separators=(",", ":"), default=_plain)
        if len(text) > FEATURES_MAX:
            log.warning("features of %d characters are not told: at most %d", len(text), FEATURES_MAX)
            return False
        headers[FEATURES_HEADER] = text
    except Exception as error:
        log.warning("features are not told: %r", error)
        return False
    return True


def _plain(value: Any) -> Any:
    """What JSON has no form for: times with their offset, numbers and arrays of numpy; of anything else the text."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"the time {value.isoformat()} has no offset")
        return value.isoformat()
    return value.tolist() if hasattr(value, "tolist") else str(value)
