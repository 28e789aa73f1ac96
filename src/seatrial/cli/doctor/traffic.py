"""What the log says about the requests: do they come, are they answered, do they name units, do outcomes follow."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from seatrial.cli.doctor.finding import Case, Finding, error, warning
from seatrial.cli.doctor.log import recent, reported

if TYPE_CHECKING:
    from seatrial.control.render import Release

ENOUGH = 50
"""Fewer requests than this say nothing about habits."""

PATIENCE = timedelta(minutes=10)
"""A rollout that has had no request for so long has no traffic."""

ONE_UNIT = 0.2
"""A share of the requests that no single user has."""

MANY = 2_000
"""So many requests, and no unit twice: ids of requests rather than of users."""

_LOGIN = "The server asks for a login: what clients send is passed on, so let them send it."
_SLOW = "It takes longer than timeouts.attempt in seatrial.yaml, or is not there: see `seatrial logs {model}-VERSION`."
_UNREAD = "Answers are not read as predictions: `seatrial model configure {model} --wire ... --score ...` says how."
_REMEDIES = {
    "http_401": _LOGIN,
    "http_403": _LOGIN,
    "http_404": "The path behind /models/{model} is added to the version's URL: is a part there twice, or missing?",
    "http_405": "The server does not take POST at this path: call the one that predicts.",
    "http_415": "The server does not know this content type: clients must send the one it expects.",
    "http_422": "The server refuses the bodies; they are passed on as they come, so compare them with what it asks.",
    "http_503": _SLOW,
    "http_504": _SLOW,
    "no_response": _SLOW,
}


def arrives(case: Case) -> Iterator[Finding]:
    """A rollout without requests: clients still call the model server instead of the gateway."""
    if case.project.config.clock != "wall":
        return
    now = datetime.now(UTC)
    for release in _releases(case):
        rows = recent(case, release.stored.model).rows
        since = max([release.state.started, *(row["time"] for row in rows)])
        if now - since > PATIENCE:
            gateway = f"{case.project.config.gateway.url}/models/{release.stored.model}/..."
            yield error(
                "traffic", f"{release.stored.id}: no request of {release.stored.model} for "
                f"{(now - since) // timedelta(minutes=1)} minutes",
                f"Nothing can be decided without traffic: clients must call {gateway}, not the model server.",
            )  # fmt: skip


def is_answered(case: Case) -> Iterator[Finding]:
    """Requests of everybody end in errors: a wrong path, a wrong format, a login."""
    for model in case.tx.models.list_models():
        rows = [row for row in recent(case, model.name).rows if row["arm"] != "canary"][-MANY:]
        kinds = Counter(row["error_kind"] for row in rows if row["error"])
        if len(rows) < ENOUGH or kinds.total() < len(rows) / 2:
            continue
        kind, n = kinds.most_common(1)[0]
        yield error(
            "answers", f"{model.name}: {n:,} of the latest {len(rows):,} requests ended in {kind}",
            _REMEDIES.get(kind, _UNREAD).format(model=model.name),
        )  # fmt: skip


def has_units(case: Case) -> Iterator[Finding]:
    """The unit header is missing, or what it carries is not a unit."""
    for model in case.tx.models.list_models():
        seen = recent(case, model.name)
        rows = seen.rows
        named = Counter(row["unit"] for row in rows if row["unit"] is not None)
        if len(rows) < ENOUGH:
            continue
        if seen.bare > 0.5:
            yield error(
                "unit header", f"{model.name}: {seen.bare:.0%} of the latest {len(rows):,} requests carry no "
                f"'{model.unit_header}'; they stay on the champion and are no evidence",
                "Let clients send it with the user, account or device; does a proxy drop it on the way?",
            )  # fmt: skip
        elif max(named.values()) > ONE_UNIT * len(rows):
            yield warning(
                "unit header", f"{model.name}: one unit makes {max(named.values()) / len(rows):.0%} of the requests",
                f"Is '{model.unit_header}' the id of a calling service rather than of a user, account or device?",
            )  # fmt: skip
        elif len(named) == named.total() >= MANY:
            yield warning(
                "unit header", f"{model.name}: none of {len(named):,} units was seen twice",
                f"Is '{model.unit_header}' an id of requests? Then a user meets both versions, now this, now that.",
            )  # fmt: skip


def has_outcomes(case: Case) -> Iterator[Finding]:
    """A running plan waits for outcomes that do not come, or that name predictions nobody made."""
    for release in _releases(case):
        model = release.stored.model
        told = reported(case, model)
        rows = [row for row in recent(case, model).rows if row["rollout"] == release.stored.id]
        now = datetime.now(UTC) if case.project.config.clock == "wall" else release.state.looked_at
        for metric in release.plan.guardrails:
            before = now - metric.horizon.delta if now and metric.horizon else None
            ripe = {row["outcome_key"] for row in rows if before and row["time"] < before}
            for outcome in metric.outcomes if len(ripe) >= ENOUGH else ():
                keys = [row["key"] for row in told if row["name"] == outcome]
                finding = _outcomes(release, metric.name, outcome, keys, {row["name"] for row in told})
                if finding is None and ripe.isdisjoint(keys):
                    finding = _strangers(model, outcome, keys)
                if finding is not None:
                    yield finding


def _outcomes(release: Release, metric: str, outcome: str, keys: list[str], names: set[str]) -> Finding | None:
    if keys:
        return None
    model = release.stored.model
    near = difflib.get_close_matches(outcome, names, n=1, cutoff=0.5)
    hint = f"Reported is '{near[0]}': " if near else f"Reported are {', '.join(sorted(names))}: " if names else ""
    return error(
        "outcomes", f"{release.stored.id}: {metric} waits for '{outcome}' of {model}, and none was ever reported",
        f"{hint}one name must be in the plan and in `seatrial.log_outcome({model!r}, id, {outcome!r}, value)`.",
    )  # fmt: skip


def _strangers(model: str, outcome: str, keys: list[str]) -> Finding:
    return error(
        "outcomes", f"{model}: none of {len(keys):,} '{outcome}' belongs to a prediction; e.g. key '{keys[-1]}'",
        "Report them under the id that the answer carried (header x-seatrial-id, `answer.id`), or say which field of a "
        f"request is their key: `seatrial model configure {model} --outcome-key FIELD`.",
    )  # fmt: skip


def _releases(case: Case) -> list[Release]:
    from seatrial.control.documents.catalog import load

    return [load(stored) for stored in case.tx.rollouts.list(active=True)]
