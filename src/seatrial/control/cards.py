"""The model card of a version (Mitchell et al. 2019): made from what is registered, tested, released and declared.

Nothing in it is written for it, so that it cannot say what the records do not; what nobody declared is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from seatrial.control.declarations import declaration_of
from seatrial.control.documents import page
from seatrial.control.documents.page import Section, table
from seatrial.control.documents.views import Document, plain
from seatrial.control.history import release_document, releases_of, runs_of, signatures_of, slices_of
from seatrial.control.quality import digest_of_version
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction

UNKNOWN = "not declared"
_DECLARED = ("intendedUse", "users", "outOfScope", "limits")


def card(tx: Transaction, model: str, number: int) -> Document:
    """``seatrial.model-card.v1``. Raises NotFound."""
    owned, version = tx.models.get_model(model), tx.models.get_version(model, number)
    said = declaration_of(tx, model).document()
    use = said["intendedUse"] or owned.purpose
    declared = {**said, "intendedUse": use}
    runs = runs_of(tx, version)
    return {
        "schema": "seatrial.model-card.v1",
        "model": model,
        "version": number,
        "digest": digest_of_version(version),
        "stage": version.stage.value,
        "source": version.source,
        "createdAt": iso_z(version.created_at),
        "createdBy": version.created_by,
        "owner": owned.owner or None,
        "tier": owned.safety.tier,
        "impact": owned.safety.impact,
        "declared": declared,
        "lineage": plain(version.lineage),
        "features": list(version.serving.features),
        "tests": [{"run": r.id, "at": iso_z(r.started_at), "event": r.event, "status": r.status} for r in runs],
        "slices": [one for run in runs[-1:] for one in slices_of(run)],
        "releases": [release_document(tx, stored) for stored in releases_of(tx, version)],
        "signatures": signatures_of(tx, version),
        "missing": [name for name in _DECLARED if not declared[name]],
    }


def as_markdown(card: Document) -> str:
    """With the front matter that Hugging Face reads."""
    model = (card["lineage"] or {}).get("model") or {}
    front = {
        "model_name": f"{card['model']} v{card['version']}",
        "library_name": model.get("framework"),
        "tags": ["seatrial", f"tier-{card['tier']}", f"stage-{card['stage'].lower()}"],
    }
    told = yaml.safe_dump({name: value for name, value in front.items() if value}, sort_keys=False)
    return f"---\n{told}---\n\n{page.markdown(_title(card), sections(card))}"


def as_html(card: Document) -> str:
    return page.html(_title(card), sections(card))


def sections(card: Document) -> Iterator[Section]:
    """In the order of the paper: the model, its use, factors and metrics, data, limits, and who answers for it."""
    yield Section("The model", "\n".join(_facts(card)))
    said = card["declared"]
    yield Section("Intended use", "\n".join(f"{name}: {said[key] or UNKNOWN}" for name, key in _USES))
    yield _listed("Known limits", said["limits"])
    yield Section("Training data", "\n".join(_data(card)))
    yield _metrics(card)
    yield _slices(card["slices"])
    yield _online(card["releases"])
    rows = [[s["at"][:16], s["by"], s["role"] or "", s["kind"], s["meaning"] or "", (s["digest"] or "")[:19]]
            for s in card["signatures"]]  # fmt: skip
    yield table("Approvals", ("at", "who", "role", "what", "meaning", "evidence"), rows, "Nobody has signed for it.")
    if card["missing"]:
        yield Section("Not declared", ", ".join(card["missing"]))


_USES = (("For", "intendedUse"), ("Acted on by", "users"), ("Not for", "outOfScope"))


def _title(card: Document) -> str:
    return f"Model card: {card['model']} v{card['version']}"


def _facts(card: Document) -> Iterator[str]:
    lineage = card["lineage"] or {}
    code, model = lineage.get("code") or {}, lineage.get("model") or {}
    yield f"Owner: {card['owner'] or UNKNOWN}. Tier {card['tier']}, impact {card['impact']}."
    yield f"Stage: {card['stage']}, {card['source']} by {card['createdBy']} on {card['createdAt'][:10]}."
    yield f"Artifact: {card['digest'] or 'unknown'}."
    yield f"Framework: {model.get('framework') or 'unknown'}. Commit: {code.get('commit') or 'unknown'}."
    yield f"Features: {', '.join(card['features']) or 'unknown'}."


def _data(card: Document) -> Iterator[str]:
    data = (card["lineage"] or {}).get("data")
    if data is None:
        yield "Unknown."
        return
    span = " to ".join(str(data[end] or "unknown")[:10] for end in ("start", "end"))
    yield f"{data['rows']:,} rows, {span}, {data['digest']}."
    if data["sources"]:
        yield "Sources: " + "; ".join(f"{name} from {source}" for name, source in sorted(data["sources"].items()))


def _metrics(card: Document) -> Section:
    model = (card["lineage"] or {}).get("model") or {}
    rows = [[name, f"{value:.6g}"] for name, value in sorted((model.get("metrics") or {}).items())]
    return table("Metrics in training", ("metric", "value"), rows, "None recorded.")


def _slices(found: Sequence[Document]) -> Section:
    rows = [
        [one["slice"], f"{one['rows']:,}", _bound(one["value"]), _bound(one["loss"]), one["problem"] or "passed"]
        for one in found
    ]
    columns = ("slice", "rows", "value (95% bound)", "loss against champion", "result")
    return table("Metrics by slice, last CI run", columns, rows, "Never validated by slice.")


def _online(releases: Sequence[Document]) -> Section:
    rows = [
        [
            release["rollout"],
            release["status"],
            v["metric"],
            v["arms"],
            v["verdict"],
            _interval(v),
            f"{v['candidate']:,}",
        ]
        for release in releases
        for verdict in release["verdicts"]
        for v in (verdict, *_segments(verdict))
    ]
    columns = ("rollout", "ended", "metric", "compared", "verdict", "difference", "n")
    unjudged = ", ".join(f"{one['rollout']} ({one['status']}), without a verdict" for one in releases)
    return table("On real traffic", columns, rows, unjudged or "Never released.")


def _segments(verdict: Document) -> Iterator[Document]:
    """What a verdict says of its segments, each as a verdict of its own."""
    for one in verdict["segments"]:
        yield {**verdict, **one, "metric": f"{verdict['metric']}, {one['segment']}", "candidate": one["count"]}


def _bound(value: Document | None) -> str:
    return "none" if value is None else f"{value['estimate']:.4g} ({value['bound']:.4g})"


def _interval(v: Document) -> str:
    if v["estimate"] is None:
        return "none yet"
    form = "{:+.2%}" if v["scale"] == "relative" else "{:+.4g}"
    middle, low, high = ("…" if n is None else form.format(n) for n in (v["estimate"], v["lower"], v["upper"]))
    return f"{middle} [{low}, {high}]"


def _listed(title: str, lines: Sequence[str]) -> Section:
    return Section(title, "\n".join(f"- {line}" for line in lines) or UNKNOWN)
