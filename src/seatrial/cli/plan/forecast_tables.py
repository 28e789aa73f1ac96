"""A forecast (``seatrial.forecast.v1``) as text: what binds each stage, what it sees, and which share to choose."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from seatrial.cli.tables import table
from seatrial.control.documents.wording import span

Document = dict[str, Any]

_CENTURY = 36_525

_BY = {
    "sample": "evidence",
    "start rule": "start rule",
    "units": "units",
    "outcomes": "outcomes",
    "pairs": "pairs",
    "maturity": "maturity",
    "pause": "the plan's pause",
    "week": "weekly cycle",
}


def headline(d: Document) -> str:
    """Which plan, on which traffic, for which power."""
    lines = [f"{d['plan']}: {d['power']:.0%} power for each guardrail, if the candidate is as good as the champion"]
    for name, seen in d["traffic"].items():
        parts = [f"{name} {_number(seen['rate'])}", f"{_many(seen['exposuresPerDay'])} exposures a day"]
        if seen["unitsPerDay"] != seen["exposuresPerDay"]:
            parts.append(f"{_many(seen['unitsPerDay'])} units")
        if seen["designEffect"] is not None and seen["designEffect"] != 1:
            parts.append(f"design effect {seen['designEffect']:.3g}")
        lines.append(f"  {', '.join(parts)} ({seen['source']})")
    if d["unknown"]:
        lines.append(f"  not known: {', '.join(d['unknown'])} (--baseline, --deviation)")
    return "\n".join(lines)


def stages(d: Document) -> Table:
    """One line a stage: what it waits for longest."""
    rows = [
        (
            s["stage"], f"{100 * s['share']:g}%", days(s["needed"]), days(s["pause"]), days(s["recommended"]),
            f"{s['binding']['kind']}: {_BY[s['binding']['by']]}",
            "" if s["binding"]["metric"] == "" else s["binding"]["metric"],
        )
        for s in d["stages"]
    ]  # fmt: skip
    headers = ("STEP", "SHARE", "SAMPLES AFTER", "PAUSE", "RECOMMENDED", "BINDS", "GUARDRAIL")
    return table(headers, rows, right=("SHARE",))


def guardrails(d: Document) -> Table:
    """One line a stage and guardrail: what it excludes and when, and what it finds in the plan's own time."""
    seen = {(f["stage"], f["metric"]): f for f in d["sights"]}
    rows = []
    for s in d["stages"]:
        for n in s["needs"]:
            sight = seen.get((s["stage"], n["metric"]), {})
            sample = "" if n["days"] is None else f"{_many(n['candidate'])} {n['of']}"
            asked = "" if sight.get("chance") is None else f"{sight['chance']:.0%}"
            scale = "points" if n["of"] == "units" and n["scale"] == "absolute" else n["scale"]
            bound, found = _size(n["bound"], scale), _size(sight.get("detectable"), scale)
            rows.append((s["stage"], n["metric"], bound, days(n["days"]), sample, found, asked))
    headers = ("STEP", "GUARDRAIL", "EXCLUDES", "AFTER", "WITH", f"FINDS ({d['power']:.0%})", "CHANCE")
    columns = len(headers) if any(row[-1] for row in rows) else len(headers) - 1  # chances only if somebody asked
    return table(headers[:columns], [row[:columns] for row in rows])


def textbook_note(d: Document) -> str:
    return f"\nThe margin at each split alone, in canary exposures. Textbook:\n{d['formula']}."


def textbook(d: Document) -> Table:
    """What textbooks say for equal arms and for the real split, beside the boundary that gates use."""
    rows = [
        (c["stage"], c["metric"], *(f"{_many(c[k])} = {_long(c[k + 'Days'])}" for k in ("equal", "split", "boundary")))
        for c in d["comparisons"]
    ]
    headers = ("STEP", "GUARDRAIL", "TEXTBOOK, EQUAL ARMS", "TEXTBOOK, REAL SPLIT", "SEATRIAL, LOOKS INCLUDED")
    return table(headers, rows)


def shares_note(d: Document) -> str:
    table = d["shares"]
    return (
        "\nOne canary step that excludes every margin, by its share. "
        f"Harm: the cost of a {table['metric']} that is {_size(table['effect'], table['scale'])} worse and never found."
    )


def shares(d: Document) -> Table:
    """Duration, exposed users and expected harm by share; the recommended one is marked."""
    best = d["shares"]["recommended"]
    rows = []
    for r in d["shares"]["rows"]:
        late = "" if r["inTime"] else "after the deadline"
        mark = "◀ recommended" if best is not None and best["share"] == r["share"] else late
        weeks = days(r["wholeDays"]) if d["weekly"] else ""
        rows.append((f"{100 * r['share']:g}%", days(r["days"]), weeks, _many(r["units"]), _many(r["harm"]), mark))
    headers = ("SHARE", "TAKES", "WHOLE WEEKS", "EXPOSED UNITS", "EXPECTED HARM", "")
    return table(headers, rows, right=("SHARE", "EXPOSED UNITS", "EXPECTED HARM"))


def conclusion(d: Document) -> str:
    """What binds, how long it takes in all, and what is recommended."""
    lines = [_binds(s) for s in d["stages"]]
    if d["weekly"]:
        lines.append(f"Whole weeks are recommended, because weekdays differ ({d['rhythm']}).")
    total = "It never ends" if d["days"] is None else f"{days(d['days'])} until everyone at the earliest"
    advised = "" if d["recommended"] is None else f", {days(d['recommended'])} as recommended"
    lines.append(f"{total}{advised}; the deadline is {days(d['deadline'])}.")
    best, why = d["shares"]["recommended"], d["shares"]["reason"]
    if best is None:
        lines.append(f"No share can be recommended: {why}.")
    else:
        lines.append(f"Recommended share: {100 * best['share']:g}% for {days(best['wholeDays'])}: {why}.")
    return "\n".join(lines)


def days(value: float | None) -> str:
    """``3d12h``; ``never`` where there is no end."""
    if value is None:
        return "never"
    return "centuries" if value > _CENTURY else span(86_400 * value)


def _binds(s: Document) -> str:
    """``shadow: the calendar binds, the samples are there after 7m: the shadow sees a whole week.``"""
    binding = s["binding"]
    if binding["kind"] == "sample":
        when = "never ends" if binding["days"] is None else f"takes {days(binding['days'])}"
        return f"{s['stage']}: the sample binds and {when}: {binding['text']}."
    there = days(s["needed"]) if s["needed"] else "0s"
    return f"{s['stage']}: the calendar binds, the samples are there after {there}: {binding['text']}."


def _long(value: float | None) -> str:
    """``5.71 days``, to be compared with a book's figure; other spans in their own units."""
    return f"{value:.2f} days" if value is not None and 1 <= value <= _CENTURY else days(value)


def _size(value: float | None, scale: str) -> str:
    """``0.57%`` of something, ``0.12pp`` of a share of units, or in the metric's own unit."""
    if value is None:
        return ""
    return f"{value:.2g}" if scale == "absolute" else f"{100 * value:.2g}{'%' if scale == 'relative' else 'pp'}"


def _number(rate: float) -> str:
    return f"{rate:.4g}"


def _many(value: float | None) -> str:
    """A number of things: whole where it is small, rounded to four digits where it is not."""
    if value is None:
        return ""
    if value < 10_000:
        return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"
    digits = len(str(int(value))) - 4
    return f"{round(value, -digits):,.0f}"
