"""Capture log lines become prediction rows, each with what the evidence needs to know about it.

Every line of every arm is kept, failures included. An *error* means: the assigned version did not itself answer with a
valid prediction. A client that hung up is not the model's error; it is an exposure without a score.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
import xxhash

from seatrial.events.schema import SEGMENT_PREFIX, UNKNOWN, event_schema, to_micros, to_table
from seatrial.events.wire import (
    UNSCORED,
    Prediction,
    Request,
    ResponseSpec,
    WireError,
    WireFormat,
    detect_format,
    inflated,
    is_scored,
    parse_request,
    parse_response,
    unread,
)
from seatrial.evidence.features import fingerprint, oldest, only
from seatrial.registry.contract import EVERYTHING
from seatrial.rollout.bands import Bands

UNIT_BUCKETS = 256
MAX_SEGMENT = 100
"""Characters of a segment value."""

_ARMS = frozenset({"champion", "canary", "shadow"})
_NO_MODEL = ""
_CUT_OFF = frozenset({"UC", "UR", "UPE", "UT", "SI", "DT", "LR", "UMSDR"})
"""Envoy's flags of an answer that began well and did not end: closed, reset, timed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureContext:
    """What is declared about a model's traffic.

    ``segments``: (name, field) pairs; ``bands``: by the name of a segment, what its numbers are cut into;
    ``outcome_key``: the request field outcomes are keyed by (request id if None);
    ``features``: names kept in the log, ``("*",)`` for all, none unless declared; ``bucket_salt``: hashes units into
    variance buckets (never the assignment salt); ``unit_key``: secret of the unit hash, 1 to 64 bytes; ``levels``:
    served levels that are the assigned version itself; ``replay``: event time is the client's ``x-event-time``.
    """

    bucket_salt: str
    unit_key: bytes
    segments: tuple[tuple[str, str], ...] = ()
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


def unit_hash(unit: str, key: bytes) -> str:
    """The name a unit has in the log: 24 hex digits of keyed BLAKE2b, the same for a unit in every part."""
    return hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=key, digest_size=12).hexdigest()


def unit_bucket(unit: str, salt: str) -> int:
    """Variance bucket of a unit, 0..255.

    >>> unit_bucket("unit-1", "salt")
    38
    """
    return xxhash.xxh64_intdigest(f"{salt}:{unit}".encode("utf-8", "surrogatepass")) % UNIT_BUCKETS


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


