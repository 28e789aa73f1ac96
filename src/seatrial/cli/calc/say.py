"""How every command of ``seatrial calc`` answers: a page for people, or one JSON document."""

from __future__ import annotations

import math
from typing import Any

from seatrial.cli import output
from seatrial.cli.calc import text as calc_text


def say(what: str, document: dict[str, Any], as_json: bool) -> None:
    """``seatrial.calc-WHAT.v1``; numbers that are none are null there."""
    if not as_json:
        output.show(calc_text.page(what, document))
        return
    known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in document.items()}
    conclusion = calc_text.conclusion(what, document)
    output.data({"schema": f"seatrial.calc-{what}.v1", **known, "conclusion": conclusion})
