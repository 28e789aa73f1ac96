"""What the event log says of a model now: drift, performance, rows, and whether the data are what they must be.

Everything is held against the champion's own first window: what its inputs, scores and losses were like when it had
just become the champion. Inputs that were captured are compared by PSI, where a difference that noise explains is
none, and by Kolmogorov and Smirnov's distance where a trigger asks for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.ci.pipeline import Column, DataCheck
from seatrial.ci.tables import Table as CITable
from seatrial.ci.tables import violations
from seatrial.control.analyses.drift import Drift, Known, Question, drift, learn
from seatrial.control.analyses.drift_reference import ENDING, keep, kept
from seatrial.control.project import Project
from seatrial.control.quality import pipeline_of_project
from seatrial.control.retraining.losses import Sample, harm, sample
from seatrial.engines.captured import count, predictions, with_features
from seatrial.engines.drift import Asked, open_table
from seatrial.errors import SeatrialError, UsageError
from seatrial.retrain.manager import Reading
from seatrial.retrain.policy import Policy
from seatrial.retrain.shift import Distance
from seatrial.stats.drift.judge import Finding, Rules
from seatrial.store.db import Store


@dataclass(frozen=True, slots=True)
class Sensed:
    """A reading, and why the data must not be trained on (None: they may)."""

    reading: Reading
    failure: str | None = None


class Sensor(Protocol):
    """Measures a model; ``since``: when its last run started, or its policy was set."""

    def sense(self, policy: Policy, since: datetime, now: datetime) -> Sensed: ...


@dataclass(frozen=True, slots=True)
class _Reign:
    """The champion, and since when it is."""

    version: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """``psi``: of what surely moved, 0 of the rest; ``ks`` of numbers; ``failures``: what is wrong with them."""

    since: datetime | None = None
    psi: Mapping[str, float] = field(default_factory=dict)
    ks: Mapping[str, Distance] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


class LogSensor:
    """Measures on the project's event log. References are kept in files: the log behind them ages out."""

    def __init__(self, project: Project, store: Store) -> None:
        self._project, self._store = project, store

    def sense(self, policy: Policy, since: datetime, now: datetime) -> Sensed:
        rows = count(self._project.events, policy.model, since, now)
        failures = [*self._checks(policy)]
        reign = self._reign(policy.model)
        inputs = _Inputs()
        loss, mature = None, 0
        if reign is not None:
            inputs = self._inputs(policy, reign, now)
            loss, mature = self._performance(policy, reign, now)
        failures += inputs.failures
        reading = Reading(at=now, since=inputs.since, psi=inputs.psi, ks=inputs.ks, loss=loss, mature=mature, rows=rows)
        return Sensed(reading, "; ".join(failures) or None)

    def _reign(self, model: str) -> _Reign | None:
        with self._store.read() as tx:
            version = tx.models.pointers(model).get("champion")
            moves = tx.models.pointer_history(model, "champion")
        return None if version is None or not moves else _Reign(version, moves[-1].at)

    # ── inputs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _inputs(self, policy: Policy, reign: _Reign, now: datetime) -> _Inputs:
        """How far they are from the reference, by what the triggers ask for; and what is wrong with them."""
        watch = policy.watch
        known = self._reference(policy, reign, now)
        start = max(now - watch.window.delta, reign.since + watch.window.delta)
        current = predictions(self._project.events, policy.model, start, now, version=reign.version)
        if len(current) < watch.min_rows:
            return _Inputs()
        with _as_file(with_features(current)) as path:
            failures = (*violations(_expected(policy), CITable(path)),)
            if known is None:
                return _Inputs(failures=failures)
            try:
                found = drift(known, open_table(str(path)), Question(rules=_rules(watch.alpha)))
            except UsageError as error:
                if error.code != "ST0384":  # a column is gone, or numbers have become text
                    raise
                return _Inputs(failures=(*failures, f"captured inputs: {error.message}"))
        ks = distances(found) if "ks" in policy.drift_measures else {}
        return _Inputs(since=start, psi=_indices(found, watch.alpha), ks=ks, failures=failures)

    def _reference(self, policy: Policy, reign: _Reign, now: datetime) -> Known | None:
        """The champion's first window; None until it is over, or if it had too few rows."""
        path = self._reference_file(policy, reign, ENDING)
        if path.exists():
            return kept(path)
        end = reign.since + policy.watch.window.delta
        if now < end:
            return None
        table = predictions(self._project.events, policy.model, reign.since, end, version=reign.version)
        if len(table) < policy.watch.min_rows:
            return None
        with _as_file(with_features(table)) as file:
            known = learn(open_table(str(file)), Asked())
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep(known, path)
        return known

    def _checks(self, policy: Policy) -> Iterator[str]:
        """Data steps of ci.yaml that the policy names."""
        pipeline = pipeline_of_project(self._project) if policy.watch.checks else None
        for step in pipeline.steps if pipeline is not None else ():
            if step.name in policy.watch.checks and step.data is not None:
                try:
                    problems = [*violations(step.data, CITable(self._project.root / step.data.file))]
                except SeatrialError as error:
                    problems = [error.message]
                yield from (f"{step.name}: {problem}" for problem in problems)

    # ── performance ────────────────────────────────────────────────────────────────────────────────────────────────

    def _performance(self, policy: Policy, reign: _Reign, now: datetime) -> tuple[float | None, int]:
        """How much worse than at first, relatively; 0 where noise explains it. With how many matured outcomes."""
        watch = policy.watch
        if watch.outcome is None:
            return None, 0
        reference = self._first_losses(policy, reign, now)
        end = now - watch.horizon.delta
        current = self._losses(policy, reign, max(end - watch.window.delta, reign.since + watch.window.delta), end, now)
        if reference is None or current is None or current.rows < watch.min_rows:
            return None, 0
        return harm(reference, current, watch.alpha), current.rows

    def _first_losses(self, policy: Policy, reign: _Reign, now: datetime) -> Sample | None:
        path = self._reference_file(policy, reign, ".losses.json")
        with suppress(FileNotFoundError):
            return Sample.read(path)
        end = reign.since + policy.watch.window.delta
        if now < end + policy.watch.horizon.delta:
            return None
        found = self._losses(policy, reign, reign.since, end, now)
        if found is None or found.rows < policy.watch.min_rows:
            return None
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        found.keep(path)
        return found

    def _losses(self, policy: Policy, reign: _Reign, start: datetime, end: datetime, now: datetime) -> Sample | None:
        if end <= start:
            return None
        table = predictions(self._project.events, policy.model, start, end, version=reign.version)
        return sample(table, self._project.outcomes, policy, now)

    def _reference_file(self, policy: Policy, reign: _Reign, ending: str) -> Path:
        """A file for a champion and a length of window; a policy that says another one has another reference."""
        name = f"{policy.model}-v{reign.version}-{reign.since:%Y%m%dT%H%M%S}-{policy.watch.window.seconds:.0f}"
        return self._project.state / "training" / "references" / f"{name}{ending}"


