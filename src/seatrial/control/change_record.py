"""The record of a change (SR 26-2): what differs, why, how it was tested, what came of it, and who signed for it."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.control.changes.triage import assess
from seatrial.control.declarations import declaration_of
from seatrial.control.documents import page
from seatrial.control.documents.difference import difference
from seatrial.control.documents.page import Section, table
from seatrial.control.documents.views import Document
from seatrial.control.history import compared_with, release_document, releases_of, runs_of, signatures_of
from seatrial.control.project import Project
from seatrial.control.quality import digest_of_version
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction

UNKNOWN = "not declared"
WHY, EXPECTED = "why", "expected"
"""Tags of a version that say why it was made and what it is to bring."""


def change_record(tx: Transaction, project: Project, model: str, number: int) -> Document:
    """``seatrial.change-record.v1``. Raises NotFound."""
    owned, version = tx.models.get_model(model), tx.models.get_version(model, number)
    before = compared_with(tx, version)
    said = declaration_of(tx, model)
    requests = [one for one in tx.approvals.list(model) if one.version == number]
    compared = {"changes": [], "flags": []} if before is None else difference(tx, model, before, number)
    releases = [release_document(tx, stored) for stored in releases_of(tx, version)]
    return {
        "schema": "seatrial.change-record.v1",
        "model": model,
        "version": number,
        "digest": digest_of_version(version),
        "against": before,
        "at": iso_z(version.created_at),
        "author": version.created_by,
        "owner": owned.owner or None,
        "tier": owned.safety.tier,
        "changes": compared["changes"],
        "flags": compared["flags"],
        "why": version.tags.get(WHY) or next((one.reason for one in requests if one.reason), None),
        "expected": version.tags.get(EXPECTED),
        "triage": assess(tx, project, model, number, against=before).document(),
        "tests": [
            {"run": run.id, "at": iso_z(run.started_at), "status": run.status, "groups": run.groups(),
             "failed": [{"step": s.name, "reason": s.reason} for s in run.steps if s.status == "failed"]}
            for run in runs_of(tx, version)
        ],
        "releases": releases,
        "overrides": [act for one in releases for act in one["byHand"]],
        "signatures": signatures_of(tx, version),
        "limits": list(said.limits),
    }  # fmt: skip


def as_markdown(record: Document) -> str:
    return page.markdown(_title(record), _sections(record))


def as_html(record: Document) -> str:
    return page.html(_title(record), _sections(record))


def _title(record: Document) -> str:
    against = "the first version" if record["against"] is None else f"against v{record['against']}"
    return f"Change record: {record['model']} v{record['version']} ({against})"


def _sections(record: Document) -> Iterator[Section]:
    yield Section("The change", "\n".join(_facts(record)))
    rows = [[c["part"], c["what"], c["before"], c["after"]] for c in record["changes"]]
    yield table("What differs", ("part", "what", "before", "after"), rows, "Nothing to compare with.")
    flagged = [[f["feature"], f["kind"], _text(f["old"]), _text(f["new"])] for f in record["flags"]]
    yield table("To be looked at", ("feature", "what", "before", "after"), flagged, "No feature is flagged.")
    triage = record["triage"]
    reasons = [[why["rule"], why["text"]] for why in triage["reasons"]]
    yield table("Material" if triage["material"] else "Not material", ("rule", "why"), reasons, "No rule speaks.")
    tests = [[t["run"], t["at"][:16], t["status"], "; ".join(f["step"] for f in t["failed"])] for t in record["tests"]]
    yield table("Tests", ("run", "at", "status", "failed"), tests, "No CI run is recorded.")
    releases = [[r["rollout"], r["status"], r["rule"] or "", r["reason"] or ""] for r in record["releases"]]
    yield table("Releases", ("rollout", "ended", "rule", "reason"), releases, "Not released.")
    hands = [[a["at"][:16], a["actor"], a["action"], a["reason"]] for a in record["overrides"]]
    yield table("By hand", ("at", "who", "what", "why"), hands, "Nobody intervened.")
    signed = [[s["at"][:16], s["by"], s["role"] or "", s["kind"], s["meaning"] or ""] for s in record["signatures"]]
    yield table("Signatures", ("at", "who", "role", "what", "meaning"), signed, "Nobody has signed for it.")
    yield Section("Limits", "\n".join(record["limits"]) or UNKNOWN)


def _facts(record: Document) -> Iterator[str]:
    yield f"Made by {record['author']} on {record['at'][:10]}."
    yield f"Owner: {record['owner'] or UNKNOWN}. Tier {record['tier']}."
    yield f"Why: {record['why'] or UNKNOWN}."
    yield f"Expected: {record['expected'] or UNKNOWN}."
    yield f"Artifact: {record['digest'] or 'unknown'}."


def _text(value: object) -> str:
    return "unknown" if value is None else str(value)
