"""``seatrial demo --year``: a model's year of flights, in minutes.

Nothing here is by chance but by seed, and nothing is by the clock of the machine: started again after it was stopped,
it makes the same year, and what it had trained it need not train again.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from seatrial.control.analyses.triggers import read_policy
from seatrial.demo.flights import instant
from seatrial.demo.year import page
from seatrial.demo.year.config import YearConfig, read_config
from seatrial.demo.year.controls import controls
from seatrial.demo.year.document import NEVER, SERVED, Year, document, outcomes
from seatrial.demo.year.loop import History, Loop
from seatrial.demo.year.models import Shelf
from seatrial.demo.year.release import Stage
from seatrial.demo.year.world import World
from seatrial.errors import UsageError
from seatrial.retrain.policy import Policy
from seatrial.store.plans import check_plan, read_plan

MARKER = "This directory was made by `seatrial demo --year`; the next one goes on in it.\n"
LOG = "log"
_TOLD = ("started", "trained", "finished", "blocked", "paged", "missed")


def main(directory: Path, *, config: Path | None, plan: Path | None, console: Console) -> dict[str, Any]:
    """Go through the year in ``directory`` and return it as a document; the report is written there.

    Raises UsageError for a configuration or plan that cannot be used (ST0930, ST0931) or a directory that holds
    something else (ST0932).
    """
    shipped = Path(str(files("seatrial.demo.year")))
    asked = read_config(config or shipped / "year.yaml")
    policy = read_policy(shipped / "policy.yaml")
    checked = check_plan(read_plan(plan or shipped / "plan.yaml"))
    _prepare(directory)
    began = time.monotonic()
    with _progress(console) as progress:
        world = World.of(asked.first.train[0], asked.end)
        year = Teller(progress, asked).tell(directory, policy, Stage(world, checked, asked.model, directory / LOG))
    found = document(year)
    (directory / "year.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    written = page.write(found, directory)
    _sum_up(console, found, written[0], time.monotonic() - began)
    return found


class Teller:
    """Goes through the year and says what happens."""

    def __init__(self, progress: Progress, config: YearConfig) -> None:
        self._progress, self._config = progress, config
        self._begin, self._end = instant(config.begin), instant(config.end)

    def tell(self, directory: Path, policy: Policy, stage: Stage) -> Year:
        """The year, the history in which the first model was kept, and the controls."""
        history = self._history(directory, policy, stage, "r", self._begin, "the year")
        late = None
        if self._config.late is not None:
            begin = instant(self._config.late.begin)
            late = self._history(directory, policy, stage, "kept", begin, "the first model, kept longer")
        asked, found = self._config.controls, []
        task = self._progress.add_task("storms and faults", total=2 * asked.splits * len(asked.storms), at="")
        for control in controls(stage, history, asked, self._end):
            found.append(control)
            self._progress.update(task, advance=1, at=f"{control.storm:%d %b}")
        return Year(self._config, policy, stage, history, late, found)

    def _history(
        self, directory: Path, policy: Policy, stage: Stage, name: str, begin: datetime, what: str
    ) -> History:  # fmt: skip
        shelf = Shelf(directory / "models", stage.world, self._config.seed)
        task = self._progress.add_task(what, total=(self._end - begin).total_seconds(), at="")
        window = self._config.first.train
        first = shelf.make(instant(window[0]), instant(window[1]))
        tick = self._ticker(begin, task)
        history = Loop(stage, shelf, policy, begin, self._end, name, self._say, tick).run(first)
        tick(self._end)
        return history

    def _ticker(self, begin: datetime, task: TaskID) -> Callable[[datetime], None]:
        def tick(at: datetime) -> None:
            self._progress.update(task, completed=(at - begin).total_seconds(), at=f"{at:%d %b}")

        return tick

    def _say(self, at: datetime, what: str, text: str) -> None:
        if what in _TOLD:
            self._progress.console.print(f"  {at:%d %b}  {text}", markup=False)


def _prepare(directory: Path) -> None:
    """A directory of this demo, without the log of the run before; one that is somebody's is left alone."""
    marker = directory / ".demo-year"
    if directory.exists() and any(directory.iterdir()) and not marker.is_file():
        raise UsageError("ST0932", f"'{directory}' is not empty and no year of the demo.", remedy="Choose another.")
    directory.mkdir(parents=True, exist_ok=True)
    marker.write_text(MARKER)
    shutil.rmtree(directory / LOG, ignore_errors=True)


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[at]}")
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _sum_up(console: Console, found: dict[str, Any], report: Path, seconds: float) -> None:
    counts, total = outcomes(found["runs"]), found["total"]
    same = [c for c in found["controls"] if c["fault"] is None]
    fault = [c for c in found["controls"] if c["fault"] is not None]
    console.print(
        f"\n{len(found['runs'])} runs: {counts['promoted']} promoted, {counts['aborted']} not shipped, "
        f"{counts['undecided']} undecided. AUC {total[SERVED]['auc']:.4f} served, {total[NEVER]['auc']:.4f} never "
        f"retrained; log loss {total[SERVED]['logLoss']:.4f} and {total[NEVER]['logLoss']:.4f}. "
        f"It cost {found['cost']['total']:,.0f}."
    )
    console.print(
        f"Over the storms a model against itself was sent back {sum(c['sentBack'] is not None for c in same)} times of "
        f"{len(same)}, with a fault {sum(c['sentBack'] is not None for c in fault)} of {len(fault)}. {seconds:.0f} s."
    )
    console.print(f"The pictures: {report}", markup=False)
