"""Runs the steps that an event asks for, one after the other, and says what each found."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.ci.candidate import scores_of
from seatrial.ci.command import run_command
from seatrial.ci.golden import read_golden
from seatrial.ci.machine import no_gpu
from seatrial.ci.parity import Parity, Scores, compare
from seatrial.ci.pipeline import CIStep, GoldenCheck, ModelCheck, Planned
from seatrial.ci.results import StepResult
from seatrial.ci.tables import Table, violations
from seatrial.ci.validation import judged
from seatrial.errors import SeatrialError, Unavailable
from seatrial.registry.version import ModelVersion
from seatrial.serving.versions import host_spec
from seatrial.store.artifacts import ArtifactStore

Found = tuple[str, dict[str, Any]]
"""Why a check failed (empty if it passed), and what it measured."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where steps run and what they are about. ``candidate`` is None where a run is about no version."""

    root: Path
    directory: Path
    artifacts: ArtifactStore
    candidate: ModelVersion | None
    champion: ModelVersion | None
    gpu_spent: float = 0.0
    gpu_budget: float | None = None
    require_gpu: bool = False

    def environment(self) -> dict[str, str]:
        """What commands are told about the candidate."""
        one = self.candidate
        if one is None:
            return {}
        told = {"SEATRIAL_MODEL": one.model, "SEATRIAL_VERSION": str(one.number)}
        if one.serving.artifact is not None:
            told["SEATRIAL_ARTIFACT"] = str(self.artifacts.path(one.serving.artifact))
        return told


def run_steps(
    plan: Sequence[Planned], bench: Bench, *, begins: Callable[[CIStep], None] = lambda step: None
) -> Iterator[StepResult]:
    """The result of every step in order. A step that cannot run is skipped and said so; one that breaks has failed."""
    spent = bench.gpu_spent
    for one in plan:
        if not one.included:
            yield _result(one.step, "left_out", one.reason)
            continue
        begins(one.step)
        result = _run(one.step, replace(bench, gpu_spent=spent))
        spent += result.cost if one.step.gpu else 0.0
        yield result


def _run(step: CIStep, bench: Bench) -> StepResult:
    if bench.candidate is None and (step.validate is not None or step.golden is not None):
        return _result(step, "skipped", "it is about a version: run it with MODEL and VERSION")
    if step.gpu and (why := _no_gpu(bench)):
        return _result(step, "failed" if bench.require_gpu else "skipped", why)
    began = time.monotonic()
    log = bench.directory / f"{step.name}.log"
    try:
        why, detail = _found(step, bench, log)
    except SeatrialError as error:
        why, detail = f"{error.message} {error.remedy or ''}".strip(), {}
    seconds = time.monotonic() - began
    return StepResult(
        name=step.name, group=step.group, status="failed" if why else "passed", reason=why, blocking=step.blocking,
        gpu=step.gpu, seconds=round(seconds, 3), cost=round(seconds / 3600 * step.cost_per_hour, 6),
        log=str(log.relative_to(bench.root)) if log.exists() and log.is_relative_to(bench.root) else None,
        detail=detail,
    )  # fmt: skip


def _no_gpu(bench: Bench) -> str:
    if bench.gpu_budget is not None and bench.gpu_spent >= bench.gpu_budget:
        return f"budget: {bench.gpu_spent:.2f} of {bench.gpu_budget:g} are spent this month"
    return no_gpu()


def _found(step: CIStep, bench: Bench, log: Path) -> Found:
    if step.run is not None:
        why = run_command(
            step.run, cwd=bench.root, log=log, timeout_s=step.timeout.seconds, environment=bench.environment()
        )
        return why, {}
    if step.data is not None:
        problems = list(violations(step.data, Table(bench.root / step.data.file)))
        return "; ".join(problems), {"problems": problems}
    candidate = bench.candidate
    assert candidate is not None, "without one the step is skipped"
    if step.golden is not None:
        return _golden(step.golden, bench, candidate, step.timeout.seconds)
    assert step.validate is not None, "a step does one of four things"
    return _validated(step.validate, bench, candidate, step.timeout.seconds)


