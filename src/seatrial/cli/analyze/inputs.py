"""``seatrial analyze inputs``: paired feature records of somebody's own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from seatrial.cli import amounts, output
from seatrial.cli.analyze.columns import ROWS, column
from seatrial.cli.shadow.inputs_text import EXITS, tell
from seatrial.errors import UsageError

REMEDY = (
    "no request has features as used on both sides. Bodies of requests cannot show what a model used; "
    "see docs/inputs.md."
)
_ASKED = "When they are the same"


def add_to(app: typer.Typer) -> None:
    app.command("inputs")(inputs)


def inputs(
    log: Annotated[
        str, typer.Option(metavar="FILE", help="Parquet or CSV: a file, a directory, a pattern; a log of seatrial.")
    ],
    other: Annotated[
        str | None, typer.Option(metavar="FILE", help="The shadow's records, where --log has the champion's alone.")
    ] = None,
    request: Annotated[str | None, column("--request", "The request id, by which records are joined.")] = None,
    arm: Annotated[str | None, column("--arm", "Which model used it, where both are in one file.")] = None,
    champion: Annotated[
        str, typer.Option("--champion", metavar="VALUE", help="In --arm's column.", rich_help_panel=ROWS)
    ] = "champion",
    shadow: Annotated[
        str, typer.Option("--shadow", metavar="VALUE", help="In --arm's column.", rich_help_panel=ROWS)
    ] = "shadow",
    feature: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Compare only these.", rich_help_panel=ROWS,
                     show_default="all other columns"),
    ] = None,
    as_of: Annotated[
        list[str] | None,
        typer.Option(metavar="[FEATURE=]COLUMN", rich_help_panel=ROWS,
                     help="When a feature was true, or all of them; a number is in seconds since 1970."),
    ] = None,
    schema: Annotated[str | None, column("--schema", "The version of the features.")] = None,
    max_divergence: Annotated[
        str, typer.Option(metavar="SHARE", help="Of the pairs, for each feature.", rich_help_panel=_ASKED)
    ] = "1%",
    tolerance: Annotated[
        float, typer.Option(metavar="NUMBER", help="Relative, of numbers.", rich_help_panel=_ASKED)
    ] = 1e-9,
    staleness: Annotated[
        str, typer.Option(metavar="DURATION", help="How far times may lie apart.", rich_help_panel=_ASKED)
    ] = "60s",
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """Compare the features that two models used for the same requests: exit 0 they agree, 3 one diverges, 4 not
    observed."""
    from seatrial.control.analyses.inputs import comparison
    from seatrial.engines.feature_records import Asked, records_of, records_of_two
    from seatrial.engines.inputs import open_log
    from seatrial.evidence.inputs import compare_inputs
    from seatrial.rollout.inputs import rule_of
    from seatrial.rollout.plan import Inputs
    from seatrial.rollout.validate.inputs import values_problems
    from seatrial.values import Duration, Share

    rule = Inputs(
        max_divergence=amounts.read("--max-divergence", max_divergence, Share.parse, "1%"),
        tolerance=tolerance,
        staleness=amounts.read("--staleness", staleness, Duration.parse, "60s"),
        features=tuple(feature) if feature else None,
    )
    for problem in values_problems(rule):
        raise UsageError(problem.code, f"{problem.where}: {problem.text}", remedy=problem.remedy)
    asked = Asked(
        request=request, arm=arm, features=rule.features or (), as_of=_times(as_of or []), schema=schema,
        sides=(champion, shadow),
    )  # fmt: skip
    with ExitStack() as closing:
        sources = []
        for file in (log, other) if other is not None else (log,):
            sources.append(open_log(file))
            closing.callback(sources[-1].close)
        ours, theirs = records_of(sources[0], asked) if other is None else records_of_two(sources[0], sources[1], asked)
        document = {
            "schema": "seatrial.inputs-analysis.v1",
            "log": log,
            "other": other,
            **comparison(compare_inputs(ours, theirs, rule_of(rule)), rule),
        }
    if as_json:
        output.data(document)
    else:
        tell(document, REMEDY)
    raise typer.Exit(EXITS[document["result"]])


def _times(given: list[str]) -> dict[str, str]:
    """Columns with times, by the feature they are about."""
    found = {}
    for text in given:
        name, equals, column = text.partition("=")
        name, column = (name, column) if equals else ("", name)
        if not column or (equals and not name):
            raise UsageError("ST0782", f"--as-of {text}: not [FEATURE=]COLUMN.", remedy="e.g. --as-of balance=read_at")
        found[name] = column
    return found
