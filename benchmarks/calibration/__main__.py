"""``python -m benchmarks.calibration [CELL ...]``: simulate, judge by every method, print the tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration import report, study
from benchmarks.calibration.cells import CELLS
from benchmarks.calibration.picture import picture
from seatrial.charts.save import to_page_svg

SCHEMA = "seatrial/calibration/v1"
Document = dict[str, Any]


def main() -> None:
    """Run the cells asked for; all of them with ``--docs`` renew the tables and the picture of the documentation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("cells", nargs="*", metavar="CELL", help=f"of {', '.join(CELLS)}; all without a name")
    parser.add_argument("--releases", type=int, default=2000, help="per cell (default 2000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row there, cell by cell")
    parser.add_argument("--resume", action="store_true", help="keep the cells that FILE has already, by the same code")
    parser.add_argument("--docs", type=Path, metavar="DIR", help="renew calibration.md and its picture there")
    given = parser.parse_args()
    if unknown := set(given.cells) - set(CELLS):
        parser.error(f"no cell {', '.join(sorted(unknown))}; there are {', '.join(CELLS)}")
    if given.docs and given.cells:
        parser.error("--docs shows the whole study: leave the names of cells out")
    if given.resume and not given.json:
        parser.error("--resume needs --json FILE, where an earlier run wrote its rows")
    document = _study(given)
    text = report.markdown(document)
    print(text)
    if given.docs:
        report.insert(given.docs / "calibration.md", text)
        svg = to_page_svg(picture(document["rows"], given.releases))
        (given.docs / "images" / "calibration.svg").write_text(svg, encoding="utf-8")


def _study(given: argparse.Namespace) -> Document:
    """The cells asked for, kept or simulated; written after each, so that an interrupted run loses one at most."""
    document: Document = {
        "schema": SCHEMA,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "releases": given.releases,
        "seed": given.seed,
        "rows": [],
    }
    names = given.cells or list(CELLS)
    rows = document["rows"] = _kept(document, given.json, names) if given.resume else []
    missing = [name for name in names if name not in {row["cell"] for row in rows}]
    for found in study.run(missing, given.releases, seed=given.seed, jobs=given.jobs, tell=_tell):
        rows += found
        rows.sort(key=lambda row: list(CELLS).index(row["cell"]))
        if given.json:
            given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def _kept(document: Document, path: Path, names: list[str]) -> study.Rows:
    """Rows of an earlier run with the same releases, seed and numpy."""
    if not path.exists():
        return []
    old = json.loads(path.read_text(encoding="utf-8"))
    same = all(old.get(key) == document[key] for key in ("schema", "releases", "seed", "numpy"))
    return [row for row in old["rows"] if row["cell"] in names] if same else []


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
