"""Capture log lines become prediction rows, each with what the evidence needs to know about it.

Every line of every arm is kept, failures included. An *error* means: the assigned version did not itself answer with a
valid prediction. A client that hung up is not the model's error; it is an exposure without a score.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from seatrial.events.entry import integer_of, moment_of, size_of, text_of, unit_of
from seatrial.events.exchange import Exchange
from seatrial.events.schema import SEGMENT_PREFIX, UNKNOWN, event_schema, to_micros, to_table
from seatrial.events.units import cached_hash, unit_bucket, unit_hash
from seatrial.events.wire import Prediction, ResponseSpec, WireFormat
from seatrial.evidence.features import fingerprint, oldest, only
from seatrial.ids import HOLDOUT
from seatrial.registry.contract import EVERYTHING
from seatrial.rollout.bands import Bands

MAX_SEGMENT = 100
"""Characters of a segment value."""

_ARMS = frozenset({"champion", "canary", "shadow", HOLDOUT})
_NO_MODEL = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureContext:
    """What is declared about a model's traffic.

    ``segments``: (name, field) pairs, without a field where the gateway knows it by a header; ``bands``: by the name of
    a segment, what its numbers are cut into; ``outcome_key``: the request field outcomes are keyed by (request id if
    None);
    ``features``: names kept in the log, ``("*",)`` for all, none unless declared; ``bucket_salt``: hashes units into
    variance buckets (never the assignment salt); ``unit_key``: secret of the unit hash, 1 to 64 bytes; ``levels``:
    served levels that are the assigned version itself; ``replay``: event time is the client's ``x-event-time``.
    """

    bucket_salt: str
    unit_key: bytes
    segments: tuple[tuple[str, str | None], ...] = ()
    bands: Mapping[str, Bands] = field(default_factory=dict)
    outcome_key: str | None = None
    features: tuple[str, ...] = ()
    format: WireFormat | None = None
    response: ResponseSpec = field(default_factory=ResponseSpec)
    levels: frozenset[str] = frozenset({"primary", "shadow"})
    replay: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.unit_key) <= 64:
            raise ValueError("unit_key has 1 to 64 bytes: an unkeyed hash of a unit can be looked up")


def convert(
    lines: bytes,
    contexts: Mapping[str, CaptureContext],
    *,
    watermark: datetime | None,
    captured_at: datetime,
) -> dict[str, pa.Table]:
    """Prediction rows of capture log lines, one table a model; lines of no known model are under the name ``""``.

    ``watermark``: the latest time that looks may already have seen. An event that is not later than it is lifted to
    the microsecond after it, so that what a look has seen never changes.
    """
    lifted = None if watermark is None else to_micros(watermark) + 1
    seen_at = to_micros(captured_at)
    rows: dict[str, list[dict[str, object]]] = {}
    for line in lines.split(b"\n"):
        if not line.strip():
            continue
        model, found = _rows(line, contexts)
        for row in found:
            event_time = row.setdefault("event_time", seen_at)
            assert isinstance(event_time, int)
            row["time"] = event_time if lifted is None else max(event_time, lifted)
            row["captured_at"] = seen_at
        rows.setdefault(model, []).extend(found)
    return {
        model: to_table(found, event_schema([name for name, _ in _segments_of(contexts, model)]))
        for model, found in rows.items()
    }


def _segments_of(contexts: Mapping[str, CaptureContext], model: str) -> tuple[tuple[str, str | None], ...]:
    return contexts[model].segments if model in contexts else ()


def _rows(line: bytes, contexts: Mapping[str, CaptureContext]) -> tuple[str, list[dict[str, object]]]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        digest = hashlib.blake2b(line, digest_size=12).hexdigest()
        return _NO_MODEL, [_unattributed(f"unparsed:{digest}", _NO_MODEL, "unparsed")]
    if isinstance(bodies := entry.pop("body", None), dict):
        entry |= bodies  # written as one object: one lookup for Envoy instead of seven
    model = text_of(entry.get("model")) or _NO_MODEL
    context = contexts.get(model)
    if context is None:
        return _NO_MODEL, [_unattributed(entry["id"], model, "unknown_model")]
    return model, _Line(entry, context).rows()


def _unattributed(request_id: str, model: str, kind: str) -> dict[str, object]:
    return {
        "request_id": request_id, "row": 0, "outcome_key": request_id, "model": model, "arm": "none",
        "error": False, "error_kind": kind, "observable": False,
    }  # fmt: skip


class _Line:
    """One request with its answer."""

    def __init__(self, entry: Mapping[str, Any], context: CaptureContext) -> None:
        self.entry = entry
        self.context = context
        self.found = Exchange(entry, context.format, context.response, context.levels)

    def rows(self) -> list[dict[str, object]]:
        common = self._common()
        used = self._features_used()
        asked = self.found.request.features if self.found.request is not None else None
        answered = len(self.found.prediction) if self.found.prediction is not None else 0
        count = max(answered, self.found.request.rows if self.found.request is not None else 0, 1)
        return [self._row(common, n, _at(used, n), _at(asked, n), n < answered) for n in range(count)]

    def _row(
        self,
        common: Mapping[str, object],
        n: int,
        used: Mapping[str, object] | None,
        asked: Mapping[str, object] | None,
        answered: bool,
    ) -> dict[str, object]:
        row = dict(common)
        row["row"] = n
        row["outcome_key"] = self._outcome_key(n, used, asked)
        if answered and self.found.prediction is not None:
            row |= _answer(self.found.prediction, n)
        if n == 0:
            row |= self._sizes()
        for name, source in self.context.segments:
            value = text_of(self.entry.get("segment")) if source is None else _field(source, used, asked)
            row[SEGMENT_PREFIX + name] = _segment(value, self.context.bands.get(name))
        row |= self._kept(used, asked)
        return row

    def _common(self) -> dict[str, object]:
        entry = self.entry
        unit = unit_of(entry)
        arm = text_of(entry.get("arm"))
        assigned = arm in _ARMS and (unit is not None or arm == "shadow")
        row: dict[str, object] = {
            "request_id": entry["id"],
            "model": text_of(entry.get("model")),
            "rollout": text_of(entry.get("rollout")),
            "phase": integer_of(entry.get("phase"), bits=31),
            "sampled": integer_of(entry.get("sampled"), bits=15),
            "arm": arm if assigned else "none",
            "served_version": text_of(entry.get("version")) or text_of(entry.get("to")),
            "served_level": text_of(entry.get("level")),
            "attempts": integer_of(entry.get("attempts"), bits=15),
            "level_reason": text_of(entry.get("lower")),
            "reasons": text_of(entry.get("reasons")),
            "status": self.found.status,
            "error": self.found.error,
            "error_kind": self.found.error_kind,
            "latency_us": integer_of(entry.get("us")),
            "observable": True,
        }
        if unit is not None:
            row["unit"] = cached_hash(unit, self.context.unit_key)
            row["bucket"] = unit_bucket(unit, self.context.bucket_salt)
        if (moment := self._event_time()) is not None:
            row["event_time"] = moment
        return row

    def _sizes(self) -> dict[str, object]:
        """Of the bodies as they travelled, and a keyed hash of a request whose rows are not known."""
        request = self.entry.get("req_b64") or self.entry.get("req")
        asked = self.found.request
        unknown = asked is None or (asked.features is None and asked.vectors is None)
        hashed = isinstance(request, str) and unknown and "req_cut" not in self.entry
        return {
            "request_bytes": size_of(self.entry, "req"),
            "response_bytes": size_of(self.entry, "resp"),
            "request_hash": unit_hash(str(request), self.context.unit_key) if hashed else None,
        }

    def _event_time(self) -> int | None:
        if self.context.replay and (moment := moment_of(self.entry.get("et"))) is not None:
            return moment
        return moment_of(self.entry.get("t"))

    def _features_used(self) -> list[Any] | None:
        """Features as the model host used them, one mapping a row."""
        found = self.entry.get("feat")
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                return None
        return found if isinstance(found, list) else None

    def _outcome_key(self, n: int, *sources: Mapping[str, object] | None) -> str:
        """The declared field of the request; without it the request id, with the row for later rows of a batch."""
        if self.context.outcome_key is not None:
            for source in reversed(sources):
                if source is not None and (value := source.get(self.context.outcome_key)) is not None:
                    return _plain(value)
        request_id = str(self.entry["id"])
        return request_id if n == 0 else f"{request_id}:{n}"

    def _kept(self, used: Mapping[str, object] | None, asked: Mapping[str, object] | None) -> dict[str, object]:
        """The features that the log has a place for; with a hash only if the model said that it used them."""
        features, allowed = asked if used is None else used, self.context.features
        if features is None or not allowed:
            return {}
        kept = only(features, None if EVERYTHING in allowed else allowed)
        if not kept:
            return {}
        text = json.dumps(kept, separators=(",", ":"), ensure_ascii=False, default=str)
        return {"features": text, **({} if used is None else self._told(kept))}

    def _told(self, kept: Mapping[str, object]) -> dict[str, object]:
        try:
            told: dict[str, object] = {"features_hash": fingerprint(kept, self.context.unit_key)}
        except ValueError:  # nested deeper than any feature is
            return {}
        return told if (since := oldest(kept)) is None else {**told, "feature_as_of": round(since * 1_000_000)}


def _answer(prediction: Prediction, n: int) -> dict[str, object]:
    """The answer to one row: score, label, ranked list."""
    row: dict[str, object] = {"score": prediction.scores[n], "label": prediction.labels[n]}
    if prediction.rankings:
        ranking = prediction.rankings[n]
        row |= {"items": ranking.items, "item_scores": ranking.scores}
    return row


def _at(rows: Any, n: int) -> Mapping[str, object] | None:
    row = rows[n] if rows is not None and n < len(rows) else None
    return row if isinstance(row, Mapping) else None


def _field(name: str, *sources: Mapping[str, object] | None) -> object:
    """The first value there is: of the features as used, then of the request."""
    return next((s[name] for s in sources if s is not None and s.get(name) is not None), None)


def _segment(value: object, bands: Bands | None) -> str:
    if bands is not None:
        return bands.label_of(value) or UNKNOWN
    return UNKNOWN if value is None or value == "" else _plain(value)[:MAX_SEGMENT]


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str)