@contextmanager
def _as_file(table: pa.Table) -> Iterator[Path]:
    """Where those who read files can read it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "captured inputs.parquet"
        pq.write_table(table, path)
        yield path


def _expected(policy: Policy) -> DataCheck:
    columns = {
        name: Column(nulls=one.nulls, min=one.min, max=one.max, values=one.values)
        for name, one in policy.watch.columns.items()
    }
    return DataCheck(file="captured inputs", columns=columns)


def _rules(alpha: float) -> Rules:
    return Rules(alpha=alpha, everywhere=("psi",))


def _indices(found: Drift, alpha: float) -> dict[str, float]:
    """PSI by column in the first window; 0 where noise explains it."""
    judged = [one for one in found.findings[0] if one.measure == "psi"]
    return {one.column: _sure(one, alpha) for one in judged}


def _sure(finding: Finding, alpha: float) -> float:
    sure = finding.adjusted is not None and finding.adjusted <= alpha
    return finding.value if sure and finding.value is not None else 0.0


def distances(found: Drift) -> dict[str, Distance]:
    """Kolmogorov and Smirnov's distance of every column of numbers with values enough, in the first window.

    Of counts in cells: too small by less than the part of the values that is in the fullest cell of several values,
    and never too large (about 0.001 of a normal distribution); so the p-value is rather too large.
    """
    return {
        name: Distance(value=one.value, p_value=one.p_value, n_ref=found.reference.columns[name].column.n,
                       n_cur=found.present[0][name])
        for name, measures in found.measures[0].items()
        for one in measures
        if one.name == "ks" and one.value is not None and one.p_value is not None
    }  # fmt: skip
