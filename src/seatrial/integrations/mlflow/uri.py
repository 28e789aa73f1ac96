"""The names that MLflow gives to models, and which of them may be released.

``models:/name/3``, ``models:/m-<id>`` and ``runs:/<run>/<path>`` name one model for ever. ``models:/name@alias`` and
``models:/name/latest`` name another one tomorrow: a release is never of those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

from seatrial.errors import UsageError

Kind = Literal["version", "logged", "run", "alias", "latest"]

FORMS: Final = "models:/NAME/3, models:/m-ID, runs:/RUN/PATH, or models:/NAME@ALIAS with --pin"

_ALIAS: Final = re.compile(r"[\w-]{1,255}")
_RUN: Final = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class ModelUri:
    """``name``: of the registered model, the id of a logged model, or of the run. ``part``: version, alias or path."""

    kind: Kind
    name: str
    part: str = ""

    @property
    def pinned(self) -> bool:
        """Whether it names the same model for ever."""
        return self.kind in ("version", "logged", "run")

    def __str__(self) -> str:
        match self.kind:
            case "logged":
                return f"models:/{self.name}"
            case "run":
                return f"runs:/{self.name}/{self.part}"
            case "alias":
                return f"models:/{self.name}@{self.part}"
            case _:
                return f"models:/{self.name}/{self.part}"


def parse_uri(text: str) -> ModelUri:
    """What a URI names. Raises UsageError (``ST1530``).

    >>> parse_uri("models:/credit/3")
    ModelUri(kind='version', name='credit', part='3')
    >>> str(parse_uri("models:/credit@champion")), parse_uri("models:/credit@champion").pinned
    ('models:/credit@champion', False)
    """
    if run := _RUN.fullmatch(text):
        return ModelUri("run", run["run"], run["path"].strip("/"))
    name, found = unquote(text.removeprefix("models:/")).strip("/"), None
    if text.startswith("models:/") and name:
        found = _model(name)
    if found is None:
        raise UsageError("ST1530", f"mlflow: {text!r} names no model.", remedy=FORMS)
    return found


def require_pinned(uri: ModelUri) -> ModelUri:
    """Raises UsageError (``ST1531``) for a name that moves."""
    if not uri.pinned:
        raise UsageError(
            "ST1531", f"mlflow: {uri} names another model whenever somebody moves it, so it is not released.",
            remedy=f"Name the version, as in models:/{uri.name}/3, or have it resolved now and kept: --pin.",
        )  # fmt: skip
    return uri


def _model(name: str) -> ModelUri | None:
    if "/" in name:
        name, _, part = name.partition("/")
        if part == "latest":
            return ModelUri("latest", name, part)
        return ModelUri("version", name, part) if part.isascii() and part.isdigit() and int(part) > 0 else None
    if "@" in name:
        name, _, alias = name.partition("@")
        return ModelUri("alias", name, alias) if name and _ALIAS.fullmatch(alias) else None
    return ModelUri("logged", name) if name.startswith("m-") else None
