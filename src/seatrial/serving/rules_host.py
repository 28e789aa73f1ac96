"""The host of a scorecard: the model's formats in and out, and the reasons of each answer in a header."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from seatrial.events.wire import Request, WireError
from seatrial.serving import stand_in
from seatrial.serving.asgi import JSON_TYPE, Call, Reply, reply_error
from seatrial.serving.rules import Answer, Decision, Scorecard
from seatrial.serving.spec import HostSpec

log = logging.getLogger(__name__)

REASONS_HEADER: Final = b"x-seatrial-reasons"
HEADER_LIMIT: Final = 2048


class RulesHost:
    """Answers by a scorecard. No request makes it fail that the model would have taken."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self._card: Scorecard | None = None

    async def start(self) -> None:
        """Raises UsageError for a scorecard that does not read."""
        file = Path(self.spec.artifact_dir or "")
        self._card = Scorecard.parse(await asyncio.to_thread(file.read_bytes), f"the scorecard of {self.spec.model}")

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def ready(self) -> bool:
        return self._card is not None

    def reread(self, spec: HostSpec) -> None:
        self.spec = spec

    async def handle(self, call: Call) -> Reply:
        return await stand_in.handle(self, call)

    async def answer(self, call: Call) -> Reply:
        if self._card is None:
            return reply_error(503, "the scorecard is still read")
        try:
            request = stand_in.asked(self.spec, call)
        except WireError as error:
            return reply_error(400, str(error))
        if (rows := self._rows(request)) is None:
            return reply_error(415, "the rows of this request are not read, so no rule can be applied")
        found = [self._card.decide(self._card.typed(row)) for row in rows]
        try:
            body = stand_in.encoded(self.spec, request, [_value(self._card, one.answer) for one in found])
        except WireError as error:
            log.error("no valid answer", extra={"error": str(error)})
            return reply_error(500, f"the rules give no answer of this model's format: {error}")
        return Reply(200, body, (JSON_TYPE, (REASONS_HEADER, reasons(found).encode("ascii"))))

    def _rows(self, request: Request) -> Sequence[Mapping[str, object]] | None:
        """By name; unnamed values have the names that the model was fitted on."""
        if request.features is not None:
            return request.features
        if request.vectors is None or any(len(row) != len(self.spec.features) for row in request.vectors):
            return None
        return [dict(zip(self.spec.features, row, strict=True)) for row in request.vectors]


def reasons(decisions: Sequence[Decision]) -> str:
    """Codes of each row, rows apart by ``;``. What a header cannot hold is counted.

    >>> reasons([Decision(0.9, ("R1", "R2")), Decision(0.1, ("R0",))])
    'R1,R2;R0'
    """
    text = ""
    for n, one in enumerate(decisions):
        more = (";" if n else "") + ",".join(one.reasons)
        if len(text) + len(more) > HEADER_LIMIT:
            return f"{text};+{len(decisions) - n}"
        text += more
    return text


def _value(card: Scorecard, answer: Answer) -> Any:
    if card.output == "probabilities" and isinstance(answer, float):
        return [1.0 - answer, answer]
    return answer
