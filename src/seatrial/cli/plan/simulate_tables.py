"""A simulation (``seatrial.simulation.v1``) as text."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from seatrial.cli import output
from seatrial.cli.tables import table
from seatrial.control.documents.wording import count, span

Document = dict[str, Any]
ENDS = {"promoted": "PROMOTED", "home": "SENT HOME", "held": "UNDECIDED"}
_WRONG = {"equal": "struck", "margin": "promoted"}


def show(p: Document) -> None:
    """The whole of it on stdout."""
    output.text(headline(p))
    for shown in (shares(p), times(p)):
        output.text("")
        output.show(shown)
    output.text("")
    output.text(remarks(p))


def headline(p: Document) -> str:
    looks, traffic = p["lookEvery"], p["traffic"]
    fewer = looks["plan"] != looks["simulated"]
    slow = f"; the plan looks every {looks['plan']}, and finds harm the sooner" if fewer else ", as the plan says"
    if traffic["kind"] == "log":
        on = f"the log of {traffic['model']}: {traffic['exposures']:,} exposures of {traffic['units']:,} units"
    else:
        on = f"{traffic['requestsPerDay']:,.0f} requests a day of {traffic['units']:,} units"
    return (
        f"{p['plan']}: {count(p['releases'], 'release')} a scenario, seed {p['seed']}, on {on}\n"
        f"looks every {looks['simulated']}{slow}"
    )


def shares(p: Document) -> Table:
    """How often each end was reached, with the 95% interval of the simulation itself."""
    rows = [
        (s["name"], *(_chance(s["ends"][end]) for end in ENDS), _chance(s["struck"]), _wrong(s)) for s in p["scenarios"]
    ]
    return table(("SCENARIO", *ENDS.values(), "SENT BACK AT ALL", "WRONG"), rows)


def times(p: Document) -> Table:
    """How long it took (median, 90% by then), who was exposed, and what decided."""
    rows = [
        (
            s["name"], *(_days(s["days"][end]) for end in ("promoted", "home")), _days(s["daysToDetect"]),
            _units(s["unitsExposed"]), ", ".join(f"{rule} {n:,}" for rule, n in s["rules"].items()),
            ", ".join(f"{name} {n:,}" for name, n in s["guardrails"].items()),
        )
        for s in p["scenarios"]
    ]  # fmt: skip
    headers = (
        "SCENARIO",
        "PROMOTED AFTER",
        "HOME AFTER",
        "SENT BACK AFTER",
        "UNITS EXPOSED",
        "DECIDED BY",
        "HARM IN",
    )
    return table(headers, rows)


def remarks(p: Document) -> str:
    lines = [
        "Shares with their 95% Monte-Carlo interval; times and units: median, and in brackets what 90% stay within.",
        "Wrong: sending back what is no worse, promoting what loses a margin.",
        "Assumed:",
        *(f"  {text}" for text in p["assumptions"]),
        "Left out:",
        *(f"  {item['what']}: {item['why']}" for item in p["leftOut"]),
    ]
    return "\n".join(lines)


def _chance(chance: Document) -> str:
    low, high = chance["interval"]
    return f"{chance['share']:.1%} ({low:.1%} to {high:.1%})"


def _wrong(s: Document) -> str:
    """The error that the scenario is a trial of."""
    kind = _WRONG.get(s["purpose"])
    if kind is None:
        return ""
    return f"{(s['struck'] if kind == 'struck' else s['ends'][kind])['share']:.1%}"


def _days(spread: Document) -> str:
    if spread["median"] is None:
        return ""
    return f"{span(86_400 * spread['median'])} ({span(86_400 * spread['p90'])})"


def _units(spread: Document) -> str:
    return "" if spread["median"] is None else f"{spread['median']:,.0f} ({spread['p90']:,.0f})"
