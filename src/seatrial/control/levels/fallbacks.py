"""The chain below a model's versions: what may be put there, how it is now, and whether every level would answer."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from seatrial.control.capture.reading import host_reading
from seatrial.control.documents.views import Document
from seatrial.control.gateway import gateway_of
from seatrial.control.project import Project
from seatrial.errors import UsageError
from seatrial.events.wire import ResponseSpec, WireError, detect_format, parse_response
from seatrial.gateway.envoy_clusters import members
from seatrial.gateway.kill import KillMode, read_latches
from seatrial.gateway.readings import set_aside
from seatrial.gateway.routes import BANNER, REVIEW, Backend, ModelRoute
from seatrial.registry.fallback import Fallback, stand_ins
from seatrial.registry.version import Model
from seatrial.serving import rules_lint
from seatrial.serving.process import host_info
from seatrial.serving.review_queue import ReviewQueue
from seatrial.serving.rules import Scorecard
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Transaction

VERSION_LEVELS: Final = 3
"""Canary, champion and previous may all be asked before the rules are."""

PROBE_S: Final = 5.0
NOT_CHAINED: Final = frozenset({"off", "champion", "previous"})
"""Ways to kill that need no stand-in."""


def check(
    project: Project, artifacts: ArtifactStore, model: Model, fallback: Fallback, features: Sequence[str], actor: str
) -> None:
    """Raises UsageError for a chain that could not answer. ``features``: of the champion, where it has told them."""
    if fallback.rules is not None:
        _check_rules(artifacts, model, fallback, features, actor)
    check_time(project, model.name, fallback)


def check_of(project: Project, tx: Transaction, name: str, fallback: Fallback, actor: str) -> None:
    """The same for a model of the store; nothing where nothing would change."""
    model = tx.models.get_model(name)
    if fallback != model.safety.fallback:
        features = champion_features(tx, name)
        check(project, ArtifactStore(project.artifacts), model, fallback, features, actor)


def champion_features(tx: Transaction, model: str) -> tuple[str, ...]:
    """Names of its columns, where it has told them."""
    champion = tx.models.pointers(model).get("champion")
    return () if champion is None else tx.models.get_version(model, champion).serving.features


def _check_rules(
    artifacts: ArtifactStore, model: Model, fallback: Fallback, features: Sequence[str], actor: str
) -> None:
    assert fallback.rules is not None
    artifacts.verify(fallback.rules)
    card = Scorecard.parse(artifacts.path(fallback.rules).read_bytes(), f"the rules of '{model.name}'")
    rules_lint.check(card, features)
    contract = model.contract
    if contract.format == "opaque" or contract.items is not None:
        how = "answers with ranked lists" if contract.items is not None else "has opaque bodies"
        raise UsageError(
            "ST0778", f"model '{model.name}' {how}, which rules cannot give.", remedy="Use `--last review` or `banner`."
        )
    if fallback.reviewed_by == actor:
        raise UsageError(
            "ST0779", f"the rules of '{model.name}' are reviewed by {actor}, who sets them.",
            remedy="Somebody else reads them first: --reviewed-by NAME.",
        )  # fmt: skip


def check_time(project: Project, model: str, fallback: Fallback) -> None:
    """All levels share the request's time: each must get its turn even if those before it hang. Raises UsageError."""
    timeouts, levels = project.config.timeouts, VERSION_LEVELS + len(stand_ins(fallback))
    if stand_ins(fallback) and timeouts.attempt.seconds * levels > timeouts.request.seconds:
        most = int(timeouts.request.seconds / levels * 1000)
        raise UsageError(
            "ST0706",
            f"model '{model}': {levels} levels of {timeouts.attempt} each do not fit into a request of "
            f"{timeouts.request}: one that hangs would leave no time for the last.",
            remedy=f"Set timeouts.attempt to {most}ms in seatrial.yaml (then `seatrial up` again), or request to "
            f"{timeouts.attempt.seconds * levels:g}s.",
        )


def require_level(model: str, mode: KillMode, fallback: Fallback) -> None:
    """Raises UsageError where a kill asks for a level that the model does not have."""
    levels = [one.level for one in stand_ins(fallback)]
    if mode not in NOT_CHAINED and mode not in levels:
        raise UsageError(
            "ST0735",
            f"model '{model}' has no level '{mode}', so nobody would answer.",
            remedy=f"Use {', '.join(['previous', 'champion', *levels])} or off; `seatrial fallback set` adds levels.",
        )


