"""The challenger against the champion, on the same matured exposures that neither was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seatrial.ci.candidate import scores_of
from seatrial.control.project import Project
from seatrial.control.retraining.losses import clustered, losses, matured, units
from seatrial.engines.captured import feature_rows, predictions
from seatrial.registry.version import ModelVersion
from seatrial.retrain.policy import Policy
from seatrial.store.artifacts import ArtifactStore

Z = 1.959963984540054

Floats = NDArray[np.float64]
Verdict = Literal["better", "not_better", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``difference``: the challenger's loss minus the champion's, row by row, with its interval (95%)."""

    verdict: Verdict
    text: str
    rows: int = 0
    loss: str = ""
    challenger: float | None = None
    champion: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None


def compare(
    project: Project, policy: Policy, challenger: ModelVersion, champion: ModelVersion, start: datetime, now: datetime
) -> Comparison:
    """On exposures from ``start`` on whose outcomes are known.

    The champion's scores are those that users got; the challenger is asked for its own about the captured features.
    """
    watch = policy.watch
    if watch.outcome is None:
        return _unknown("the policy names no outcome to judge by (watch.outcome)")
    end = now - watch.horizon.delta
    table = predictions(project.events, policy.model, start, end)
    if not len(table):
        return _unknown(f"nobody was answered between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M}")
    truth, known = matured(table, project.outcomes, policy, now)
    table, truth = table.filter(pa.array(known)), truth[known]
    rows = feature_rows(table)
    complete = np.array([all(name in row for name in challenger.serving.features) for row in rows], dtype=bool)
    enough = policy.release.min_rows
    if int(complete.sum()) < enough:
        return _unknown(f"{len(table)} outcomes are known, {int(complete.sum())} of them with all features of the "
                        f"challenger; {enough} are needed", len(table))  # fmt: skip
    table, truth = table.filter(pa.array(complete)), truth[complete]
    kept = [row for row, whole in zip(rows, complete, strict=True) if whole]
    directory = project.state / "training" / "compared" / policy.model
    theirs = _asked(project, challenger, kept, directory)
    ours = _champions(project, table, champion, kept, directory, enough)
    both = np.isfinite(theirs) & np.isfinite(ours)
    if int(both.sum()) < enough:
        return _unknown(f"{int(both.sum())} rows have an answer of both; {enough} are needed", len(table))
    return _judged(policy, truth[both], theirs[both], ours[both], units(table)[both])


def _judged(policy: Policy, truth: Floats, theirs: Floats, ours: Floats, clusters: NDArray[Any]) -> Comparison:
    loss = policy.watch.loss
    challenger, champion = losses(loss, truth, theirs), losses(loss, truth, ours)
    found = clustered(challenger - champion, clusters)
    interval = (found.mean - Z * found.error, found.mean + Z * found.error)
    better = found.mean < 0
    word = "better" if better else "not better"
    text = (
        f"{loss} {challenger.mean():.4f} against the champion's {champion.mean():.4f} on {found.rows:,} matured rows: "
        f"{word} ({found.mean:+.4f}, 95%: {interval[0]:+.4f} to {interval[1]:+.4f})"
    )
    return Comparison(
        verdict="better" if better else "not_better", text=text, rows=found.rows, loss=loss,
        challenger=float(challenger.mean()), champion=float(champion.mean()), difference=found.mean,
        interval=interval if np.isfinite(found.error) else None,
    )  # fmt: skip


def _champions(
    project: Project, table: pa.Table, champion: ModelVersion, rows: Sequence[Mapping[str, Any]], directory: Path,
    enough: int,
) -> Floats:  # fmt: skip
    """What the champion answered users; where it is too young for that, what it answers now."""
    served = np.array([version == str(champion.number) for version in table["served_version"].to_pylist()])
    scores: Floats = np.where(served, table["score"].to_numpy(), np.nan)
    if int(np.isfinite(scores).sum()) < enough and champion.serving.kind == "artifact":
        return _asked(project, champion, rows, directory)
    return scores


def _asked(project: Project, version: ModelVersion, rows: Sequence[Mapping[str, Any]], directory: Path) -> Floats:
    given = [{name: row[name] for name in version.serving.features if name in row} for row in rows]
    return scores_of(version, ArtifactStore(project.artifacts), given, directory / f"v{version.number}")


def _unknown(why: str, rows: int = 0) -> Comparison:
    return Comparison(verdict="unknown", text=why, rows=rows)
