"""The inventory of all models: who owns each, what it is for, where it stands, and when it is looked at next."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from seatrial.ci.results import Run, run_of
from seatrial.control.declarations import declaration_of
from seatrial.control.documents import page
from seatrial.control.documents.page import Section
from seatrial.control.documents.views import Document, listing
from seatrial.control.drills.calendar import due_of
from seatrial.control.project import Project
from seatrial.gateway.kill import KillLatch, read_latches
from seatrial.registry.declaration import Declaration
from seatrial.registry.version import Model, ModelVersion
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction

COLUMNS: Final = (
    "model", "owner", "tier", "impact", "purpose", "status", "champion", "versions", "lastValidation", "nextDue",
    "nextDueWhat", "regulated", "limits", "upstream", "downstream", "sources", "vendor",
)  # fmt: skip


def inventory(tx: Transaction, project: Project, now: datetime) -> Document:
    """``seatrial.inventory.v1``: one entry a model, by name."""
    latches = {latch.model: latch for latch in read_latches(project.kill_latches)}
    running = {stored.model: stored.id for stored in tx.rollouts.list(active=True)}
    models = tx.models.list_models()
    lines = [entry(tx, project, m, now, latches.get(m.name), running.get(m.name)) for m in models]
    return {**listing("seatrial.inventory.v1", "models", lines), "at": iso_z(now)}


def entry(
    tx: Transaction,
    project: Project,
    model: Model,
    now: datetime,
    latch: KillLatch | None = None,
    rollout: str | None = None,
) -> Document:
    """One model."""
    said, versions = declaration_of(tx, model.name), tx.models.list_versions(model.name)
    number = tx.models.pointers(model.name).get("champion")
    champion = next((v for v in versions if v.number == number), None)
    validated = last_validation(tx, champion)
    dues = sorted(_dues(tx, project, model, said, champion, validated, now))
    return {
        "model": model.name,
        "owner": model.owner or None,
        "tier": model.safety.tier,
        "tierReason": said.tier_reason or None,
        "tierConfirmedBy": said.tier_confirmed_by or None,
        "impact": model.safety.impact,
        "purpose": said.intended_use or model.purpose or None,
        "status": _status(champion, latch, rollout),
        "champion": number,
        "versions": [{"version": v.number, "stage": v.stage.value, "source": v.source} for v in versions],
        "lastValidation": None if validated is None else {"at": iso_z(validated.started_at), "run": validated.id},
        "due": [{"at": iso_z(at), "what": what, "overdue": at < now} for at, what in dues],
        "limits": list(said.limits),
        "outOfScope": said.out_of_scope or None,
        "regulated": list(said.regulated),
        "upstream": list(said.upstream),
        "downstream": list(said.downstream),
        "sources": sorted(set(_sources(champion))),
        "vendor": said.vendor or None,
    }


def last_validation(tx: Transaction, version: ModelVersion | None) -> Run | None:
    """The latest CI run of a version in which the checks of the model passed."""
    if version is None:
        return None
    runs = (run_of(json.loads(text)) for text in tx.ci_runs.list(version.model))
    passed = [run for run in runs if run.version == version.number and run.groups().get("model") == "passed"]
    return passed[-1] if passed else None


def _dues(
    tx: Transaction,
    project: Project,
    model: Model,
    said: Declaration,
    champion: ModelVersion | None,
    validated: Run | None,
    now: datetime,
) -> Iterator[tuple[datetime, str]]:
    """What has to be done for a model that serves, and when: a champion that was never validated is due since its
    registration."""
    if champion is None:
        return
    if said.validate_every is not None and validated is None:
        yield champion.created_at, "validation"
    elif said.validate_every is not None and validated is not None:
        yield validated.started_at + said.validate_every.delta, "validation"
    if (drill := due_of(tx, project, model.name, now)) is not None:
        yield drill.due, "drill"


def _status(champion: ModelVersion | None, latch: KillLatch | None, rollout: str | None) -> str:
    if latch is not None:
        return f"killed ({latch.mode})"
    served = "not in production" if champion is None else "in production"
    return f"{served}, in rollout {rollout}" if rollout else served


def _sources(version: ModelVersion | None) -> Sequence[str]:
    """Where the features of a version come from."""
    data = None if version is None or version.lineage is None else version.lineage.data
    return [] if data is None else [*data.sources.values()]


def as_csv(document: Document) -> str:
    """One line a model; lists are joined by ``; ``."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(line) for line in document["models"])
    return buffer.getvalue()


def as_html(document: Document, project: str) -> str:
    """One page that needs nothing else."""
    shown = ("model", "owner", "tier", "purpose", "status", "versions", "lastValidation", "nextDue")
    rows = [[str(_flat(line)[name]) for name in shown] for line in document["models"]]
    said = Section("Models", f"As of {document['at'][:16].replace('T', ' ')} UTC.", shown, rows)
    more = [Section(line["model"], _prose(line)) for line in document["models"]]
    return page.html(f"Model inventory of {project}", [said, *more])


def _flat(line: Document) -> dict[str, Any]:
    first = line["due"][0] if line["due"] else {}
    flat = {
        **line,
        "versions": "; ".join(f"v{v['version']} {v['stage']}" for v in line["versions"]),
        "lastValidation": (line["lastValidation"] or {}).get("at", "")[:10],
        "nextDue": first.get("at", "")[:10],
        "nextDueWhat": first.get("what", ""),
    }
    return {name: _cell(flat[name]) for name in COLUMNS}


def _cell(value: Any) -> Any:
    """Lists in one cell. Text that a spreadsheet would take for a formula is quoted."""
    text = "; ".join(value) if isinstance(value, list) else value
    return f"'{text}" if isinstance(text, str) and text[:1] and text[0] in "=+-@\t" else "" if text is None else text


def _prose(line: Document) -> str:
    parts = [
        ("Intended use", line["purpose"]),
        ("Not for", line["outOfScope"]),
        ("Tier", f"{line['tier']}: {line['tierReason'] or 'no reason declared'}"),
        ("Falls under", ", ".join(line["regulated"])),
        ("Limits", "; ".join(line["limits"])),
        ("Takes from", "; ".join([*line["upstream"], *line["sources"]])),
        ("Feeds", "; ".join(line["downstream"])),
        ("Vendor", line["vendor"]),
    ]
    return "\n".join(f"{name}: {text or 'not declared'}" for name, text in parts)
