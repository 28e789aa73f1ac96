"""What ``seatrial calc rollback-impact`` and ``standby-cost`` say to people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Document = dict[str, Any]
Line = tuple[str, str]


def _impact_said(d: Document) -> str:
    if d["versus"] is not None and d["investment"] is not None and d["investment"]["cost"]:
        found, cost = d["investment"], d["investment"]["cost"]
        if found["months"] is None:
            return f"{cost:,.0f} is never paid back: the faster way spares nothing."
        return (
            f"{cost:,.0f} is paid back in {found['months']:.1f} months, at {_incidents(found)} a month; "
            f"within a year from {found['incidents_a_year']:.1f} incidents a year."
        )
    text = f"{d['affected']:,.0f} requests are reached during the rollback"
    if d["affected_before_detection"]:
        text += f", and {d['affected_before_detection']:,.0f} before anybody notices"
    return f"{text}."


def _impact_figures(d: Document) -> Iterator[Line]:
    yield "traffic", f"{d['rate_per_hour']:,.0f} an hour, {100 * d['share']:.4g}% of it harmed"
    yield "detection", f"{_time(d['detection_seconds'])}: {d['affected_before_detection']:,.0f} requests"
    yield "rollback", f"{_time(d['seconds'])}: {d['affected']:,.0f} requests"
    yield "in all", f"{d['affected_in_all']:,.0f} requests" + ("" if d["cost"] is None else f", cost {d['cost']:,.2f}")
    yield "each second", f"{d['per_second']:,.1f} requests more, whatever it is spent on"
    if (today := d["versus"]) is not None:
        yield "today", f"{_time(today['seconds'])}: {today['affected']:,.0f} requests, {today['spared']:,.0f} more"
    if (found := d["investment"]) is not None:
        yield "spared", f"{found['saved_a_month']:,.2f} a month, at {_incidents(found)} a month"


def _incidents(found: Document) -> str:
    often = found["incidents_a_month"]
    return "1 incident" if often == 1 else f"{often:g} incidents"


def _impact_formula(d: Document) -> Iterator[str]:
    yield "requests = rate × share × seconds / 3600; months = investment / (spared × cost per request × incidents)"
    yield "Detection counts as much as the switch, second for second: `rollout get` shows both of a real one."


def _standby_said(d: Document) -> str:
    hot = d["policies"][0]
    of = "" if hot["share_of_revenue"] is None else f", {100 * hot['share_of_revenue']:.2g}% of the revenue"
    return f"A hot standby costs {hot['cost']:,.0f} a month{of}."


def _standby_figures(d: Document) -> Iterator[Line]:
    for one in d["policies"]:
        of = "" if one["share_of_revenue"] is None else f" ({100 * one['share_of_revenue']:.2g}% of the revenue)"
        line = f"{one['cost']:,.0f} a month{of}, serves in {_time(one['seconds'])}: {one['affected']:,.0f} requests"
        if one["pays_from"] is not None:
            line += f"; cheaper than cold from {one['pays_from']:,.1f} incidents a month"
        yield one["policy"], line


def _standby_formula(d: Document) -> Iterator[str]:
    yield "hot = pods × cost × idle share; warm = one pod; cold = nothing, until it is pulled, loaded and warmed up"
    yield "Times are assumed here; `seatrial model show` has those that were measured."


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"


PAGES: dict[
    str, tuple[Callable[[Document], str], Callable[[Document], Iterator[Line]], Callable[[Document], Iterator[str]]]
] = {
    "rollback-impact": (_impact_said, _impact_figures, _impact_formula),
    "standby-cost": (_standby_said, _standby_figures, _standby_formula),
}
