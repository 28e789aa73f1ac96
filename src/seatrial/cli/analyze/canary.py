"""``seatrial analyze``: a plan's verdicts on somebody's own files and tables, without a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial.cli import output
from seatrial.cli.analyze.columns import ROWS, column
from seatrial.errors import Exit, UsageError
from seatrial.instants import instant

if TYPE_CHECKING:
    from rich.table import Table

    from seatrial.engines.inputs import Input
    from seatrial.ids import Arm
    from seatrial.rollout.plan import Plan

app = typer.Typer(help="A plan's verdicts on your own files and tables.", no_args_is_help=True)

EXITS = {"pass": Exit.OK, "fail": Exit.GATE_FAILED, "undecided": Exit.UNDECIDED}
ICONS = {"pass": "✔", "fail": "✖", "undecided": "?"}
NAMED = "NAME=COLUMN"
_SPLIT = "How the users were split"
_ASKED = "What is asked"

TimeUnit = Literal["us", "ms", "s"]
Names = list[str]


@app.command("canary")
def canary(
    plan: Annotated[Path, typer.Option("--plan", metavar="FILE", help="The plan's YAML file.")],
    log: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Parquet or CSV: a file, a directory, a pattern; duckdb:///FILE#TABLE."),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--connect", metavar="URL", help="Instead of --log: any backend of Ibis.")
    ] = None,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="The table, with --connect.")] = None,
    unit: Annotated[str | None, column("--unit", "Who was randomised: a user, an account, a device.")] = None,
    arm: Annotated[str | None, column("--arm", "Which arm, or version, the unit was assigned to.")] = None,
    time: Annotated[str | None, column("--time", "When; without a zone it is UTC.")] = None,
    score: Annotated[str | None, column("--score", "The prediction, for losses.")] = None,
    latency: Annotated[str | None, column("--latency", "How long the answer took.")] = None,
    error: Annotated[str | None, column("--error", "Whether there was none: true, false or 1, 0.")] = None,
    items: Annotated[str | None, column("--items", "The ranked list that was served, for clicks.")] = None,
    outcome: Annotated[
        Names | None, typer.Option(metavar=NAMED, help="An outcome of the plan.", rich_help_panel=ROWS)
    ] = None,
    outcome_time: Annotated[
        Names | None,
        typer.Option(metavar=NAMED, help="When it became true; late ones do not count.", rich_help_panel=ROWS),
    ] = None,
    segment: Annotated[
        Names | None, typer.Option(metavar=NAMED, help="A segment of the plan; NAME=- without.", rich_help_panel=ROWS)
    ] = None,
    outcomes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", rich_help_panel=ROWS,
            help="Outcomes kept apart: key, name, value; time and revision if there are any.",
        ),
    ] = None,
    key: Annotated[str | None, column("--key", "With --outcomes: whose keys they are.")] = None,
    time_unit: Annotated[
        TimeUnit | None, typer.Option(help="Of times that are numbers since 1970.", rich_help_panel=ROWS)
    ] = None,
    latency_unit: Annotated[
        TimeUnit | None, typer.Option(help="Of the latency, if its name does not end in it.", rich_help_panel=ROWS)
    ] = None,
    champion_value: Annotated[
        str | None, typer.Option("--champion", metavar="VALUE", help="In --arm's column.", rich_help_panel=_SPLIT)
    ] = None,
    canary_value: Annotated[
        str | None, typer.Option("--canary", metavar="VALUE", help="In --arm's column.", rich_help_panel=_SPLIT)
    ] = None,
    split: Annotated[
        Names | None,
        typer.Option(
            metavar="SHARE", rich_help_panel=_SPLIT,
            help="The canary's planned share: 10%; of a ramp TIME=10% or, with --phase, VALUE=10%, once for each.",
        ),
    ] = None,
    phase: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Which split was in force.", rich_help_panel=_SPLIT)
    ] = None,
    mixed: Annotated[
        Literal["refuse", "drop", "keep"],
        typer.Option(help="Units that are in both arms within one phase.", rich_help_panel=_SPLIT),
    ] = "refuse",
    metric: Annotated[
        Names | None, typer.Option(metavar="NAME", help="Judge only these metrics.", rich_help_panel=_ASKED)
    ] = None,
    stage: Annotated[
        int | None,
        typer.Option(metavar="N", help="As at this stage of the plan, counted from 1.", rich_help_panel=_ASKED,
                     show_default="the last: promotion"),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When the log was taken; outcomes mature until then.", rich_help_panel=_ASKED,
                     show_default="its last row"),
    ] = None,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """Judge two groups of units by a plan: exit 0 pass, 3 fail, 4 undecided."""
    from seatrial.control.analyses.canary import Question, analysis_document, analyze
    from seatrial.engines.apart import with_outcomes
    from seatrial.engines.columns import Asked
    from seatrial.engines.wide import Units
    from seatrial.store.plans import check_plan, read_plan

    given = {"unit": unit, "arm": arm, "time": time, "score": score, "latency": latency, "error": error}
    given |= {"phase": phase, "items": items}
    told: dict[Arm, str | None] = {"champion": champion_value, "canary": canary_value}
    question = Question(
        plan=_only(check_plan(read_plan(plan)), metric or []),
        asked=Asked(
            parts={part: column for part, column in given.items() if column is not None},
            outcomes=_pairs("--outcome", outcome),
            outcome_times=_pairs("--outcome-time", outcome_time),
            segments=_pairs("--segment", segment),
        ),
        arms={which: value for which, value in told.items() if value is not None},
        splits=split or (),
        units=Units(time=time_unit, latency=latency_unit),
        stage=stage,
        at=_moment(at),
        mixed=mixed,
    )
    source = opened(log, url, table)
    try:
        if outcomes is not None:
            source, asked = with_outcomes(source, outcomes, key, question.plan, question.asked)
            question = replace(question, asked=asked)
        elif key is not None:
            raise UsageError("ST0281", f"--key {key}: there is nothing to join.", remedy="Give --outcomes FILE, too.")
        analysis = analyze(source, question)
    finally:
        source.close()
    document = analysis_document(analysis)
    if as_json:
        output.data(document)
    else:
        _tell(document)
    raise typer.Exit(EXITS[analysis.result])


def opened(log: str | None, url: str | None, table: str | None) -> Input:
    from seatrial.engines.inputs import connect, open_log

    if (log is None) == (url is None):
        raise UsageError("ST0271", "one table is judged.", remedy="Give --log FILE, or --connect URL --table NAME.")
    return open_log(log, table) if log is not None else connect(str(url), table)


def _only(plan: Plan, names: Sequence[str]) -> Plan:
    """The plan with these metrics alone, which then share its budget for false alarms."""
    known = {metric.name for metric in plan.metrics}
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known))
            raise UsageError("ST0272", f"plan '{plan.name}' has no metric '{name}'.", remedy=f"There are {listed}.")
    if not names:
        return plan
    kept = replace(plan, metrics=tuple(m for m in plan.metrics if m.name in names))
    if not kept.guardrails:
        raise UsageError("ST0272", "none of these metrics is a guardrail: nothing to judge by.")
    return kept


def _pairs(flag: str, given: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for text in given or ():
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise UsageError("ST0272", f"{flag} {text}: not {NAMED}.", remedy=f"e.g. {flag} clicked=was_clicked")
        found[name] = column
    return found


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return instant(text, zone=UTC)
    except ValueError:
        raise UsageError("ST0272", f"--at {text}: not a time.", remedy="e.g. --at 2026-03-08T00:00") from None


def _tell(d: dict[str, Any]) -> None:
    """For people: what was judged, phases, one line a metric with what it lacks, and the verdict."""
    from seatrial.control.documents.wording import clock, count, other_needs

    units, data = d["units"], d["data"]
    output.text(f"plan '{d['plan']}' on '{d['log']}', judged as at {d['stage']['name']}, {clock(d['at'])}")
    output.text(
        f"{count(data['exposures'], 'exposure')} of {count(units['all'], 'unit')} "
        f"({units['canary']:,} canary, {units['champion']:,} champion), {clock(data['first'])} to {clock(data['last'])}"
    )
    output.text("")
    output.show(_phases(d))
    output.text("")
    for line in (line for v in (*d["verdicts"], *d["signals"]) for line in _metric(v)):
        output.text(line)
    for line in _remarks(d):
        output.text(line)
    output.text("")
    output.text(f"{ICONS[d['result']]} {d['result']}: {d['reason']}")
    for need in other_needs(d):
        output.text(f"  {need}")


def _phases(d: dict[str, Any]) -> Table:
    from seatrial.cli.tables import table
    from seatrial.control.documents.wording import clock, percent

    rows = [
        (p["label"] or p["number"], clock(p["started"]), percent(p["weight"]), f"{p['newUnits']['canary']:,}",
         f"{p['newUnits']['champion']:,}", None if p["share"] is None else f"{p['share']:.2f}%")
        for p in d["phases"]
    ]  # fmt: skip
    headers = ("PHASE", "SINCE", "SPLIT", "NEW CANARY UNITS", "NEW CHAMPION UNITS", "SHARE")
    return table(headers, rows, right=headers[2:])


def _metric(v: dict[str, Any]) -> list[str]:
    """``✔ sales −0.1% [−4.5%, +4.5%] must stay above −5.0% · n 17,488 canary / ... · ok · pass``, and what it lacks."""
    from seatrial.control.documents.wording import VERDICT, amount, asked, estimate, interval, sample

    signal = v["role"] == "signal"
    words = [v["metric"], estimate(v), interval(v), "(a signal, not judged)" if signal else asked(v)]
    if v["bound"] != v["margin"]:
        words.append(f"(margin {amount(v, v['margin'])})")
    measured = " ".join(word for word in words if word)
    lines = [f"{VERDICT[v['verdict']]} {measured} · {sample(v)} · {v['status']} · {v['verdict']}"]
    return [*lines, *(f"  {lack}" for lack in _lacks(v))]


def _lacks(v: dict[str, Any]) -> list[str]:
    """What a verdict needs, and which exposures are not in it."""
    lacks = [v["needs"]] if v["needs"] and v["verdict"] != "pass" else []
    for what, words in (("immature", "too young for their outcome"), ("missing", "without outcome")):
        counts = v[what]
        if any(counts.values()):
            lacks.append(f"{counts['canary']:,} canary / {counts['champion']:,} champion exposures {words}")
    return lacks


def _remarks(d: dict[str, Any]) -> list[str]:
    lines = [f"⚠ {alarm['kind']}: {alarm['text']}" for alarm in d["alarms"]]
    if d["units"]["mixed"]:
        lines.append(f"⚠ mixed: {d['units']['mixed']:,} units were in both arms within one phase, and are kept")
    left = d["data"]["leftOut"]
    said = {"otherArms": "of other arms", "withoutUnit": "without a unit", "withoutTime": "without a time"}
    told = [f"{left[name]:,} {words}" for name, words in said.items() if left[name]]
    return [*lines, *([f"rows left out: {', '.join(told)}"] if told else [])]
