"""Wire formats: what a request asked and what a response answered, as rows and predictions.

The reader is total: for any bytes it returns a value or raises ``WireError``, so a hostile body can never stop the
collector or a model host. Rows are matched by position. A format is a module: what it asks of a request and where it
keeps its answer.
"""

from seatrial.events.wire.bodies import inflated
from seatrial.events.wire.reader import EVENT_STREAM, detect_format, is_scored, parse_request, parse_response, unread
from seatrial.events.wire.types import UNSCORED, Prediction, Request, ResponseSpec, WireError, WireErrorKind
from seatrial.registry.contract import WIRE_FORMATS as FORMATS
from seatrial.registry.contract import WireFormat

__all__ = [
    "EVENT_STREAM",
    "FORMATS",
    "UNSCORED",
    "Prediction",
    "Request",
    "ResponseSpec",
    "WireError",
    "WireErrorKind",
    "WireFormat",
    "detect_format",
    "inflated",
    "is_scored",
    "parse_request",
    "parse_response",
    "unread",
]
