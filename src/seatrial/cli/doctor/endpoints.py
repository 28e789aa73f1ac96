"""The servers behind URLs: do they answer, are they what they should be, are they two. Asks for health only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seatrial.cli.doctor.finding import Case, Finding, error, fine, warning

if TYPE_CHECKING:
    from seatrial.registry.version import ModelVersion

PROBE_S = 5.0
HEALTH = ("/v2/health/ready", "/ping", "/health")
"""Where the usual servers say how they are: Open Inference Protocol, MLflow and SageMaker, most others."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})


def answer(case: Case) -> Iterator[Finding]:
    """Whether each version that matters answers in HTTP. Whether its answers are predictions, the traffic shows."""
    for role, version in _in_use(case):
        url = str(version.serving.url)
        if problem := answers(url):
            yield error(
                role, f"{version.name}: {url} {problem}",
                "Start it, or correct the URL: `seatrial model register` the right one and roll it out.",
            )  # fmt: skip
        else:
            yield fine(role, f"{version.name} answers at {url}")


def differ(case: Case) -> Iterator[Finding]:
    """A candidate that is the champion's own server: nothing differs, and any plan promotes it."""
    from seatrial.registry.lifecycle import Stage

    for model in case.tx.models.list_models():
        pointers = case.tx.models.pointers(model.name)
        if (number := pointers.get("champion")) is None:
            continue
        champion = case.tx.models.get_version(model.name, number)
        for other in case.tx.models.list_versions(model.name):
            candidate = other.number not in (champion.number, pointers.get("previous"))
            if candidate and other.stage is not Stage.ARCHIVED and _same(champion, other):
                yield warning(
                    "candidate", f"{other.name} is at the same URL as its champion v{number}: {other.serving.url}",
                    "Serve each version at a URL of its own, and register the candidate again.",
                )  # fmt: skip


def are_not_ours(case: Case) -> Iterator[Finding]:
    """A version whose URL is this project's gateway or API: its requests would go round in a circle."""
    ours = {case.project.config.gateway.port: "gateway", case.project.config.api.port: "API"}
    for role, version in _in_use(case):
        host, port, _ = _place(str(version.serving.url))
        if host == "loopback" and port in ours:
            yield error(
                role, f"{version.name} is at {version.serving.url}, which is this project's own {ours[port]}",
                "Give the URL of the model server itself; clients are the ones who call the gateway.",
            )  # fmt: skip


def answers(url: str) -> str:
    """What is wrong with a server, as a clause; empty if it answers in HTTP. Any status will do."""
    import httpx

    kinds = []
    try:
        with httpx.Client(timeout=PROBE_S, trust_env=False) as http:
            for path in HEALTH:
                response = http.get(url.rstrip("/") + path)
                page = response.is_success and "html" in response.headers.get("content-type", "")
                kinds.append(page)
    except httpx.ConnectError as refused:
        return f"does not answer: {refused}"
    except httpx.TimeoutException:
        return f"does not answer within {PROBE_S:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as broken:
        return f"does not answer in HTTP ({type(broken).__name__}: {broken}); is it gRPC, or https?"
    return "answers every path with a web page: is that a UI, and the model server elsewhere?" if all(kinds) else ""


def _in_use(case: Case) -> Iterator[tuple[str, ModelVersion]]:
    """Champions, standbys and candidates of running rollouts at foreign URLs, with what they are."""
    for model in case.tx.models.list_models():
        pointers = case.tx.models.pointers(model.name)
        running = case.tx.rollouts.list(model.name, active=True)
        roles = {
            "champion": pointers.get("champion"),
            "standby": pointers.get("previous"),
            "candidate": running[0].candidate if running else None,
        }
        for role, number in roles.items():
            if number is not None:
                version = case.tx.models.get_version(model.name, number)
                if version.serving.url:
                    yield role, version


def _same(one: ModelVersion, other: ModelVersion) -> bool:
    return bool(one.serving.url and other.serving.url) and _place(one.serving.url) == _place(other.serving.url)


def _place(url: str | None) -> tuple[str, int, str]:
    """Host, port and path, with the names of this machine as one."""
    parts = urlsplit(url or "")
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return ("loopback" if host in _LOOPBACK else host), port, parts.path.rstrip("/")
