"""The change envelope of a model: declared, read, and a version held to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from seatrial.ci.pipeline import METRICS
from seatrial.ci.results import run_of
from seatrial.control.changes.baseline import baseline_of
from seatrial.control.changes.reading import parse
from seatrial.control.documents.views import plain
from seatrial.control.quality import digest_of_version
from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.governance.change_delta import Delta, delta
from seatrial.governance.change_rules import Bounds
from seatrial.governance.envelope import Criterion, Envelope, Impact, Modification, Protocol
from seatrial.governance.envelope_check import EnvelopeVerdict, Evidence, Trace, check
from seatrial.ids import ModelName
from seatrial.registry.version import ModelVersion
from seatrial.store.canonical import digest_of, iso_z
from seatrial.store.changes import StoredEnvelope
from seatrial.store.db import Transaction

Document = dict[str, Any]

_PARTS: Final[dict[str, type]] = {
    "modifications": Modification, "protocol": Protocol, "criteria": Criterion, "impact": Impact,
    "hyperParameters": Bounds,
}  # fmt: skip


def envelope_in(text: str, *, source: str = "envelope.yaml") -> Envelope:
    """Raises UsageError that names the field."""
    return parse(text, Envelope, _PARTS, source=source, help="`seatrial change schema envelope` names every field.")


def set_envelope(
    tx: Transaction, model: str, text: str, *, source: str, reason: str, actor: str, now: datetime
) -> StoredEnvelope:
    """In force from now on. Raises UsageError for one that is wrong, without a reason (ST1420), or with a criterion
    that nothing here measures (ST1424).
    """
    if not reason.strip():
        raise UsageError(
            "ST1420", f"another envelope for '{model}', and nobody says who authorised it.",
            remedy="Say so: --reason 'K261234, authorised 3 March'.",
        )  # fmt: skip
    envelope = envelope_in(text, source=source)
    _require_measurable(envelope, source)
    digest = digest_of(envelope)
    made = StoredEnvelope(ModelName(tx.models.get_model(model).name), digest, text, now, actor, reason)
    tx.changes.set_envelope(made)
    return made


def _require_measurable(envelope: Envelope, source: str) -> None:
    for modification in envelope.modifications:
        for criterion in modification.criteria:
            if criterion.metric not in METRICS:
                raise UsageError(
                    "ST1424", f"'{source}', '{modification.name}': ML CI measures no '{criterion.metric}'.",
                    remedy=f"It measures {', '.join(METRICS)}.",
                )  # fmt: skip


def envelope_document(tx: Transaction, model: str) -> Document:
    """``seatrial.change_envelope.v1``. Raises NotFound (ST1421) where none is declared."""
    stored = tx.changes.envelope(tx.models.get_model(model).name)
    if stored is None:
        raise NotFound("ST1421", f"model '{model}' has no change envelope.",
                       remedy=f"`seatrial change envelope set {model} FILE`")  # fmt: skip
    return {
        "schema": "seatrial.change_envelope.v1",
        "model": model,
        "digest": stored.digest,
        "setAt": iso_z(stored.at),
        "setBy": stored.actor,
        "reason": stored.reason,
        "envelope": plain(envelope_in(stored.document)),
    }


def verdict(tx: Transaction, model: str, candidate: ModelVersion) -> tuple[Envelope, EnvelopeVerdict] | None:
    """A version against its model's envelope, by the last version that was approved; None where none is declared."""
    stored = tx.changes.envelope(model)
    if stored is None:
        return None
    envelope = envelope_in(stored.document)
    return envelope, check(envelope, difference_of(tx, model, candidate), tuple(_evidence(tx, candidate)))


def difference_of(tx: Transaction, model: str, candidate: ModelVersion) -> Delta | None:
    baseline = baseline_of(tx, model)
    return None if baseline is None else delta(tx.models.get_version(model, baseline.version), candidate)


def require_inside(tx: Transaction, model: str, version: int) -> None:
    """Raises Conflict (ST1422) that says what to file, or (ST1423) which criterion is not met; nothing without an
    envelope.
    """
    candidate = tx.models.get_version(model, version)
    found = verdict(tx, model, candidate)
    if found is None or found[1].status == "inside":
        return
    envelope, said = found
    if said.status == "outside":
        raise Conflict(
            "ST1422", f"{candidate.name} is outside the envelope '{envelope.name}': {'; '.join(said.outside)}.",
            remedy=f"To file: {envelope.outside}. Then `seatrial change envelope set` or `change baseline`.",
        )  # fmt: skip
    unmet = "; ".join(f"{trace.modification.name}: {trace.problem}" for trace in said.traces if not trace.met)
    raise Conflict(
        "ST1423", f"{candidate.name} is declared by the envelope '{envelope.name}', but does not meet it: {unmet}.",
        remedy=f"`seatrial ci run {model} {version}`, or another candidate.",
    )  # fmt: skip


def check_document(tx: Transaction, model: str, version: int) -> Document:
    """``seatrial.envelope_check.v1``, with the traceability table. Raises NotFound (ST1421) without an envelope."""
    declared = envelope_document(tx, model)
    found = verdict(tx, model, tx.models.get_version(model, version))
    assert found is not None, "it was read above"
    envelope, said = found
    baseline = baseline_of(tx, model)
    return {
        "schema": "seatrial.envelope_check.v1",
        "model": model,
        "from": None if baseline is None else baseline.version,
        "to": version,
        "envelope": declared["digest"],
        "status": said.status,
        "outside": list(said.outside),
        "file": envelope.outside if said.outside else None,
        "traceability": [_line(trace) for trace in said.traces],
    }


def _line(trace: Trace) -> Document:
    return {
        "modification": trace.modification.name,
        "rationale": trace.modification.rationale,
        "protocol": plain(trace.modification.protocol),
        "criterion": trace.criterion.text,
        "step": trace.criterion.step,
        "evidence": [asdict(one) for one in trace.evidence],
        "met": trace.met,
        "problem": trace.problem,
    }


def _evidence(tx: Transaction, candidate: ModelVersion) -> Iterator[Evidence]:
    """What the last run of each step of ML CI found for this very model; a step that failed found something, too."""
    digest, latest = digest_of_version(candidate), dict[str, tuple[str, Mapping[str, Any]]]()
    for text in tx.ci_runs.list(candidate.model):
        run = run_of(json.loads(text))
        if digest is not None and run.digest == digest:
            latest |= {step.name: (run.id, step.detail) for step in run.steps if "slices" in step.detail}
    for step, (source, detail) in sorted(latest.items()):
        for one in detail["slices"]:
            value, loss = one["value"], one["loss"]
            yield Evidence(
                step=step, metric=detail.get("metric", "a metric that it does not name"), slice=one["slice"],
                rows=one["rows"], bound=value and value["bound"], loss=loss and loss["bound"], source=source,
            )  # fmt: skip
