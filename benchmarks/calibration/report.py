"""The study as Markdown: what was wrong how often, and what was found how often and how soon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.calibration.cells import CELLS, OTHERS, RAMPS
from benchmarks.calibration.ramp import AT_MARGIN, NONE, OURS
from benchmarks.calibration.rivals import RIVALS
from benchmarks.calibration.verdict import monte_carlo

Row = dict[str, Any]
METHODS = (OURS, *RIVALS)
BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"


def markdown(document: Row) -> str:
    """All tables of a result document."""
    rows: list[Row] = document["rows"]
    parts = [
        f"{document['releases']:,} releases a cell, seed {document['seed']}, {document['date']}, "
        f"Python {document['python']}, numpy {document['numpy']}. Rates are %, with one Monte-Carlo standard error "
        "for seatrial; **bold**: above its limit by more than two of them.",
        *_section("False rollback: a canary that is the champion", "rolled_back", NONE, rows),
        *_section("False promotion: a canary that loses the margin", "promoted", AT_MARGIN, rows),
        *_section("Right promotion: a canary that is the champion", "promoted", NONE, rows),
        "### Found: share of harmful canaries rolled back / median delay as a share of the run\n",
        _table(["cell", "loss", *METHODS], _power(rows)),
        "### Errors, sample ratio, strikes\n",
        _table(["cell", "effect", "method", "rolled back", "promoted", "median delay"], _others(rows)),
        "### Cells\n",
        _table(["cell", "what", "margin"], ([c.name, c.what, _margin(c.name)] for c in CELLS.values())),
    ]
    return "\n".join(parts)


def insert(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page. Raises ValueError for a page without them."""
    old = page.read_text(encoding="utf-8")
    head, tail = old[: old.index(BEGIN)], old[old.index(END) :]
    page.write_text(f"{head}{BEGIN}\n{text}\n{tail}", encoding="utf-8")


def too_often(row: Row, what: str) -> bool:
    """Whether a row's rate of wrong decisions is above its limit by more than two Monte-Carlo errors."""
    limit = row["alpha"] if what == "rolled_back" else 0.05
    wrong = row["rollback_is" if what == "rolled_back" else "promotion_is"] == "false"
    share = row[what]
    return wrong and share is not None and share > limit + 2 * monte_carlo(limit, row["releases"])


def _section(title: str, what: str, effect: str, rows: Sequence[Row]) -> list[str]:
    lines = []
    for cell in RAMPS:
        found = {row["method"]: row for row in rows if row["cell"] == cell.name and row["effect"] == effect}
        if found:
            lines.append([cell.name, *(_rate(found.get(method), what) for method in METHODS)])
    return [f"### {title}\n", _table(["cell", *METHODS], lines)]


def _power(rows: Sequence[Row]) -> Iterable[list[str]]:
    for cell in RAMPS:
        for effect, loss in cell.effects.items():
            found = {row["method"]: row for row in rows if row["cell"] == cell.name and row["effect"] == effect}
            if found and effect != NONE:
                name = f"margin, -{100 * loss:.3g}%" if effect == AT_MARGIN else effect
                yield [cell.name, name, *(_found(found.get(method)) for method in METHODS)]


def _others(rows: Sequence[Row]) -> Iterable[list[str]]:
    names = {cell.name for cell in OTHERS}
    for row in rows:
        if row["cell"] in names:
            delay = "" if row["delay"] is None else f"{row['delay']:.2f}"
            passed = "" if row["promoted"] is None else _rate(row, "promoted")
            yield [row["cell"], row["effect"], row["method"], _rate(row, "rolled_back"), passed, delay]


def _rate(row: Row | None, what: str) -> str:
    if row is None or row[what] is None:
        return "–"
    share = row[what]
    text = f"{100 * share:.2f}" if row["alpha"] < 0.01 and what == "rolled_back" else f"{100 * share:.1f}"
    if row["method"] == OURS:
        text += f" ±{100 * monte_carlo(share, row['releases']):.1f}"
    return f"**{text}**" if too_often(row, what) else text


def _found(row: Row | None) -> str:
    if row is None:
        return "–"
    delay = "" if row["delay"] is None else f" / {row['delay']:.2f}"
    return f"{100 * row['rolled_back']:.0f}{delay}"


def _margin(name: str) -> str:
    margin = getattr(CELLS[name], "margin", None)
    return "" if margin is None else f"{100 * margin:.3g}%"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    out = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*out, *(f"| {' | '.join(line)} |" for line in lines), ""])
