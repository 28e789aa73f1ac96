"""A shadow report for people, and the options and files that both commands with one share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from seatrial.control.analyses.shadow import Options, ShadowReport

Document = Mapping[str, Any]

MOST_HOURS = 5
STATUS = {"ok": "ok", "not_enough": "insufficient", "no_data": "no data", "degenerate": "degenerate"}

Threshold = Annotated[
    str | None, typer.Option(metavar="SCORE", help="From here on a score means the other decision.",
                             show_default="the plan's 'decision'"),
]  # fmt: skip
Above = Annotated[str, typer.Option(metavar="NAME", help="The decision at the threshold and above, e.g. block.")]
Below = Annotated[str, typer.Option(metavar="NAME", help="The decision below the threshold, e.g. allow.")]
MinPairs = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="A segment with fewer is insufficient.",
                             show_default="the plan's, or 200"),
]  # fmt: skip
Cost = Annotated[
    str | None, typer.Option("--cost-per-day", metavar="AMOUNT", help="What serving the champion costs a day.")
]
CostEach = Annotated[
    str | None, typer.Option("--cost-per-1000", metavar="AMOUNT", help="What 1,000 predictions of the shadow cost.")
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with pictures.")]


def options_of(
    threshold: str | None,
    above: str,
    below: str,
    min_pairs: int | None,
    cost: str | None,
    share: str | None,
    cost_each: str | None = None,
) -> Options:
    """What was asked. Raises UsageError (ST0289) for a number that is none."""
    from seatrial.control.analyses.shadow import Options
    from seatrial.rollout.plan import ServingDecision
    from seatrial.values import Share

    if cost is not None and cost_each is not None:
        raise UsageError("ST0289", "--cost-per-day and --cost-per-1000 say the same twice.", remedy="Give one of them.")
    decision = None
    if threshold is not None:
        decision = ServingDecision(threshold=_number("--threshold", threshold), above=above, below=below)
    return Options(
        decision=decision,
        min_pairs=min_pairs,
        cost_per_day=None if cost is None else _number("--cost-per-day", cost),
        cost_per_1000=None if cost_each is None else _number("--cost-per-1000", cost_each),
        share=None if share is None else amounts.read("--share", share, Share.parse, "10%"),
    )


def finish(report: ShadowReport, *, as_json: bool, html: Path | None) -> None:
    """Print the report, and write its page."""
    if as_json:
        output.data(report.document)
    else:
        tell(report.document)
    if html is not None:
        from seatrial.control.documents.shadow_page import write_page

        try:
            write_page(report, html)
        except OSError as error:
            raise UsageError("ST0289", f"'{html}' cannot be written: {error.strerror}.", remedy="--html FILE") from None
        output.note(f"✔ {html}")


def tell(d: Document) -> None:
    """What was compared, a table of segments, where it agrees least, and what is unmatched."""
    from seatrial.control.documents.wording import VERDICT, clock

    if "candidate" in d:
        where = d.get("rollout", "standing shadow")
        output.text(f"{where}: {d['model']} v{d['candidate']} against v{d['champion']}, {clock(d['at'])}")
    else:
        output.text(f"shadow and champion in '{d['log']}'")
    total = d["segments"][0]
    output.text(f"{total['pairs']:,} pairs of {d['outputs']}, worth {total['units']:,.0f} units · {d['about']}")
    for line in _more(d):
        output.text(line)
    output.text("")
    output.show(_segments(d))
    output.text("")
    for line in _clicked(total, d["topK"]):
        output.text(line)
    for worst in d["worst"]:
        output.text(f"agrees least at {worst['segment']}: {worst['estimate']:.3f}")
    for verdict in d["verdicts"]:
        why = f": {verdict['needs']}" if verdict["needs"] else ""
        output.text(f"{VERDICT[verdict['verdict']]} {verdict['metric']} {verdict['verdict']}{why}")
    for line in _unmatched(d["unmatched"]):
        output.text(line)


def _more(d: Document) -> list[str]:
    """How much was copied, and what that costs."""
    lines = []
    if d["sampling"]["measured"] is not None:
        planned = ", ".join(f"{share:.2%}" for share in d["sampling"]["planned"]) or "none"
        lines.append(
            f"copied {d['sampling']['measured']:.2%} of {d['sampling']['exposures']:,} exposures "
            f"({planned} of the units planned)"
        )
    for s in d["sampling"]["segments"]:
        told = f"{s['measured']:.2%} of {s['exposures']:,} exposures ({s['planned']:.2%} planned)"
        lines.append(f"  {s['segment']}: copied {told}")
    if any(s["reweighted"] for s in d["segments"]):
        lines.append("segments marked * were copied at several shares: each pair counts for the requests it stands for")
    if (cost := d["cost"]) is not None and cost["extraPerDay"] is not None:
        lines.append(f"costs {cost['extraPerDay']:,.2f} a day: {_priced(cost)}")
    return lines


def _priced(cost: Document) -> str:
    if "servingPerDay" in cost:
        return f"{cost['share']:.2%} of {cost['servingPerDay']:,.2f}"
    return f"{cost['copiesPerDay']:,.0f} copies a day at {cost['per1000']:,.4g} for 1,000"


def _clicked(total: Document, k: int) -> list[str]:
    """NDCG of both lists by the same clicks, where there are any."""
    if (found := total["ndcg"]) is None:
        return []
    apart = found["difference"]
    return [
        f"NDCG@{k} {found['shadow']:.3f} shadow, {found['champion']:.3f} champion, difference "
        f"{apart['value']:+.3f} [{apart['lower']:+.3f}, {apart['upper']:+.3f}] · {found['pairs']:,} pairs with a click",
        "clicks favour the list that they were made on: judge a shadow by them only where both had the same chance",
    ]


def _segments(d: Document) -> Table:
    from seatrial.cli.tables import table

    asked = d["decision"]
    flips = () if asked is None else (f"{asked['below']}→{asked['above']}", f"{asked['above']}→{asked['below']}")
    first = next((s["headline"]["statistic"] for s in d["segments"] if s["headline"]), "agreement")
    beside = _BESIDE.get(first, ("kendall",))
    names = [f"TOP {d['topK']}" if name == "topK" else _NAMES[name] for name in beside]
    headers = ("SEGMENT", "PAIRS", "UNITS", first.upper(), *names, *flips, "DISTANCE", "SLOWER BY", "ERRORS", "STATUS")
    rows = [
        (f"{s['segment']}{' *' * s['reweighted']}", f"{s['pairs']:,}", f"{s['units']:,.0f}", _three(s["headline"]),
         *(_three(s[name]) for name in beside), *_flips(s, len(flips)), _plain(s["jensenShannon"]),
         _slower(s["latency"]), _errors(s["errors"]), STATUS[s["status"]])
        for s in d["segments"]
    ]  # fmt: skip
    return table(headers, rows, right=headers[1:-1])


_BESIDE = {"spearman": ("kendall",), "kappa": ("agreement",), "rbo": ("topK", "kendall")}
"""What stands beside the number that a segment is known by."""

_NAMES = {"kendall": "KENDALL", "agreement": "SAME LABEL"}


def _three(estimate: Document | None) -> str | None:
    if estimate is None:
        return None
    return f"{estimate['value']:.3f} [{estimate['lower']:.3f}, {estimate['upper']:.3f}]"


def _flips(segment: Document, columns: int) -> tuple[str | None, ...]:
    found = segment["flips"]
    if found is None:
        return (None,) * columns
    return tuple(f"{found[way]:,} ({found[f'{way}Rate']:.2%})" for way in ("raised", "lowered"))


def _plain(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _slower(latency: Document) -> str | None:
    """Half of the answers take so much longer, in milliseconds."""
    if len(latency) < 2:
        return None
    return f"{1000 * (latency['shadow']['p50'] - latency['champion']['p50']):+.1f}ms"


def _errors(errors: Document) -> str | None:
    if not errors:
        return None
    return f"{errors['champion']:.2%} / {errors['shadow']:.2%}"


def _unmatched(u: Document) -> list[str]:
    """The share that is unmatched, and in which hours and segments most of it lies."""
    from seatrial.control.documents.wording import clock

    icon = "✔" if u["valid"] else "⚠"
    said = "" if u["valid"] else ": the comparison is invalid"
    lines = [
        f"{icon} {u['unmatched']:,} of {u['requests']:,} requests are unmatched "
        f"({u['share']:.2%}, at most {u['limit']:.0%}){said}"
    ]
    for name, rows in (("hour", u["hours"]), ("segment", u["segments"])):
        for row in sorted(rows, key=lambda row: -row["unmatched"])[:MOST_HOURS]:
            if row[name] != "total":
                place = clock(row[name]) if name == "hour" else row[name]
                lines.append(f"  {place}: {row['unmatched']:,} of {row['requests']:,}")
    return lines


def _number(flag: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError("ST0289", f"{flag} {text}: not a number.", remedy=f"e.g. {flag} 0.8")
    return number
