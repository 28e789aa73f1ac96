"""The tables everything after capture is computed from: predictions (event schema v1) and outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

EVENT_SCHEMA_VERSION = "1"
SEGMENT_PREFIX = "seg_"
UNKNOWN = "unknown"
"""Segment value of a row whose request did not carry the field."""

MOMENT = pa.timestamp("us", tz="UTC")

_EVENT_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("request_id", pa.string()),
    ("row", pa.int32()),
    ("outcome_key", pa.string()),
    ("model", pa.string()),
    ("rollout", pa.string()),
    ("phase", pa.int32()),
    ("sampled", pa.int16()),
    ("arm", pa.string()),
    ("served_version", pa.string()),
    ("served_level", pa.string()),
    ("attempts", pa.int16()),
    ("level_reason", pa.string()),
    ("reasons", pa.string()),
    ("unit", pa.string()),
    ("bucket", pa.int16()),
    ("time", MOMENT),
    ("event_time", MOMENT),
    ("captured_at", MOMENT),
    ("status", pa.int16()),
    ("error", pa.bool_()),
    ("error_kind", pa.string()),
    ("latency_us", pa.int64()),
    ("request_bytes", pa.int64()),
    ("response_bytes", pa.int64()),
    ("request_hash", pa.string()),
    ("score", pa.float64()),
    ("label", pa.string()),
    ("items", pa.list_(pa.string())),
    ("item_scores", pa.list_(pa.float64())),
    ("decision", pa.string()),
    ("threshold", pa.float64()),
    ("observable", pa.bool_()),
    ("propensity", pa.float64()),
    ("action_set", pa.string()),
    ("update_counter", pa.int64()),
    ("feature_as_of", MOMENT),
    ("features_hash", pa.string()),
)

OUTCOME_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("name", pa.string()),
        ("value", pa.float64()),
        ("time", MOMENT),
        ("revision", pa.int64()),
        ("received_at", MOMENT),
        ("model", pa.string()),
        ("item", pa.string()),
    ],
    metadata={"seatrial.outcomes": "1"},
)
"""``time``: when the outcome became true; ``received_at``: when it was known here; ``item``: of a ranked list, the one
it is about. A row a record, retries included."""


def event_schema(segments: Sequence[str] = ()) -> pa.Schema:
    """Event schema v1 with one ``seg_<name>`` column for each declared segment."""
    declared = [(f"{SEGMENT_PREFIX}{name}", pa.string()) for name in segments]
    return pa.schema(
        [*_EVENT_FIELDS, *declared, ("features", pa.string())],
        metadata={"seatrial.events": EVENT_SCHEMA_VERSION},
    )


def to_table(rows: Iterable[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; fields a row lacks are null. Times are given in microseconds since the epoch."""
    held = list(rows)
    return columns_to_table([[row.get(name) for row in held] for name in schema.names], schema)


def columns_to_table(columns: Sequence[list[object]], schema: pa.Schema) -> pa.Table:
    """As ``to_table``, of the values of each column in the order of the schema."""
    arrays = []
    for field, values in zip(schema, columns, strict=True):
        plain = pa.int64() if pa.types.is_timestamp(field.type) else field.type
        arrays.append(_column(values, plain).cast(field.type))
    return pa.table(arrays, schema=schema)


def _column(values: list[object], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which no UTF-8 text can hold
        return pa.array([v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in values], kind)


def to_micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware time, exactly.

    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    span = moment - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def from_micros(micros: int) -> datetime:
    """Inverse of :func:`to_micros`."""
    return _EPOCH + timedelta(microseconds=micros)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
