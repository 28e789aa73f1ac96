"""Any JSON service: rows where the contract points to, answers there or under one of the usual names."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.events.wire import oip
from seatrial.events.wire.answers import ANSWER_NAMES, by_row, summarise
from seatrial.events.wire.bodies import as_rows, csv_columns, point
from seatrial.events.wire.rows import listed
from seatrial.events.wire.types import Prediction, Request, ResponseSpec


def request(document: object, spec: ResponseSpec) -> Request:
    rows = as_rows(document if spec.rows is None else point(document, spec.rows, "schema"))
    return listed("json", rows, "rows")


def answer(document: object, spec: ResponseSpec) -> Prediction:
    """A list, a number, an object with one of the usual names, or output tensors (of a request that is not known)."""
    if isinstance(document, dict):
        if oip.is_tensors(document.get("outputs")):
            return oip.answer(document, spec)
        name = next((name for name in ANSWER_NAMES if name in document), None)
        document = document if name is None else document[name]
    return summarise(by_row(document, spec), spec)


def csv_answer(lines: Sequence[Sequence[str]], rows: int | None) -> list[object]:
    """A CSV as JSON would say it: one entry a line, a number or text, or a list of them.

    Some containers write all answers into one line; a line of names comes first where there is one line too many.
    """
    if len(lines) == 1 and rows not in (None, 1) and len(lines[0]) == rows:
        lines = [[cell] for cell in lines[0]]
    elif rows is not None and len(lines) == rows + 1:
        lines = lines[1:]
    table = [[*row] for row in zip(*csv_columns(lines), strict=True)]
    return [row[0] if len(row) == 1 else row for row in table]
