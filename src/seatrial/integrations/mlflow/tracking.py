"""What is asked of an MLflow server, in the words of this project. Every wait ends, and every error has a remedy.

Errors: ``ST1532`` the extra is missing, ``ST1533`` MLflow does not answer, ``ST1534`` what was named is not there,
``ST1535`` MLflow refuses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from seatrial.errors import NotFound, SeatrialError, Unavailable, UsageError
from seatrial.integrations.mlflow.uri import ModelUri

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

T = TypeVar("T")

PAGE: Final = 1000
LONGEST_TAG: Final = 5000
"""Characters of a tag's value that every MLflow since 2.0 takes."""

_PATIENCE: Final = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's own settings, unless the environment says otherwise: it would wait for minutes, and tell its makers."""

_MISSING: Final = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
_AWAY: Final = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "RESOURCE_EXHAUSTED", "REQUEST_LIMIT_EXCEEDED")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a registered model, as MLflow has it."""

    name: str
    number: int
    run: str
    source: str
    status: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.number}"


class Tracking:
    """One MLflow server. ``uri``: of tracking; ``registry``: of the model registry, if it is another one.

    Both are taken from MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI where they are empty, and who asks (user, password,
    token) from MLflow's own variables. Raises UsageError (``ST1532``) without the extra or an address.
    """

    def __init__(self, uri: str = "", registry: str = "") -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not self.uri:
            raise UsageError(
                "ST1532", "mlflow: nobody says where MLflow is.",
                remedy="mlflow.trackingUri in seatrial.yaml, or MLFLOW_TRACKING_URI where the control plane starts.",
            )  # fmt: skip
        self.registry = registry or os.environ.get("MLFLOW_REGISTRY_URI", "") or self.uri
        self._client = _client(self.uri, self.registry)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def aliases(self) -> dict[str, dict[str, int]]:
        """The aliases of every registered model, by its name; in one call for a thousand models."""
        models = self._pages(partial(self._client.search_registered_models, max_results=PAGE))
        return {model.name: _numbers(model.aliases) for model in models}

    def aliases_of(self, name: str) -> dict[str, int]:
        """The aliases of one registered model. Raises NotFound (``ST1534``)."""
        return _numbers(self._ask(lambda: self._client.get_registered_model(name)).aliases)

    def tagged(self, tag: str, value: str) -> tuple[RegisteredVersion, ...]:
        """Versions of all registered models with this tag, by name and number."""
        return self._search(f"tags.`{tag}` = {_quoted(value)}")

    def versions(self, name: str) -> tuple[RegisteredVersion, ...]:
        """The versions of a registered model, by number. Raises UsageError (``ST1543``) for a name of both quotes."""
        return self._search(f"name = {_quoted(name)}")

    def version(self, name: str, number: int) -> RegisteredVersion:
        """Raises NotFound (``ST1534``)."""
        return _version(self._ask(lambda: self._client.get_model_version(name, str(number))))

    def run(self, id: str) -> Run:
        """A run with its tags, parameters, metrics and data sets. Raises NotFound (``ST1534``)."""
        return self._ask(lambda: self._client.get_run(id))

    def logged_model(self, id: str) -> tuple[str, str]:
        """Where the artifacts of a logged model are, and the run that logged it. Raises NotFound (``ST1534``)."""
        found = self._ask(lambda: self._client.get_logged_model(id))
        return str(found.artifact_location), str(found.source_run_id or "")

    def logged_by(self, run: Run, path: str) -> str:
        """Where the artifacts of a model are that a run logged under a name; before MLflow 3 among those of the run."""
        for output in run.outputs.model_outputs if run.outputs else ():
            model = self._ask(partial(self._client.get_logged_model, output.model_id))
            if model.name == path:
                return str(model.artifact_location)
        return f"{run.info.artifact_uri}/{path}"

    def location(self, uri: ModelUri) -> str:
        """Where the artifacts of a version are."""
        return str(self._ask(lambda: self._client.get_model_version_download_uri(uri.name, uri.part)))

    def download(self, location: str, to: Path) -> Path:
        """A copy of what lies at a location."""
        from mlflow.artifacts import download_artifacts

        copied = self._ask(lambda: download_artifacts(artifact_uri=location, dst_path=str(to), tracking_uri=self.uri))
        return Path(copied)

    # ── writing: each of these may be done twice ───────────────────────────────────────────────────────────────────

    def point(self, name: str, alias: str, number: int | None) -> None:
        """Have an alias name a version, or nothing."""
        if number is None:
            self._ask(lambda: self._client.delete_registered_model_alias(name, alias))
        else:
            self._ask(lambda: self._client.set_registered_model_alias(name, alias, str(number)))

    def tag_version(self, name: str, number: int, key: str, value: str) -> None:
        self._ask(lambda: self._client.set_model_version_tag(name, str(number), key, value[:LONGEST_TAG]))

    def tag_model(self, name: str, key: str, value: str) -> None:
        self._ask(lambda: self._client.set_registered_model_tag(name, key, value[:LONGEST_TAG]))

    def tag_run(self, run: str, key: str, value: str) -> None:
        self._ask(lambda: self._client.set_tag(run, key, value[:LONGEST_TAG]))

    def put_artifact(self, run: str, path: str, text: str) -> None:
        """Keep a text as an artifact of a run; the one that was there is replaced."""
        self._ask(lambda: self._client.log_text(run, text, path))

    def _search(self, query: str) -> tuple[RegisteredVersion, ...]:
        pages = self._pages(partial(self._client.search_model_versions, query, max_results=PAGE))
        return tuple(sorted(map(_version, pages), key=lambda version: (version.name, version.number)))

    def _pages(self, search: Callable[..., Any]) -> list[Any]:
        """All that a search finds."""
        page = self._ask(search)
        found = list(page)
        while page.token:
            page = self._ask(partial(search, page_token=page.token))
            found += page
        return found

    def _ask(self, call: Callable[[], T]) -> T:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            return call()
        except MlflowException as error:
            raise self._explained(error.error_code or "", str(error)) from error
        except (RequestException, OSError) as error:
            raise self._explained("INTERNAL_ERROR", f"{type(error).__name__}: {error}") from error

    def _explained(self, code: str, text: str) -> SeatrialError:
        for uri in (self.uri, self.registry):  # MLflow says the whole of what it asked
            text = text.replace(uri.rstrip("/"), _place(uri).rstrip("/"))
        said = " ".join(text.removeprefix(f"{code}: ").split())[:300]
        if code in _MISSING:
            return NotFound("ST1534", f"mlflow: {said}", remedy=f"Look it up at {_place(self.registry)}.")
        if code in _AWAY:
            return Unavailable(
                "ST1533", f"mlflow: {_place(self.uri)} does not answer: {said}",
                remedy="It is tried again; nothing is lost meanwhile. Is the server up, and the address right?",
            )  # fmt: skip
        return SeatrialError(
            "ST1535", f"mlflow: {_place(self.uri)} refuses: {said}", remedy="See what its user may do there."
        )


def _client(uri: str, registry: str) -> MlflowClient:
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise UsageError(
            "ST1532", "mlflow: its client is not installed.", remedy="pip install 'seatrial[mlflow]'"
        ) from error
    return MlflowClient(uri, registry)


def _numbers(aliases: Mapping[str, Any]) -> dict[str, int]:
    return {alias: int(version) for alias, version in aliases.items()}


def _version(found: Any) -> RegisteredVersion:
    return RegisteredVersion(
        found.name, int(found.version), found.run_id or "", found.source or "", str(found.status), dict(found.tags)
    )


def _quoted(text: str) -> str:
    """Text in a filter of MLflow, whose grammar has two quotes and no way to escape one."""
    quote = next((quote for quote in ("'", '"') if quote not in text), None)
    if quote is None:
        raise UsageError("ST1543", f"mlflow: {text} has both kinds of quotes, so MLflow cannot be asked for it.",
                         remedy="Give it a name with one kind.")  # fmt: skip
    return f"{quote}{text}{quote}"


def _place(uri: str) -> str:
    """An address without the user and password that may be in it."""
    scheme, sign, rest = uri.partition("://")
    return f"{scheme}{sign}{rest.rpartition('@')[2]}" if sign else uri
