"""Evidence as a plain document and back: what is stored beside a decision so that it can be recomputed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.inputs import COUNTS, FeatureTally, InputTally
from seatrial.evidence.snapshot import Captured, Evidence, MetricEvidence, Sampled, ShadowEvidence
from seatrial.evidence.tally import UNIT_BUCKETS, Cell, Tally

SCHEMA = "seatrial.evidence.v1"


def to_document(evidence: Evidence) -> dict[str, Any]:
    """A JSON-able document; equal evidence gives an equal document (keys are sorted where it is written)."""
    return {
        "schema": SCHEMA,
        "at": evidence.at.isoformat(),
        "metrics": {name: _metric(m) for name, m in evidence.metrics.items()},
        "pairs": {name: _metric(m) for name, m in evidence.pairs.items()},
        "units": {
            "new": _flat(evidence.units.new),
            "arms": dict(evidence.units.arms),
            "phases": _flat(evidence.units.phases),
            "crossed": evidence.units.crossed,
            "firsts": {name: _flat(counts) for name, counts in evidence.units.firsts.items()},
            "touched": {name: dict(counts) for name, counts in evidence.units.touched.items()},
            "shadowed": {name: dict(counts) for name, counts in evidence.units.shadowed.items()},
            "live": dict(evidence.units.live),
            "mirrored": dict(evidence.units.mirrored),
        }
        | _met(evidence.units),
        "exposures": _flat(evidence.exposures),
        "shadow": {
            "grid": {name: _pack(grid) for name, grid in evidence.shadow.grid.items()},
            "pairs": evidence.shadow.pairs,
            "unmatched": evidence.shadow.unmatched,
        }
        | _agreed(evidence.shadow),
        **_inputs(evidence.inputs),
        "capture": [[p, arm, *_captured(c)] for (p, arm), c in sorted(evidence.capture.items())],
    }


def from_document(document: Mapping[str, Any]) -> Evidence:
    """Inverse of :func:`to_document`. Raises ValueError for a document of another schema."""
    if document.get("schema") != SCHEMA:
        raise ValueError(f"not evidence of schema {SCHEMA}: {document.get('schema')!r}")
    units, shadow = document["units"], document["shadow"]
    return Evidence(
        at=datetime.fromisoformat(document["at"]),
        metrics={name: _metric_from(m) for name, m in document["metrics"].items()},
        pairs={name: _metric_from(m) for name, m in document["pairs"].items()},
        units=UnitCounts(
            new=_unflat(units["new"]),
            arms=units["arms"],
            phases=_unflat(units["phases"]),
            crossed=units["crossed"],
            firsts={name: _unflat(counts) for name, counts in units["firsts"].items()},
            met={name: _unflat(counts) for name, counts in units.get("met", {}).items()},
            touched=units["touched"],
            shadowed=units["shadowed"],
            live=units["live"],
            mirrored=units["mirrored"],
        ),
        exposures=_unflat(document["exposures"]),
        shadow=ShadowEvidence(
            grid={name: _unpack(text, 128) for name, text in shadow["grid"].items()},
            pairs=shadow["pairs"],
            unmatched=shadow["unmatched"],
            buckets={name: _unpack(text, UNIT_BUCKETS)[:, 0] for name, text in shadow.get("buckets", {}).items()},
            outputs=shadow.get("outputs", ""),
            lists={name: _unpack(text, UNIT_BUCKETS) for name, text in shadow.get("lists", {}).items()},
            shares={found["share"]: _sampled_from(found) for found in shadow.get("shares", ())},
        ),
        inputs=_inputs_from(document.get("inputs")),
        capture={(p, arm): Captured(*counts) for p, arm, *counts in document["capture"]},
    )


def _metric(m: MetricEvidence) -> dict[str, Any]:
    return {
        "cells": [[*cell, _pack(m.tally.cells[cell])] for cell in sorted(m.tally.cells)],
        "immature": _flat(m.immature),
        "missing": _flat(m.missing),
        "late": m.late,
        **({"outside": _flat(m.outside)} if m.outside else {}),
    }


def _metric_from(document: Mapping[str, Any]) -> MetricEvidence:
    cells = {Cell(p, t, segment, arm): _unpack(text, UNIT_BUCKETS) for p, t, segment, arm, text in document["cells"]}
    immature, missing, outside = (_unflat(document.get(name, [])) for name in ("immature", "missing", "outside"))
    return MetricEvidence(Tally(cells), immature, missing, document["late"], outside)


def _met(units: UnitCounts) -> dict[str, Any]:
    """Units that met each rare event, where any did."""
    return {"met": {name: _flat(counts) for name, counts in units.met.items()}} if units.met else {}


def _inputs(tally: InputTally) -> dict[str, Any]:
    """Features as used, where a model told any."""
    if tally == InputTally():
        return {}
    features = {name: list(astuple(feature)) for name, feature in tally.features.items()}
    return {"inputs": {"features": features, **{name: getattr(tally, name) for name in COUNTS}}}


def _inputs_from(document: Mapping[str, Any] | None) -> InputTally:
    if document is None:
        return InputTally()
    features = {name: FeatureTally(*counts) for name, counts in sorted(document["features"].items())}
    return InputTally(features, **{name: document[name] for name in COUNTS})


def _agreed(shadow: ShadowEvidence) -> dict[str, Any]:
    """What only agreement is judged on, where it is judged."""
    if not shadow.outputs:
        return {}
    lists = {"lists": {name: _pack(sums) for name, sums in shadow.lists.items()}} if shadow.lists else {}
    buckets = {name: _pack(sums) for name, sums in shadow.buckets.items()}
    shares = {"shares": [_sampled(share, found) for share, found in shadow.shares.items()]} if shadow.shares else {}
    return {"buckets": buckets, "outputs": shadow.outputs, **lists, **shares}


def _sampled(share: int, found: Sampled) -> dict[str, Any]:
    grid, buckets = ({name: _pack(sums) for name, sums in held.items()} for held in (found.grid, found.buckets))
    return {"share": share, "grid": grid, "buckets": buckets}


def _sampled_from(document: Mapping[str, Any]) -> Sampled:
    grid = {name: _unpack(text, 128) for name, text in document["grid"].items()}
    return Sampled(grid, {name: _unpack(text, UNIT_BUCKETS)[:, 0] for name, text in document["buckets"].items()})


def _captured(captured: Captured) -> list[int | None]:
    """Logged and counted, and lost where something was."""
    return [captured.logged, captured.counted] + [captured.lost] * (captured.lost > 0)


def _flat(counts: Mapping[tuple[int, Any], int]) -> list[list[Any]]:
    return [[phase, arm, n] for (phase, arm), n in sorted(counts.items())]


def _unflat(rows: list[list[Any]]) -> dict[tuple[int, Any], int]:
    return {(phase, arm): n for phase, arm, n in rows}


def _pack(sums: NDArray[np.int64]) -> str:
    """Little-endian int64, compressed, base64: exact and small (most buckets of a small cell are zero)."""
    return base64.b64encode(zlib.compress(sums.astype("<i8").tobytes(), 6)).decode("ascii")


def _unpack(text: str, rows: int) -> NDArray[np.int64]:
    flat = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<i8")
    return flat.astype(np.int64).reshape(rows, -1)
