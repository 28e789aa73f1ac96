"""Reconciliations and incidents (``seatrial.reconciliation.v1``, ``seatrial.incident.v1``) as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from seatrial.cli.tables import table
from seatrial.control.documents.wording import VERDICT, clock, count

Document = dict[str, Any]

CHOICES = {"roll_back": "roll back", "hold": "hold", "fix_forward": "fix forward"}


def reconciliation(d: Document) -> str:
    """Everything of one reconciliation."""
    head = (
        f"{d['rollout']} {d['model']} v{d['candidate']} against v{d['champion']}, day {d['day']} "
        f"({clock(d['at'])}), {d['daysSince']:.3g} days after its end"
    )
    reach = f"{count(d['exposed'], 'unit')} have met v{d['candidate']}, about {d['daily']:,.0f} a day of late"
    lines = [head, f"by {d['by']}; {reach}", ""]
    for metric in d["metrics"]:
        lines += [f"{VERDICT[metric['verdict']]} {metric['text']}", *_details(metric)]
    lines += [f"⚠ {_about(one)}" for one in d["confounds"]]
    lines += [f"✖ incident {name}: `seatrial incidents show {name}`" for name in d.get("opened", ())]
    return "\n".join(lines)


def follow_up(r: Mapping[str, Any]) -> Iterator[str]:
    """The part of a rollout's tree that comes after its end: what is planned, what was found, what waits."""
    found = r.get("reconciliation")
    if found is None:
        return
    yield ""
    days = ", ".join(str(due["day"]) for due in found["schedule"])
    upcoming = f", next {clock(found['next'])}" if found["next"] else ", all done"
    yield f"Reconciled on days {days}{upcoming}" if found["schedule"] else "Reconciled by hand"
    if found["standby"] and found["standby"]["warning"]:
        yield f"⚠ {found['standby']['warning']}"
    for result in found["results"]:
        for metric in result["metrics"]:
            yield f"{VERDICT[metric['verdict']]} day {result['day']}: {metric['text']}"
    for incident in found["incidents"]:
        state = "waits for a choice" if incident["open"] else CHOICES[incident["choice"]]
        yield f"{'✖' if incident['open'] else '·'} incident {incident['id']} ({state}): {incident['text']}"


def incidents(d: Document) -> Table:
    """One line an incident."""
    rows = [
        (i["id"], i["rollout"], i["model"], i["metric"], clock(i["opened"]), _state(i), i["text"])
        for i in d["incidents"]
    ]
    return table(("ID", "ROLLOUT", "MODEL", "METRIC", "OPENED", "STATE", "TEXT"), rows)


def incident(i: Document) -> str:
    """One incident with its options."""
    lines = [
        f"{i['id']} {i['text']}",
        f"{_state(i)} · {i['rollout']} · opened {clock(i['opened'])}",
        f"{count(i['exposed'], 'unit')} have met v{i['candidate']}, about {i['daily']:,.0f} a day; that costs "
        f"{_cost(i['lossPerDay'])} of {i['metric']} a day",
        *[f"⚠ {_about(one)}" for one in i["confounds"]],
        "",
        *_options(i["options"]),
    ]
    if not i["open"]:
        lines += ["", f"{CHOICES[i['choice']]}, by {i['closedBy']} at {clock(i['closed'])}: {i['reason']}"]
    else:
        lines += ["", f"`seatrial incidents close {i['id']} --choice CHOICE --reason '...'` records what is chosen"]
    return "\n".join(lines)


def _options(options: Sequence[Document]) -> Iterator[str]:
    for option in options:
        cost = "not possible" if not option["possible"] else f"costs {_cost(option['cost'])}"
        yield f"  {option['choice']:<12} {cost}: {option['text']}"


def _details(metric: Document) -> Iterator[str]:
    for one in metric["surrogates"]:
        yield f"  its surrogate was {one['metric']} (historic correlation {one['correlation']:g})"
    days: dict[int, list[int]] = {}
    for cohort in metric["cohorts"]:
        sums = days.setdefault(cohort["day"], [0, 0])
        sums[0] += cohort["matured"]
        sums[1] += cohort["units"]
    told = ", ".join(f"day {day} {ripe / units:.0%}" for day, (ripe, units) in sorted(days.items()) if units)
    if told:
        yield f"  matured: {told}"
    if metric["contaminated"]:
        yield f"  contaminated: {count(metric['contaminated'], 'unit')} met the other version after the rollout"


def _about(confound: Document) -> str:
    return f"{confound['metric']}: {confound['text']}" if confound["metric"] else confound["text"]


def _cost(cost: Document) -> str:
    return f"{cost['estimate']:,.0f} [{cost['lower']:,.0f}, {cost['upper']:,.0f}]"


def _state(i: Document) -> str:
    return "open" if i["open"] else CHOICES[i["choice"]]