def _segments_of(contexts: Mapping[str, CaptureContext], model: str) -> tuple[tuple[str, str], ...]:
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
    model = _text(entry.get("model")) or _NO_MODEL
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
        self.status = _integer(entry.get("code"), bits=15) or 0
        self.method = _text(entry.get("method")) or "POST"
        self.path = _text(entry.get("path")) or ""
        self.request = self._request() if self.method == "POST" else None
        self.prediction, self.error_kind, self.error = self._answer()

    def rows(self) -> list[dict[str, object]]:
        common = self._common()
        used = self._features_used()
        asked = self.request.features if self.request is not None else None
        answered = len(self.prediction) if self.prediction is not None else 0
        count = max(answered, self.request.rows if self.request is not None else 0, 1)
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
        if answered and self.prediction is not None:
            row["score"], row["label"] = self.prediction.scores[n], self.prediction.labels[n]
        if n == 0:
            row |= self._sizes()
        for name, source in self.context.segments:
            row[SEGMENT_PREFIX + name] = _segment(_field(source, used, asked), self.context.bands.get(name))
        row |= self._kept(used, asked)
        return row

    def _common(self) -> dict[str, object]:
        entry = self.entry
        unit = _unit(entry)
        arm = _text(entry.get("arm"))
        assigned = arm in _ARMS and (unit is not None or arm == "shadow")
        row: dict[str, object] = {
            "request_id": entry["id"],
            "model": _text(entry.get("model")),
            "rollout": _text(entry.get("rollout")),
            "phase": _integer(entry.get("phase"), bits=31),
            "arm": arm if assigned else "none",
            "served_version": _text(entry.get("version")),
            "served_level": _text(entry.get("level")),
            "attempts": _integer(entry.get("attempts"), bits=15),
            "status": self.status,
            "error": self.error,
            "error_kind": self.error_kind,
            "latency_us": _integer(entry.get("us")),
            "observable": True,
        }
        if unit is not None:
            row["unit"] = _unit_hash(unit, self.context.unit_key)
            row["bucket"] = unit_bucket(unit, self.context.bucket_salt)
        if (moment := self._event_time()) is not None:
            row["event_time"] = moment
        return row

    def _sizes(self) -> dict[str, object]:
        """Of the bodies as they travelled, and a keyed hash of a request whose rows are not known."""
        request = self.entry.get("req_b64") or self.entry.get("req")
        unknown = self.request is None or (self.request.features is None and self.request.vectors is None)
        hashed = isinstance(request, str) and unknown and "req_cut" not in self.entry
        return {
            "request_bytes": _size(self.entry, "req"),
            "response_bytes": _size(self.entry, "resp"),
            "request_hash": unit_hash(str(request), self.context.unit_key) if hashed else None,
        }

    def _event_time(self) -> int | None:
        if self.context.replay and (moment := _moment(self.entry.get("et"))) is not None:
            return moment
        return _moment(self.entry.get("t"))

    def _request(self) -> Request | None:
        """The request's rows; None where the body is not in the line, cut, or not readable."""
        body = _body(self.entry, "req")
        if body is None:
            return None
        try:
            return parse_request(
                self.path, _text(self.entry.get("ct")), body,
                format=self.context.format, spec=self.context.response,
            )  # fmt: skip
        except WireError:
            return None

    def _answer(self) -> tuple[Prediction | None, str | None, bool]:
        """Prediction, kind of failure, and whether the failure is the assigned version's."""
        if self.method != "POST":
            return None, "not_a_prediction", False
        flags = (_text(self.entry.get("flags")) or "").split(",")
        copied = self.entry.get("arm") == "shadow"
        if "UO" in flags and copied:
            return None, "shed", False  # the gateway protected live traffic; the shadow was never asked
        # Whoever leaves a copy is the gateway itself, which has waited long enough.
        hung_up = not copied and ("DC" in flags or "DR" in flags)
        if hung_up and self.status in (0, 499):
            return None, "client_disconnect", False
        if self.entry.get("why") == "request_payload_too_large":
            return None, "too_large", False  # refused at the door: no version was asked
        if not 200 <= self.status < 300:
            return None, f"http_{self.status}" if self.status else "no_response", True
        if not _CUT_OFF.isdisjoint(flags) or (copied and "DR" in flags):
            return None, "broken_off", True
        fallback = _text(self.entry.get("level")) not in (None, *self.context.levels)
        prediction, kind = self._prediction()
        if fallback:
            return prediction, "fallback", True
        if kind == "truncated" or kind in UNSCORED:
            return None, kind, False
        if kind is not None and hung_up:
            return None, "client_disconnect", False
        return prediction, kind, kind is not None

    def _prediction(self) -> tuple[Prediction | None, str | None]:
        asked, kind = self.request, _text(self.entry.get("rct"))
        shape = asked.format if asked is not None else self.context.format or detect_format(self.path)
        if (why := unread(shape, kind)) is not None:
            return None, why
        if not is_scored(self.method, self.path, self.context.response):
            return None, "unsupported"
        if "resp_cut" in self.entry:
            return None, "truncated"
        body = _body(self.entry, "resp")
        if body is None:
            return None, "no_predictions"
        rows = asked.rows if asked is not None else None
        try:
            return parse_response(shape, kind, body, rows=rows, spec=self.context.response), None
        except WireError as error:
            return None, error.kind

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


@lru_cache(maxsize=65_536)
def _unit_hash(unit: str, key: bytes) -> str:
    return unit_hash(unit, key)


def _body(entry: Mapping[str, Any], name: str) -> str | bytes | None:
    """A whole body as text or bytes; None where it is absent or cut."""
    if f"{name}_cut" in entry:
        return None
    if isinstance(text := entry.get(name), str):
        return text
    coded = entry.get(f"{name}_b64")
    if not isinstance(coded, str):
        return None
    try:
        return inflated(base64.b64decode(coded, validate=True))
    except (binascii.Error, ValueError):
        return b""


def _size(entry: Mapping[str, Any], name: str) -> int | None:
    """Bytes of a body, also of one that was cut; None where there was none."""
    if f"{name}_cut" in entry:
        return _integer(entry[f"{name}_cut"])
    if isinstance(text := entry.get(name), str):
        return len(text.encode("utf-8", "surrogatepass"))
    coded = entry.get(f"{name}_b64")
    return len(coded) * 3 // 4 - coded[-2:].count("=") if isinstance(coded, str) else None


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


def _unit(entry: Mapping[str, Any]) -> str | None:
    """Who the request is about, byte for byte: a client may call a unit ``-``, and Envoy has assigned it an arm."""
    unit = entry.get("unit")
    return unit if isinstance(unit, str) and unit else None


def _text(value: object) -> str | None:
    """A field of the log as text; Envoy writes ``-`` for what it does not know."""
    return value if isinstance(value, str) and value not in ("", "-") else None


def _integer(value: object, *, bits: int = 62) -> int | None:
    """A whole number that fits; a number as text counts too."""
    try:
        number = int(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) < 1 << bits else None


def _moment(value: object) -> int | None:
    """Epoch seconds or ISO-8601 (with its offset) in microseconds since the epoch; None if it is neither."""
    text = str(value) if isinstance(value, int | float | str) else ""
    whole, dot, fraction = text.partition(".")
    if whole.isdecimal() and (not dot or fraction.isdecimal()) and len(whole) <= 11:
        return int(whole) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None or moment.year < 1970 else max(to_micros(moment), 0)
