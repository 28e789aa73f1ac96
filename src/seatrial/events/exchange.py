"""One captured request with its answer: its rows, its predictions, and whose fault it is that there are none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from seatrial.events.entry import body_of, integer_of, text_of
from seatrial.events.wire import (
    UNSCORED,
    Prediction,
    Request,
    ResponseSpec,
    WireError,
    WireFormat,
    detect_format,
    is_scored,
    parse_request,
    parse_response,
    unread,
)

_CUT_OFF = frozenset({"UC", "UR", "UPE", "UT", "SI", "DT", "LR", "UMSDR"})
"""Envoy's flags of an answer that began well and did not end: closed, reset, timed out."""


class Exchange:
    """What was asked and answered.

    ``request``: None where it was not read; ``error_kind``: why there is no valid prediction of the assigned version;
    ``error``: whether that version is to blame. ``levels``: served levels that are the assigned version itself.
    """

    def __init__(
        self, entry: Mapping[str, Any], format: WireFormat | None, spec: ResponseSpec, levels: Collection[str]
    ) -> None:
        self._entry, self._format, self._spec, self._levels = entry, format, spec, levels
        self.status = integer_of(entry.get("code"), bits=15) or 0
        self.method = text_of(entry.get("method")) or "POST"
        self.path = text_of(entry.get("path")) or ""
        self.request = self._request() if self.method == "POST" else None
        self.prediction, self.error_kind, self.error = self._answer()

    def _request(self) -> Request | None:
        """The request's rows; None where the body is not in the line, cut, or not readable."""
        body = body_of(self._entry, "req")
        if body is None:
            return None
        try:
            return parse_request(
                self.path, text_of(self._entry.get("ct")), body,
                format=self._format, spec=self._spec,
            )  # fmt: skip
        except WireError:
            return None

    def _answer(self) -> tuple[Prediction | None, str | None, bool]:
        """Prediction, kind of failure, and whether the failure is the assigned version's."""
        if self.method != "POST":
            return None, "not_a_prediction", False
        flags = (text_of(self._entry.get("flags")) or "").split(",")
        copied = self._entry.get("arm") == "shadow"
        if "UO" in flags and copied:
            return None, "shed", False  # the gateway protected live traffic; the shadow was never asked
        # Whoever leaves a copy is the gateway itself, which has waited long enough.
        hung_up = not copied and ("DC" in flags or "DR" in flags)
        if hung_up and self.status in (0, 499):
            return None, "client_disconnect", False
        if self._entry.get("why") == "request_payload_too_large":
            return None, "too_large", False  # refused at the door: no version was asked
        if not 200 <= self.status < 300:
            return None, f"http_{self.status}" if self.status else "no_response", True
        if not _CUT_OFF.isdisjoint(flags) or (copied and "DR" in flags):
            return None, "broken_off", True
        fallback = text_of(self._entry.get("level")) not in (None, *self._levels)
        prediction, kind = self._prediction()
        if fallback:
            return prediction, "fallback", True
        if kind == "truncated" or kind in UNSCORED:
            return None, kind, False
        if kind is not None and hung_up:
            return None, "client_disconnect", False
        return prediction, kind, kind is not None

    def _prediction(self) -> tuple[Prediction | None, str | None]:
        asked, kind = self.request, text_of(self._entry.get("rct"))
        shape = asked.format if asked is not None else self._format or detect_format(self.path)
        if (why := unread(shape, kind)) is not None:
            return None, why
        if not is_scored(self.method, self.path, self._spec):
            return None, "unsupported"
        if "resp_cut" in self._entry:
            return None, "truncated"
        body = body_of(self._entry, "resp")
        if body is None:
            return None, "no_predictions"
        rows = asked.rows if asked is not None else None
        try:
            return parse_response(shape, kind, body, rows=rows, spec=self._spec), None
        except WireError as error:
            return None, error.kind
