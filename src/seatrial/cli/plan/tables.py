"""A plan (``seatrial.plan.v1``) as text: stages, budgets, rules, forecast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from seatrial.cli.tables import table
from seatrial.control.documents.wording import count, percent, size, span

Document = dict[str, Any]


def headline(p: Document) -> str:
    about = f": {p['description']}" if p["description"] else ""
    return (
        f"{p['name']}{about}\n{count(len(p['stages']), 'stage')} before everyone, at least {span(p['minDuration'])} "
        f"in all; after {span(p['deadline'])} nothing advances any more ({p['onDeadline']})"
    )


def stages(p: Document) -> Table:
    """One line a stage: share, least time, samples, and how large a loss must be excluded to leave it."""
    rows = []
    for n, s in enumerate(p["stages"], start=1):
        shadow = s["kind"] == "shadow"
        own = "".join(f", {value} {percent(points)}" for value, points in s["mirroredBy"].items())
        share = f"{percent(s['mirrored'])} copied{own}" if shadow else percent(s["weight"])
        samples = [f"{s['minUnits']:,} units"]
        if shadow:
            samples.append(f"{s['minPairs']:,} pairs")
        if s["minOutcomes"]:
            samples.append(f"{s['minOutcomes']:,} outcomes")
        tolerance = "the margin" if s["last"] else f"{s['tolerance']:g} × margin"
        ends = ["by hand"] if s["manual"] else []
        ends += [count(s["approval"]["count"], "approval")] if s["approval"] else []
        rows.append((n, s["name"], share, span(s["minDuration"]), ", ".join(samples), tolerance, ", ".join(ends)))
    rows.append((len(p["stages"]) + 1, "everyone", "100%", "", "", "", ""))
    headers = ("STEP", "NAME", "SHARE", "LEAST TIME", "SAMPLES", "EXCLUDES A LOSS OF", "ENDS")
    return table(headers, rows, right=("STEP",))


def guardrails(p: Document) -> Table:
    """Margins, and which part of the false-rollback budget each test of a guardrail may spend."""
    rows = [
        (
            g["name"], g["kind"], f"{'lower' if g['better'] == 'decrease' else 'higher'} is better", g["margin"],
            "" if g["horizon"] is None else span(g["horizon"]), g["limit"],
            " + ".join(f"{alpha:.2%} {arms}" for arms, alpha in g["alpha"].items()),
        )
        for g in p["guardrails"]
    ]  # fmt: skip
    return table(("GUARDRAIL", "KIND", "", "MARGIN", "HORIZON", "LIMIT", "FALSE ROLLBACK AT MOST"), rows)


def _agreement(a: Document) -> str:
    """``alike: in shadow at least 0.9 over all, 0.8 in each account_age with 500 pairs, none 0.2 below the whole``."""
    asked = [f"at least {a['floor']:g} over all"]
    if a["segmentFloor"] is not None:
        asked.append(f"{a['segmentFloor']:g} in every {a['segment'] or 'segment'} with {a['minPairs']:,} pairs")
    if a["maxGap"] is not None:
        asked.append(f"none {a['maxGap']:g} below the whole")
    return f"{a['name']}: in shadow {', '.join(asked)}; less holds the release and sends nothing back"


def rules(p: Document) -> str:
    """The promises in words."""
    alpha, strikes = p["alpha"], p["strikes"]
    lines = [
        f"A candidate that is no worse is sent back with probability at most {alpha['rollback']:.1%} in the whole",
        f"rollout, however often it is looked at (every {span(p['lookEvery'])}). One that loses a margin gets past",
        f"that guardrail with probability at most {alpha['promotion']:.1%}.",
        f"Strikes: {strikes['perStep']} at one step or {strikes['total']} in all end it. Digest: {p['digest']}",
    ]
    lines += [
        f"{g['name']}: a loss of {g['margin']} is accepted because {g['justification']}"
        for g in p["guardrails"]
        if g["justification"]
    ]
    lines += [f"{g['name']}: a value above {g['cap']:g} counts as {g['cap']:g}" for g in p["guardrails"] if g["cap"]]
    lines += [_agreement(a) for a in p["agreements"] if a["role"] == "guardrail"]
    if p["signals"]:
        lines.append(f"Signals (shown, not judged): {', '.join(p['signals'])}")
    if p["dryRuns"]:
        lines.append(f"Dry runs (judged, and nothing follows): {', '.join(p['dryRuns'])}")
    return "\n".join([*lines, *later(p)])


def later(p: Document) -> Iterator[str]:
    """Metrics that take their time: what stands in for them, when they are ripe, and what happens after the rollout."""
    for name, of in p["surrogates"].items():
        yield f"{name} is a surrogate of {of['metric']} (historic correlation {of['correlation']:g})"
    for name, days in p["earliest"].items():
        if name in p["reconciled"] or days["first"] > 2:
            first, every = (math.ceil(days[which]) for which in ("first", "every"))
            line = f"{name}: earliest decision on day {first} for the first cohort, day {every} for all"
            yield f"{line}; reconciled then, after the rollout" if name in p["reconciled"] else line


def erosion(p: Document, model: str) -> str:
    """What the releases since the anchor lost together, a line a guardrail."""
    lines = [f"{'✖' if e['tripped'] else '✔'} {e['text']}" for e in p["erosion"]]
    if not lines:
        return f"No release of {model} has measured these guardrails since its anchor."
    if any(e["tripped"] for e in p["erosion"]):
        lines.append(f"No release of {model} is promoted by itself until that is accepted: `seatrial model anchor`.")
    return "\n".join(["Lost by all releases together:", *lines])


def forecast_note(p: Document, model: str) -> str:
    if p["forecast"]:
        return f"On the traffic of {model}, as its latest rollout with evidence saw it:"
    return f"No forecast: no rollout of {model} has measured these guardrails yet."


def forecast(p: Document) -> Table:
    """One line a step and guardrail: what it would find, and how long the margin takes."""
    rows = [
        (
            f["stage"], f["metric"], f"{f['exposures']:,}", size(f["detectable"], f),
            size(f["margin"], f), "" if f["marginDays"] is None else span(86400 * f["marginDays"]), f["note"],
        )
        for f in p["forecast"]
    ]  # fmt: skip
    headers = ("STEP", "GUARDRAIL", "EXPOSURES", "FINDS (80%)", "MARGIN", "MARGIN EXCLUDED AFTER", "")
    return table(headers, rows, right=("EXPOSURES",))


def sight(p: Document, effect: str | None) -> str:
    """What the forecast means, a sentence a step: what is seen, what is not, and the chance of what was asked about."""
    lines = []
    for f in p["forecast"]:
        if f["detectable"] is None:
            continue
        large, margin = size(f["detectable"], f), size(f["margin"], f)
        line = f"{f['stage']}: {f['metric']} that gets worse by {large} or more is found (80%)"
        if f["detectable"] > f["margin"]:
            line += f"; the margin of {margin} alone would need {span(86400 * f['marginDays'])} at this split"
        if effect is not None and f["chance"] is not None:
            line += f". By {effect}: found with probability {f['chance']:.0%}"
        lines.append(f"{line}.")
    return "\n".join(lines)