def chain(project: Project, model: Model) -> Document:
    """The chain in force, level by level, with what Envoy and the hosts say of each. Raises NotFound, Unavailable."""
    envoy = gateway_of(project)
    route = envoy.table().model(model.name)
    aside = set_aside(envoy.admin) if envoy.pid is not None else {}
    arms = [] if route.killed else [("champion", members(route, "champion"))]
    if route.canary_weight:
        arms.append(("canary", members(route, "canary")))
    latch = next((one for one in read_latches(project.kill_latches) if one.model == model.name), None)
    fallback = model.safety.fallback
    return {
        "schema": "seatrial.fallback.v1",
        "model": model.name,
        "killed": None if latch is None else {"to": latch.mode, "actor": latch.actor, "reason": latch.reason},
        "request": route.timeout_s,
        "attempt": route.try_timeout_s,
        "arms": [
            {"arm": arm, "levels": [_level(backend, aside.get(cluster)) for backend, cluster in found]}
            for arm, found in arms
        ],
        "rules": None if fallback.rules is None else {"digest": fallback.rules, "reviewedBy": fallback.reviewed_by},
        "last": fallback.last,
        "waiting": ReviewQueue(project.review(model.name)).depth(),
        "reviewLimit": fallback.review_limit,
    }


def _level(backend: Backend, aside: bool | None) -> Document:
    """``state``: *set aside* by Envoy for some seconds, *down* where the host does not answer, else *up*."""
    host = host_info(backend.endpoint.host, backend.endpoint.port)
    up = host is not None and bool(host.get("ready"))
    return {
        "level": backend.level,
        "version": backend.version,
        "state": "set aside" if aside else "up" if up else "down",
        "ejected": aside,
        "host": f"{backend.endpoint.host}:{backend.endpoint.port}",
    }


def probe(project: Project, model: Model, body: bytes, *, path: str, content_type: str) -> Document:
    """Ask every level of the chain once, at its own host: no user's request, nothing captured, nothing queued."""
    route = gateway_of(project).table().model(model.name)
    spec = ResponseSpec.of(model.contract)
    lines = [_asked(model, backend, body, path, content_type, spec, route) for backend in _distinct(route)]
    return {
        "schema": "seatrial.fallback-test.v1",
        "model": model.name,
        "ok": all(line["ok"] for line in lines),
        "levels": lines,
    }


def _distinct(route: ModelRoute) -> list[Backend]:
    canary = [replace(route.canary, level="canary")] if route.canary is not None and route.canary_weight else []
    return [] if route.killed else [*canary, route.champion, *route.fallbacks]


def _asked(
    model: Model, backend: Backend, body: bytes, path: str, content_type: str, spec: ResponseSpec, route: ModelRoute
) -> Document:
    began = time.perf_counter()
    line: Document = {"level": backend.level, "version": backend.version}
    try:
        status, headers, answer = _post(backend, body, path, content_type, route.try_timeout_s)
    except (OSError, http.client.HTTPException) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else f"{error}" or type(error).__name__
        return {**line, "ok": False, "status": None, "tookMs": _ms(began), "problem": why, "reasons": None}
    problem = _problem(model, backend, path, body, status, headers, answer, spec)
    found = {"ok": problem is None, "status": status, "tookMs": _ms(began), "problem": problem}
    return {**line, **found, "reasons": headers.get("x-seatrial-reasons")}


def _post(
    backend: Backend, body: bytes, path: str, content_type: str, timeout_s: float
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(backend.endpoint.host, backend.endpoint.port, timeout=PROBE_S)
    try:
        connection.request("POST", path, body, {"content-type": content_type, "x-seatrial-probe": "true"})
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def _problem(
    model: Model, backend: Backend, path: str, body: bytes, status: int, headers: dict[str, str], answer: bytes,
    spec: ResponseSpec,
) -> str | None:  # fmt: skip
    """Why this is not what users should get; None if it is."""
    if backend.level in (REVIEW, BANNER):
        return None if status in (200, 202) and _says(answer).get("level") == backend.level else _quoted(status, answer)
    if status != http.client.OK:
        return _quoted(status, answer)
    try:
        format = model.contract.format or detect_format(path, json.loads(body))
        if format != "opaque":
            parse_response(format, headers.get("content-type"), answer, rows=None, spec=spec)
    except (WireError, ValueError) as error:
        return f"no valid prediction: {error}"
    return None


def _says(answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _quoted(status: int, answer: bytes) -> str:
    return f"{status}: {answer[:200].decode(errors='replace').strip()}"


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


def put_rules(project: Project, file: Path) -> str:
    """A scorecard into the artifact store; returns its digest. Raises UsageError where it does not read."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError("ST0770", f"{file}: {error.strerror}.", remedy="Name a scorecard in YAML.") from None
    Scorecard.parse(text, str(file))
    return ArtifactStore(project.artifacts).put_bytes(text)


def invented(project: Project, model: Model, features: Sequence[str]) -> bytes:
    """A request for levels that take named rows: from the scorecard's features, or the model's. Raises UsageError."""
    names: dict[str, Any] = dict.fromkeys(features, 0.0)
    if (digest := model.safety.fallback.rules) is not None:
        card = Scorecard.parse(ArtifactStore(project.artifacts).path(digest).read_bytes())
        names |= {name: {"number": 0.0, "string": "", "boolean": False}[kind] for name, kind in card.features.items()}
    if not names or host_reading(model, None).wire not in (None, "mlflow"):
        raise UsageError(
            "ST0707", f"what a request to '{model.name}' looks like is not known.",
            remedy="Give one that the model takes: --body request.json.",
        )  # fmt: skip
    return json.dumps({"dataframe_records": [names]}).encode()
