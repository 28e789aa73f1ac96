"""``seatrial calc review-capacity``: how much of the reviewers' time do reviews take, and what does triage save?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.errors import UsageError
from seatrial.governance.review_capacity import FULL, Capacity, Load, Period, capacity
from seatrial.values import Share


def add_to(app: typer.Typer) -> None:
    app.command("review-capacity")(review_capacity)


def review_capacity(
    reviews: Annotated[float, typer.Option(min=0, max=1e6, metavar="NUMBER", help="Reviews a period.")],
    hours: Annotated[float, typer.Option(min=0.01, max=1e4, metavar="HOURS", help="A full review takes.")],
    reviewers: Annotated[int, typer.Option(min=1, max=10**4, metavar="COUNT", help="People who review.")],
    available: Annotated[float, typer.Option(min=0.01, max=1e4, metavar="HOURS", help="Each has for it a period.")],
    per: Annotated[Period, typer.Option(help="The period.")] = "quarter",
    grows_to: Annotated[
        float | None, typer.Option(min=0, max=1e6, metavar="NUMBER", help="Also for so many reviews a period.")
    ] = None,
    material: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Also with triage: the share of changes that is material.")
    ] = None,
    short_hours: Annotated[
        float, typer.Option(min=0, max=1e4, metavar="HOURS", help="A review of a change that is not takes.")
    ] = 0.5,
    as_json: output.Json = False,
) -> None:
    """How much of the reviewers' time do reviews take, how long does one wait, and what does triage save?"""
    amounts = [reviews] if grows_to is None else [reviews, grows_to]
    shares = [1.0] if material is None else [1.0, _share(material)]
    cases = [
        (share < 1, capacity(Load(reviews=amount, hours=hours, reviewers=reviewers, available=available, period=per,
                                  full_share=share, short_hours=short_hours)))
        for amount in amounts for share in shares
    ]  # fmt: skip
    document = {
        "schema": "seatrial.calc-review-capacity.v1",
        "per": per,
        "hours": hours,
        "short_hours": short_hours,
        "reviewers": reviewers,
        "available": available,
        "material": None if material is None else shares[-1],
        "full": FULL,
        "cases": [_case(triaged, found) for triaged, found in cases],
        "method": "M/G/c of Allen and Cunneen; exact (Erlang C) without triage",
    }
    if as_json:
        output.data(document)
    else:
        output.text("\n".join(_lines(document)))


def _share(text: str) -> float:
    try:
        return Share.parse(text).fraction
    except ValueError as error:
        raise UsageError("ST1404", f"--material: {error}.", remedy="e.g. --material 20%") from None


def _case(triaged: bool, c: Capacity) -> dict[str, Any]:
    return {
        "triaged": triaged, "reviews": c.reviews, "reviews_per_month": c.per_month, "hours": c.hours,
        "available_hours": c.available, "utilisation": c.used, "sustainable": c.sustainable,
        "chance_of_wait": c.chance_of_wait, "wait_hours": c.wait_hours, "wait_days": c.wait_days,
        "done_days": c.done_days,
        "reviewers_needed": c.needed, "most_reviews": c.most,
    }  # fmt: skip


def _lines(d: dict[str, Any]) -> Iterator[str]:
    for case in d["cases"]:
        how = "with triage" if case["triaged"] else "all in full"
        yield (
            f"{case['reviews']:g} reviews a {d['per']} ({case['reviews_per_month']:.1f} a month), {how}: "
            f"{case['hours']:g} of {case['available_hours']:g} hours, {case['utilisation']:.1%}"
        )
        yield f"  {_verdict(case, d)}"


def _verdict(case: dict[str, Any], d: dict[str, Any]) -> str:
    if case["wait_days"] is None:
        return f"✖ the queue never ends: {case['reviewers_needed']} reviewers are needed"
    wait = (
        f"{case['chance_of_wait']:.1%} wait for a reviewer, {case['wait_days']:.2f} working days on average; "
        f"a full review is done after {case['done_days']:.1f}"
    )
    needed = f"{case['reviewers_needed']} of {d['reviewers']} reviewers would do"
    if case["sustainable"]:
        return f"✔ sustainable up to {case['most_reviews']:.0f} ({d['full']:.0%}): {wait}; {needed}"
    return f"✖ above {d['full']:.0%}: {wait}; {case['reviewers_needed']} reviewers are needed"
