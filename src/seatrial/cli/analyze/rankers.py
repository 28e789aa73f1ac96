"""``seatrial analyze interleaving`` and ``counterfactual``: rankers compared on somebody's own log, without a plan."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.analyze.canary import opened
from seatrial.errors import Exit

EXITS = {"candidate": Exit.OK, "champion": Exit.GATE_FAILED, "undecided": Exit.UNDECIDED}
ICONS = {"candidate": "✔", "champion": "✖", "undecided": "?"}
_ROWS = "What a row says"

Log = Annotated[
    str | None,
    typer.Option("--log", metavar="FILE", help="Parquet or CSV: a file, a directory, a pattern; duckdb:///FILE#TABLE."),
]
Url = Annotated[str | None, typer.Option("--connect", metavar="URL", help="Instead of --log: any backend of Ibis.")]
Table = Annotated[str | None, typer.Option("--table", metavar="NAME", help="The table, with --connect.")]
Alpha = Annotated[float, typer.Option("--alpha", metavar="NUMBER", help="One minus the level of the intervals.")]


def add_to(app: typer.Typer) -> None:
    app.command("interleaving")(interleaving)
    app.command("counterfactual")(counterfactual)


def _column(flag: str, help: str) -> Any:
    return typer.Option(flag, metavar="COLUMN", help=help, rich_help_panel=_ROWS)


def interleaving(
    log: Log = None,
    url: Url = None,
    table: Table = None,
    unit: Annotated[str | None, _column("--unit", "Who saw the page: a user, an account, a device.")] = None,
    query: Annotated[str | None, _column("--query", "What was asked.")] = None,
    items: Annotated[str | None, _column("--items", "What was shown, best first.")] = None,
    teams: Annotated[str | None, _column("--teams", "The ranker each item played for.")] = None,
    clicks: Annotated[str | None, _column("--clicks", "The items that were clicked.")] = None,
    k: Annotated[int, typer.Option("--k", metavar="N", help="Ranks that NDCG and overlap look at.")] = 10,
    alpha: Alpha = 0.05,
    planned: Annotated[
        int, typer.Option("--planned-users", metavar="N", help="With clicks, for whom the bounds are tightest.")
    ] = 500,
    once: Annotated[
        bool, typer.Option("--once", help="Decide by the bounds for one look: this one, fixed beforehand.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Which of two interleaved rankers users prefer: exit 0 the candidate, 3 the champion, 4 undecided."""
    from seatrial.control.analyses.interleaving import Question, compare, comparison_document

    given = {"unit": unit, "query": query, "items": items, "teams": teams, "clicks": clicks}
    source = opened(log, url, table)
    try:
        question = Question(columns=_said(given), k=k, alpha=alpha, planned=planned, once=once)
        document = comparison_document(compare(source, question))
    finally:
        source.close()
    _end(document, _interleaving_lines(document), as_json)


def counterfactual(
    log: Log = None,
    url: Url = None,
    table: Table = None,
    unit: Annotated[str | None, _column("--unit", "Whose decision it was; each its own unless there is one.")] = None,
    reward: Annotated[str | None, _column("--reward", "What it earned: 0 or 1 for a click, or any number.")] = None,
    propensity: Annotated[str | None, _column("--propensity", "The logged probability of what was chosen.")] = None,
    candidate_propensity: Annotated[
        str | None, _column("--candidate-propensity", "The candidate's probability of the same choice.")
    ] = None,
    action: Annotated[str | None, _column("--action", "What was chosen.")] = None,
    candidate_action: Annotated[
        str | None, _column("--candidate-action", "What the candidate would choose, if it leaves nothing to chance.")
    ] = None,
    alpha: Alpha = 0.05,
    as_json: output.Json = False,
) -> None:
    """What a candidate would have earned, where choices were logged with their probabilities: exit 0 more, 3 less,
    4 undecided or too little to say."""
    from seatrial.control.analyses.counterfactual import Question, estimate, estimate_document

    given = {
        "unit": unit, "reward": reward, "propensity": propensity, "candidate-propensity": candidate_propensity,
        "action": action, "candidate-action": candidate_action,
    }  # fmt: skip
    source = opened(log, url, table)
    try:
        document = estimate_document(estimate(source, Question(columns=_said(given), alpha=alpha)))
    finally:
        source.close()
    _end(document, _counterfactual_lines(document), as_json)


