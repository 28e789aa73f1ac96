"""Documents as text: the tree of a rollout, the lines of a list. Pure functions of what control.documents.views makes.

Form and words follow Argo Rollouts where it has them (icons, Step, SetWeight, ActualWeight).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from seatrial.cli.reconciled import follow_up
from seatrial.control.documents.ways_home import way_home_text
from seatrial.control.documents.wording import (
    STAGE,
    STATUS,
    clock,
    count,
    other_needs,
    percent,
    ripeness,
    span,
    verdict_line,
)

Document = Mapping[str, Any]

ALARM = "⚠"
HISTORY = 10


def tree(r: Document) -> str:
    """A rollout (``seatrial.rollout.v1``): where it stands, its stages, the latest look, what was decided."""
    return "\n".join([*_head(r), "", *_stages(r), *_look(r), *_ways_home(r), *follow_up(r), *_history(r)])


def explanation(r: Document) -> str:
    """A decision (``seatrial.explanation.v1``): the rules in their order, what each saw, and which spoke."""
    latest = r["latest"]
    lines = [f"{r['id']} look {latest['look']:,} at {clock(latest['at'])}: {latest['action']} — {latest['reason']}", ""]
    lines += [f"  {n:>2}  {_rule(rule, latest['action'])}" for n, rule in enumerate(r["rules"], start=1)]
    lines += [f"      {need}" for need in r["needs"]]
    return "\n".join([*lines, *_look(r)])


def _rule(rule: Document, action: str) -> str:
    """``guardrail_harm   silent: no guardrail fails: errors pass``"""
    saw = f": {rule['saw']}" if rule["saw"] else ""
    return f"{rule['rule']:<16} {f'→ {action}' if rule['spoke'] else 'silent'}{saw}"


def status_line(r: Document) -> str:
    """``◌ Progressing  r-0003 fraud v12 (canary 10%, step 2/5): canary 10% lasts until ...``."""
    step = r["step"]
    where = f"{step['name']}, step {step['current']}/{step['of']}"
    message = f": {r['message']}" if r["message"] else ""
    return f"{STATUS[r['status']]}  {r['id']} {r['model']} v{r['candidate']} ({where}){message}"


def _head(r: Document) -> Iterator[str]:
    step, strikes = r["step"], r["strikes"]
    actual = "unknown" if r["actualWeight"] is None else percent(r["actualWeight"])
    if not r["active"]:
        actual = "-"
    yield _field("Name", r["id"])
    yield _field("Status", STATUS[r["status"]])
    if r["message"]:
        yield _field("Message", r["message"])
    yield _field("Model", f"{r['model']} v{r['candidate']} against v{r['champion']}")
    yield _field("Plan", r["plan"])
    yield _field("  Step", f"{step['current']}/{step['of']}")
    yield _field("  SetWeight", percent(r["setWeight"]))
    yield _field("  ActualWeight", actual)
    if r["mirrored"]:
        yield _field("  Mirrored", percent(r["mirrored"]))
    yield _field(
        "  Strikes",
        f"{strikes['here']} of {strikes['perStep']} at this step, {strikes['total']} of {strikes['limit']} in all",
    )
    left = "" if not r["active"] else f" ({_left(r)}, then {r['onDeadline']})"
    yield _field("  Deadline", f"{clock(r['deadline'])}{left}")
    for one in r["withdrawn"]:
        why = f": {one['reason']}" if one["reason"] else ""
        yield _field("  Left", f"{one['unit']} at {clock(one['at'])} by {one['by']}{why}; evidence until then is kept")


def _left(r: Document) -> str:
    seconds = _seconds(r["lookedAt"] or r["started"], r["deadline"])
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"


def _field(name: str, value: str) -> str:
    return f"{name + ':':<17}{value}"


def _stages(r: Document) -> Iterator[str]:
    yield f"⟳ {r['id']}"
    stages = r["stages"]
    for n, stage in enumerate(stages):
        branch = "└──" if n + 1 == len(stages) else "├──"
        yield f"{branch} {STAGE[stage['status']]} {_stage(stage)}"


def _stage(stage: Document) -> str:
    parts = [stage["name"]]
    if stage["lasted"] is not None:
        parts.append(span(stage["lasted"]))
    if stage["minDuration"] and stage["status"] in ("current", "paused", "pending"):
        parts.append(f"of at least {span(stage['minDuration'])}" if stage["lasted"] is not None else
                     f"at least {span(stage['minDuration'])}")  # fmt: skip
    if stage["manual"]:
        parts.append("· ends by hand")
    if stage["approval"] is not None:
        parts.append(f"· {len(stage['approval']['given'])} of {count(stage['approval']['count'], 'approval')}")
    if stage["strikes"]:
        parts.append(f"· {count(stage['strikes'], 'strike')}")
    return " ".join(parts)


def _look(r: Document) -> Iterator[str]:
    latest = r["latest"]
    if latest is None or not (r["verdicts"] or r["signals"] or r["alarms"]):
        return
    yield ""
    yield f"Look {latest['look']:,} at {clock(latest['at'])}"
    for alarm in r["alarms"]:
        yield f"{ALARM} {alarm['kind']}: {alarm['text']}"
    if latest["pace"] is not None:
        yield f"Pace: {latest['pace']['word']}, {latest['pace']['why']}"
    for verdict in r["verdicts"]:
        yield from _verdict(verdict)
    if r["signals"]:
        yield "Signals (shown, not judged)"
        for verdict in r["signals"]:
            yield from _verdict(verdict)
    for need in other_needs(r):
        yield f"  {need}"


def _verdict(v: Document) -> Iterator[str]:
    yield verdict_line(v)
    if v["justification"]:
        yield f"  its margin is accepted: {v['justification']}"
    if ripe := ripeness(v):
        yield f"  {ripe}"
    if v["needs"] and v["verdict"] != "pass":
        when = "" if v["expected"] is None else f", about {clock(v['expected'])}"
        yield f"  {v['needs']}{when}"


def _ways_home(r: Document) -> Iterator[str]:
    ways = r.get("waysHome") or []
    if ways:
        yield ""
        yield "Ways home"
    for way in ways:
        by = "" if way["actor"] == "seatrial" else f" ({way['actor']})"
        yield f"{clock(way['at'])}  {way_home_text(way)}{by}"


def _history(r: Document) -> Iterator[str]:
    lines = [_decided(same) for _, same in groupby(r["history"], key=_gist)]
    if not lines:
        return
    yield ""
    yield "Decisions" if len(lines) <= HISTORY else f"Decisions (the last {HISTORY} of {len(lines):,})"
    yield from lines[-HISTORY:]


def _gist(d: Document) -> tuple[str, ...]:
    return (d["action"], d["rule"], d["reason"], d["actor"])


def _decided(same: Iterable[Document]) -> str:
    """One line for decisions that repeat each other: a decision is also stored when nothing changes, hourly."""
    first, *more = same
    by = "" if first["actor"] == "seatrial" else f" ({first['actor']})"
    again = f" · again until {clock(more[-1]['at'])}" if more else ""
    return f"{clock(first['at'])}  {first['action']:<9}  {first['rule']:<14}  {first['reason']}{by}{again}"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
