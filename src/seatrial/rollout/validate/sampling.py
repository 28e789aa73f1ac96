"""Segments that are copied at shares of their own: the gateway must know them, and nobody may be left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seatrial.rollout.plan import Plan, Segment, ShadowBy
from seatrial.rollout.validate.problem import Problem

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_RESERVED = ("x-seatrial-", "x-envoy-")
"""What is removed from every request at the door."""


def check_sampling(plan: Plan) -> Iterator[Problem]:
    yield from _sources(plan)
    for n, step in enumerate(plan.steps, start=1):
        if step.shadow is not None and (by := step.shadow.by) is not None:
            yield from _segment(plan, by, f"step {n}")
            yield from _shares(by, f"step {n}")


def _sources(plan: Plan) -> Iterator[Problem]:
    """Every segment is read from one place, and one at most from a header: a line of the log has room for one."""
    for segment in plan.segments:
        if (segment.field is None) == (segment.header is None):
            yield Problem(
                "ST0225", f"segment '{segment.name}'", "it is read from one place.",
                "Give 'field' (of the request or of the features as used) or 'header'.",
            )  # fmt: skip
        header = segment.header or "x"
        if not _HEADER.fullmatch(header) or header.lower().startswith(_RESERVED):
            yield Problem(
                "ST0225", f"segment '{segment.name}'", f"'{header}' is no header that a client can send.",
                "Letters, digits and dashes, e.g. x-account-age.",
            )  # fmt: skip
    if len(told := [segment.name for segment in plan.segments if segment.header is not None]) > 1:
        yield Problem(
            "ST0249", "segments", f"{' and '.join(told)} are read from headers; the gateway keeps one.",
            "Give the others a 'field' of the request.",
        )  # fmt: skip


def _segment(plan: Plan, by: ShadowBy, where: str) -> Iterator[Problem]:
    found = next((segment for segment in plan.segments if segment.name == by.segment), None)
    if found is None:
        known = ", ".join(segment.name for segment in plan.segments) or "none"
        yield Problem("ST0249", where, f"there is no segment '{by.segment}'.", f"Known are: {known}.")
    elif found.header is None:
        yield Problem("ST0249", where, _unknown(found), f"Send it as a header: {_as_header(found)}.")
    elif found.bands is not None:
        yield Problem(
            "ST0249", where, f"segment '{found.name}' is cut into bands, and the gateway compares texts.",
            "Send the band's label in the header, without 'bounds' and 'labels'.",
        )  # fmt: skip


def _unknown(segment: Segment) -> str:
    return (
        f"segment '{segment.name}' is read from the body (field '{segment.field}'), and the gateway chooses who is "
        "copied before it has the body."
    )


def _as_header(segment: Segment) -> str:
    return f"{{name: {segment.name}, header: x-{re.sub(r'[^a-z0-9]+', '-', segment.name.lower()).strip('-')}}}"


def _shares(by: ShadowBy, where: str) -> Iterator[Problem]:
    if not by.shares:
        yield Problem("ST0249", where, "'by' names no share.", "e.g. by: {segment: age, shares: {new: 50%}}.")
    for value, share in by.shares.items():
        if not value or not value.isprintable() or value != value.strip() or len(value) > 100:
            yield Problem(
                "ST0249", where, f"{value!r} is nothing that a header holds.", "1 to 100 printable characters."
            )
        if share.per_10k == 0:
            yield Problem(
                "ST0249", where, f"a segment copied at 0% ('{value}') could not be weighed in the whole.",
                "Give every segment a share above 0%.",
            )  # fmt: skip