def _said(given: dict[str, str | None]) -> dict[str, str]:
    return {part: column for part, column in given.items() if column is not None}


def _end(document: dict[str, Any], lines: list[str], as_json: bool) -> None:
    if as_json:
        output.data(document)
    else:
        for line in [*lines, "", f"{ICONS[document['result']]} {document['result']}: {document['reason']}"]:
            output.text(line)
    raise typer.Exit(EXITS[document["result"]])


def _interleaving_lines(d: dict[str, Any]) -> list[str]:
    from seatrial.control.documents.wording import count

    data, p = d["data"], d["preference"]
    clicks = f"{count(data['clicks'], 'click')} of {count(p['users'], 'user')}"
    lines = [f"'{d['log']}': {count(data['pages'], 'page')}, {clicks}", ""]
    if p["share"] is not None:
        once = "" if p["pValue"] is None else f", p {_p(p['pValue'])}"
        lines += [
            f"credit    {p['share']:.1%} to the candidate {_percents(p['everyLook'])} at every look",
            f"          {_percents(p['interval'])} for one look{once}",
            f"users     {p['candidate']:,} lean to the candidate, {p['champion']:,} to the champion, "
            f"{p['neither']:,} to neither; sign test p {_p(p['signPValue'])}",
            f"teams     {d['teams']['share']:.1%} {_percents(d['teams']['interval'])} for one look, by the coins alone",
        ]
    if (gain := d["ndcg"]) is not None:
        low, high = gain["interval"]
        lines.append(
            f"NDCG@{gain['k']:<4} {gain['candidate']:.4f} candidate, {gain['champion']:.4f} champion, "
            f"difference {gain['difference']:+.4f} [{low:+.4f}, {high:+.4f}] for one look"
        )
    if (alike := d["agreement"]) is not None:
        lines.append(
            f"lists     RBO {alike['rbo']:.3f}, top {alike['k']} overlap {alike['overlap']:.1%}: agreement, not quality"
        )
    return [*lines, *_interleaving_remarks(d)]


def _interleaving_remarks(d: dict[str, Any]) -> list[str]:
    data, left = d["data"], d["data"]["leftOut"]
    lines = [f"⚠ {alarm}" for alarm in d["alarms"]]
    if d["credit"] == "teams":
        lines.append("⚠ the log has no credits: clicks on what both rank alike count for whom the coin chose")
    if data["uncontested"]:
        lines.append(
            f"⚠ {data['uncontested']:,} pages had items of one ranker only, which says nothing about the other"
        )
    told = {"withoutUnit": "without a unit", "changed": "that are not what their lists and key give"}
    said = [f"{left[name]:,} {words}" for name, words in told.items() if left[name]]
    return [*lines, *([f"pages left out: {', '.join(said)}"] if said else [])]


def _counterfactual_lines(d: dict[str, Any]) -> list[str]:
    from seatrial.control.documents.wording import count

    data = d["data"]
    of = "" if data["units"] is None else f" of {count(data['units'], 'unit')}"
    lines = [f"'{d['log']}': {count(data['decisions'], 'decision')}{of}", ""]
    names = {"logged": "logged", "snips": "SNIPS", "ips": "IPS", "difference": "difference", "meanWeight": "weights"}
    for part, name in names.items():
        if (v := d[part]) is not None:
            low_high = "" if v["interval"] is None else f" [{v['interval'][0]:.5g}, {v['interval'][1]:.5g}]"
            lines.append(f"{name:<12}{v['estimate']:.5g}{low_high}")
    lines.append(f"effective   {d['effectiveUnits']:,.1f} units; the largest has {d['largestShare']:.1%} of all weight")
    if left := data["leftOut"]["withoutReward"]:
        lines.append(f"decisions left out: {left:,} without a reward")
    return [*lines, "Intervals are for one look, by unit; the candidate is compared by SNIPS."]


def _percents(interval: list[float]) -> str:
    return f"[{interval[0]:.1%}, {interval[1]:.1%}]"


def _p(value: float) -> str:
    return "< .0001" if value < 1e-4 else f"= {value:.4f}"