def _validated(check: ModelCheck, bench: Bench, candidate: ModelVersion, timeout_s: float) -> Found:
    """``timeout_s``: of the candidate, and of the champion. Raises SeatrialError where one of them cannot be asked."""
    table = Table(bench.root / check.file)
    given = [name for name in table.columns if name != check.label]
    rows = table.records(tuple(candidate.serving.features) or tuple(given))
    labels = np.asarray(table.column(check.label).to_pylist(), dtype=np.float64)
    if not np.isfinite(labels).all():
        return f"{int((~np.isfinite(labels)).sum())} rows have no label", {}
    mine = _scores(candidate, bench, rows, "candidate", timeout_s)
    theirs = None
    if check.margin is not None and bench.champion is not None and bench.champion.number != candidate.number:
        asked = table.records(tuple(bench.champion.serving.features) or tuple(given))
        theirs = _scores(bench.champion, bench, asked, "champion", timeout_s)
    columns = {name: table.column(name).to_pylist() for name in check.slices}
    slices = list(judged(check, labels, mine, theirs, columns))
    problems = [f"{one.name}: {one.problem}" for one in slices if one.problem and one.counts]
    against = None if theirs is None or bench.champion is None else bench.champion.number
    told = {
        "metric": check.metric, "champion": against, "table": table.digest(),
        "slices": [one.document() for one in slices],
    }  # fmt: skip
    return "; ".join(problems), told


def _scores(
    version: ModelVersion, bench: Bench, rows: Sequence[Mapping[str, Any]], role: str, timeout_s: float
) -> Scores:
    return scores_of(version, bench.artifacts, rows, bench.directory / role, timeout_s=timeout_s)


def _golden(check: GoldenCheck, bench: Bench, candidate: ModelVersion, timeout_s: float) -> Found:
    golden = read_golden(bench.root / check.file)
    digest = candidate.serving.artifact
    if digest is None or golden.digest != digest:
        return f"'{check.file}' is stale: it holds the answers of {golden.digest}, the candidate is {digest}", {}
    replayed = _scores(candidate, bench, golden.rows, "candidate", timeout_s)
    parity = compare(golden.scores, replayed, tolerance=check.tolerance, threshold=check.threshold)
    problems = list(_apart(parity, check.flips))
    detail: dict[str, Any] = {"recordedOn": golden.device, "parity": parity.document()}
    for precision in check.precision:
        told = _reduced(candidate, bench, golden.rows, precision, timeout_s)
        low = compare(golden.scores, told["scores"], tolerance=check.reduced_tolerance, threshold=check.threshold)
        allowed = int(check.reduced_flips.fraction * low.rows)
        problems += [f"in {precision}, {problem}" for problem in _apart(low, allowed)]
        detail[precision] = {**low.document(), "arraysRounded": told["arrays"]}
    return "; ".join(problems), detail


def _apart(parity: Parity, flips: int) -> Iterator[str]:
    if parity.one_sided:
        yield f"{parity.one_sided} of {parity.rows} rows have an answer on one side only"
    if parity.beyond:
        yield f"{parity.beyond} of {parity.rows} scores differ by up to {parity.largest:.3g}"
    if parity.flips is not None and parity.flips > flips:
        yield f"{parity.flips} of {parity.rows} decisions flip, {flips} may"


def _reduced(
    candidate: ModelVersion, bench: Bench, rows: Sequence[Mapping[str, Any]], precision: str, timeout_s: float
) -> dict[str, Any]:
    """In a process of its own: whatever a model does while it is loaded, it does not do here."""
    directory = bench.directory / "reduced"
    directory.mkdir(parents=True, exist_ok=True)
    spec, given = directory / "spec.json", directory / "rows.json"
    spec.write_text(host_spec(candidate, bench.artifacts).to_json(), encoding="utf-8")
    given.write_text(json.dumps([dict(row) for row in rows]), encoding="utf-8")
    command = [sys.executable, "-I", "-m", "seatrial.ci.reduced", str(spec), str(given), precision]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable("ST1218", f"{candidate.name} did not answer in {precision} within {timeout_s:g} s.") from None
    if ran.returncode != 0:
        last = ran.stderr.strip().splitlines()[-1:] or ["no word"]
        raise SeatrialError("ST1219", f"{candidate.name} cannot be asked in {precision}: {last[0]}")
    told: dict[str, Any] = json.loads(ran.stdout)
    return {**told, "scores": np.array([np.nan if s is None else s for s in told["scores"]], dtype=np.float64)}


def _result(step: CIStep, status: Any, reason: str) -> StepResult:
    return StepResult(
        name=step.name, group=step.group, status=status, reason=reason, blocking=step.blocking, gpu=step.gpu
    )
