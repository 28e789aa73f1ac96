"""``seatrial analyze drift``: whether somebody's table still looks as it did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from seatrial.cli import amounts, output
from seatrial.errors import Exit, UsageError

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from seatrial.control.analyses.drift import Known
    from seatrial.engines.drift import Asked, Table
    from seatrial.stats.drift.judge import Rules

EXITS = {"stable": Exit.OK, "drift": Exit.GATE_FAILED, "undecided": Exit.UNDECIDED}
ICONS = {"stable": "✔", "drift": "✖", "undecided": "?"}
MOST = 20
_COLUMNS, _WINDOWS, _RULES = "Which columns", "Windows", "What counts as drift"
Names = list[str]


def add_to(app: typer.Typer) -> None:
    app.command("drift")(drift)


def _columns(flag: str, help: str) -> Any:
    return typer.Option(flag, metavar="COLUMN", help=help, rich_help_panel=_COLUMNS)


def drift(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="Parquet or CSV: a file, a directory, a pattern; duckdb:///FILE#TABLE; "
                            "or what --keep wrote.")
    ],
    current: Annotated[str, typer.Argument(metavar="CUR", help="Likewise: what it looks like now.")],
    column: Annotated[Names | None, _columns("--column", "Compare only these.")] = None,
    without: Annotated[Names | None, _columns("--without", "Compare all but these.")] = None,
    categorical: Annotated[Names | None, _columns("--categorical", "Numbers that stand for categories.")] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="When a row was; without a zone it is UTC.",
                                 rich_help_panel=_WINDOWS)
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Judge one window after the other, e.g. 7d.",
                                 rich_help_panel=_WINDOWS)
    ] = None,
    persist: Annotated[
        int, typer.Option(min=1, metavar="N", help="Windows in a row in which a column must drift.",
                          rich_help_panel=_WINDOWS)
    ] = 1,
    measure: Annotated[
        Names | None,
        typer.Option(metavar="[COLUMN=]NAME", rich_help_panel=_RULES,
                     help="psi, ks, wasserstein, tail, mmd, js or chi2, of a column or of all.",
                     show_default="psi; of numbers also tail"),
    ] = None,
    least: Annotated[
        Names | None,
        typer.Option(metavar="NAME=SIZE", help="What a measure must reach, e.g. psi=0.25.", rich_help_panel=_RULES),
    ] = None,
    alpha: Annotated[
        float, typer.Option(metavar="PART", help="Of windows without drift, how many may have a finding.",
                            rich_help_panel=_RULES)
    ] = 0.05,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write NAME.reference.json, which is a REF from then on."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="A chart, .svg or .png.")] = None,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """Compare a table with its reference, column by column: exit 0 stable, 3 drift, 4 too little to say."""
    from seatrial.charts.save import check_name
    from seatrial.control.analyses import drift_reference
    from seatrial.control.analyses.drift import Question, drift_document
    from seatrial.control.analyses.drift import drift as compare
    from seatrial.engines.drift import Asked, open_table
    from seatrial.values import Duration

    if plot is not None:
        check_name(plot)
    length = None if window is None else amounts.read("--window", window, Duration.parse, "7d").seconds
    if length is not None and (time is None or length <= 0):
        raise UsageError("ST0386", "windows need the time of every row.", remedy="e.g. --time event_time --window 7d")
    if persist > 1 and window is None:
        raise UsageError("ST0386", "one window has none before it.", remedy="Add --time and --window.")
    rules = _rules(alpha, measure or [], least or [])
    asked = Asked(
        only=column or (), without=without or (), as_categories=categorical or (), time=time,
        window=None if length is None else round(length * 1e6),
    )  # fmt: skip
    known = _known(reference, asked)
    _check_columns(known, rules, asked)
    if keep is not None:
        drift_reference.keep(known, _kept_name(keep))
    table: Table = open_table(current)
    try:
        found = compare(known, table, Question(asked=asked, rules=rules, persist=persist))
    finally:
        table.close()
    document = drift_document(found)
    if plot is not None:
        _draw(document, plot)
    if as_json:
        output.data(document)
    else:
        _tell(document)
    raise typer.Exit(EXITS[document["result"]])


def _known(reference: str, asked: Asked) -> Known:
    from seatrial.control.analyses import drift_reference
    from seatrial.control.analyses.drift import learn
    from seatrial.engines.drift import open_table

    if reference.endswith(drift_reference.ENDING):
        return drift_reference.kept(Path(reference))
    table = open_table(reference)
    try:
        return learn(table, asked)
    finally:
        table.close()


def _kept_name(path: Path) -> Path:
    from seatrial.control.analyses.drift_reference import ENDING

    if not path.name.endswith(ENDING):
        raise UsageError("ST0386", f"--keep {path}: a reference ends in {ENDING}.", remedy=f"--keep {path}{ENDING}")
    return path


def _rules(alpha: float, measures: Names, least: Names) -> Rules:
    from seatrial.stats.drift.judge import Rules
    from seatrial.stats.drift.measures import MeasureName

    def known(option: str, text: str, name: str) -> MeasureName:
        if name not in get_args(MeasureName):
            listed = ", ".join(get_args(MeasureName))
            raise UsageError("ST0387", f"{option} {text}: there is no measure '{name}'.", remedy=f"One of {listed}.")
        return name  # type: ignore[return-value]

    everywhere: list[MeasureName] = []
    by_column: dict[str, tuple[MeasureName, ...]] = {}
    for text in measures:
        column, equals, name = text.rpartition("=")
        one = known("--measure", text, name)
        if equals:
            by_column[column] = (*by_column.get(column, ()), one)
        else:
            everywhere.append(one)
    sizes: dict[MeasureName, float] = {}
    for text in least:
        name, _, size = text.partition("=")
        value = amounts.read("--least", size, amounts.number, "psi=0.25")
        if value < 0:
            raise UsageError("ST0387", f"--least {text}: sizes are not negative.", remedy="e.g. --least psi=0.25")
        sizes[known("--least", text, name)] = value
    if not 0 < alpha < 1:
        raise UsageError("ST0387", "--alpha is between 0 and 1.", remedy="e.g. --alpha 0.05")
    return Rules(alpha=alpha, least=sizes, measures=by_column, everywhere=tuple(everywhere))


def _check_columns(known: Known, rules: Rules, asked: Asked) -> None:
    """Columns that are named must be there, and of a kind that the measure is of."""
    from seatrial.stats.drift.cells import Cells

    for name in (*asked.only, *rules.measures):
        if name not in known.columns:
            why = known.left_out.get(name)
            raise UsageError(
                "ST0382", f"the reference '{known.name}' has no column '{name}' to compare"
                f"{'' if why is None else ': ' + why}.", remedy=f"There are: {', '.join([*known.columns][:20])}.",
            )  # fmt: skip
    for name, measures in rules.measures.items():
        only = {"chi2"} if isinstance(known.columns[name].column, Cells) else {"ks", "wasserstein", "tail", "mmd"}
        if wrong := sorted(only & {*measures}):
            kind = "numbers" if "chi2" in wrong else "categories"
            raise UsageError("ST0387", f"--measure {name}={wrong[0]}: the column holds {kind}.",
                             remedy="psi, js and missing are for both.")  # fmt: skip


def _draw(document: dict[str, Any], path: Path) -> None:
    from seatrial.charts.drift import drift_chart
    from seatrial.charts.save import save

    if not any(column["windows"] for column in document["columns"]):
        output.note("No chart: there is nothing to draw.")
        return
    save(drift_chart(document), path)


def _tell(d: dict[str, Any]) -> None:
    """For people: both tables, the columns that moved most, what was left out, and the verdict."""
    from seatrial.control.documents.wording import count

    before, now = d["reference"], d["current"]
    windows = f", {count(len(d['windows']), 'window')}" if len(d["windows"]) > 1 else ""
    output.text(f"'{now['name']}' ({now['rows']:,} rows{windows}) against '{before['name']}' ({before['rows']:,} rows)")
    rows = _rows(d)
    if rows:
        output.text("")
        output.show(_grid(rows[:MOST], len(d["windows"]) > 1))
        if len(rows) > MOST:
            output.text(f"and {len(rows) - MOST} more that moved less; --json has all")
    output.text("")
    for name, why in d["leftOut"].items():
        output.text(f"left out: {name}, {why}")
    if d["newColumns"]:
        output.text(f"⚠ not in the reference: {', '.join(d['newColumns'])}")
    output.text(f"{ICONS[d['result']]} {d['result']}: {d['reason']}")


def _rows(d: dict[str, Any]) -> list[tuple[float, tuple[Any, ...]]]:
    """Every judged measure at its worst window, the furthest first."""
    found: dict[tuple[str, str], tuple[float, tuple[Any, ...]]] = {}
    for column in d["columns"]:
        for window, part in zip(d["windows"], column["windows"], strict=True):
            for f in part["judged"]:
                if f["value"] is None:
                    continue
                times = (f["value"] / f["least"] if f["least"] else 0.0) + (1e9 if f["drift"] else 0)
                icon = "✖" if f["drift"] else ""
                p = "-" if f["adjusted"] is None else "< 0.0001" if f["adjusted"] < 1e-4 else f"{f['adjusted']:.4f}"
                row = (icon, column["name"], f["measure"], f"{f['value']:.4g}", f"{f['least']:g}", p,
                       (window["start"] or "")[:16].replace("T", " "))  # fmt: skip
                key = (column["name"], f["measure"])
                if key not in found or found[key][0] < times:
                    found[key] = (times, row)
    return sorted(found.values(), key=lambda one: -one[0])


def _grid(rows: list[tuple[float, tuple[Any, ...]]], windows: bool) -> Grid:
    from seatrial.cli.tables import table

    headers = ("", "COLUMN", "MEASURE", "VALUE", "AT LEAST", "P, ADJUSTED", "WORST WINDOW FROM")
    kept = len(headers) if windows else len(headers) - 1
    return table(headers[:kept], [row[:kept] for _, row in rows], right=("VALUE", "AT LEAST", "P, ADJUSTED"))
