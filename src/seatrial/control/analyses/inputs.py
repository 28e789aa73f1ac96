"""Whether champion and shadow saw the same inputs, as documents: of a rollout, and of a user's own records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from seatrial.control.documents.catalog import find_rollout, load
from seatrial.control.project import Project
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.evidence.inputs import InputTally
from seatrial.evidence.snapshot import Evidence
from seatrial.rollout.inputs import FeatureVerdict, judge_inputs
from seatrial.rollout.plan import Inputs
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction

Document = dict[str, Any]
Result = Literal["agrees", "diverges", "unclear", "not_observed"]


def rollout_inputs(project: Project, tx: Transaction, name: str) -> Document:
    """What the latest look at a rollout saw (``seatrial.inputs.v1``). ``name``: a rollout, or a model.

    Summed up from the log, as a controller does after a restart. NotFound where there is no such rollout.
    """
    release = load(tx.rollouts.get(find_rollout(tx, name)))
    state, inputs = release.state, release.plan.inputs or Inputs()
    at = state.looked_at or state.started
    builder = EvidenceBuilder(
        project.events, project.outcomes, replace(release.plan, metrics=(), segments=()),
        state.rollout, state.model, state.started,
    )  # fmt: skip
    try:
        builder.advance(at)
        evidence = builder.snapshot(live=(), mirrored=())
    finally:
        builder.close()
    return {
        "schema": "seatrial.inputs.v1",
        "rollout": state.rollout,
        "model": state.model,
        "champion": state.champion,
        "candidate": state.candidate,
        "at": iso_z(at),
        **_requests(evidence),
        **comparison(evidence.inputs, inputs),
    }


def comparison(tally: InputTally, inputs: Inputs) -> Document:
    """The verdict and what it rests on: counts and the largest differences, never a value."""
    verdicts = judge_inputs(tally, inputs.max_divergence.fraction)
    features = [_feature(verdict) for verdict in verdicts]
    missing = [name for name in inputs.features or () if name not in tally.features]
    features += [{"name": name, "result": "not_observed", "pairs": 0} for name in missing]
    return {
        "result": _result(tally, verdicts, missing),
        "maxDivergence": inputs.max_divergence.fraction,
        "tolerance": inputs.tolerance,
        "stalenessSeconds": inputs.staleness.seconds,
        "pairs": tally.pairs,
        "championTold": tally.champion_told,
        "shadowTold": tally.shadow_told,
        "duplicates": tally.duplicates,
        "conflicting": tally.conflicting,
        "unmatchedChampion": tally.unmatched_champion,
        "unmatchedShadow": tally.unmatched_shadow,
        "features": features,
    }


def _requests(evidence: Evidence) -> Document:
    return {"answeredPairs": evidence.shadow.pairs, "unmatchedRequests": evidence.shadow.unmatched}


def _result(tally: InputTally, verdicts: tuple[FeatureVerdict, ...], missing: list[str]) -> Result:
    results = {verdict.result for verdict in verdicts}
    if "diverges" in results:
        return "diverges"
    if not tally.observed or missing:
        return "not_observed"
    return "unclear" if "unclear" in results else "agrees"


def _feature(verdict: FeatureVerdict) -> Document:
    t = verdict.tally
    return {
        "name": verdict.name,
        "result": verdict.result,
        "pairs": t.pairs,
        "diverging": t.diverging,
        "rate": verdict.rate,
        "lower": verdict.lower,
        "upper": verdict.upper,
        "differing": t.differing,
        "championOnly": t.champion_only,
        "shadowOnly": t.shadow_only,
        "mistyped": t.mistyped,
        "dated": t.dated,
        "stale": t.stale,
        "largestAbsolute": t.largest_absolute,
        "largestRelative": t.largest_relative,
        "largestGapSeconds": t.largest_gap_s,
    }
