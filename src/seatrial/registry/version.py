"""Models, their numbered versions, and how a version is served."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from seatrial.errors import UsageError
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.registry.contract import Contract
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, require_complete
from seatrial.registry.safety import Safety

Source = Literal["registered", "adopted"]
ColumnKind = Literal["number", "integer", "string", "boolean"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # token, RFC 9110 section 5.6.2
_RUNS_CODE: Final = frozenset({"pickle", "cloudpickle", "joblib"})  # loading one of these can run any code


def check_name(name: str) -> ModelName:
    """The name if it is legal: it becomes a path, a directory and an Envoy cluster name, which cannot hold a dot.

    >>> check_name("fraud-eu")
    'fraud-eu'
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            "ST0120",
            f"{name!r} is not a model name.",
            remedy="Use 1 to 63 lower-case letters, digits and dashes, starting with a letter or a digit.",
        )
    return ModelName(name)


@dataclass(frozen=True, slots=True)
class Model:
    """A product that predicts. ``unit_header`` is the request header that carries the unit (user, account, device).

    ``contract``: how its requests and answers are read, and what is kept of them. ``safety``: how careful to be.
    """

    name: ModelName
    owner: str = ""
    purpose: str = ""
    unit_header: str = "x-unit-id"
    contract: Contract = Contract()
    safety: Safety = Safety()

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _HEADER.fullmatch(self.unit_header):
            raise UsageError(
                "ST0121", f"model {self.name!r}: {self.unit_header!r} is not the name of an HTTP header.",
                remedy="Letters, digits and dashes, e.g. x-unit-id.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Serving:
    """How a version answers: from an artifact in the store, or at a URL that somebody else runs.

    ``dtypes``: kinds of the columns, parallel to ``features``; without them each request's columns are typed from its
    own values.
    """

    kind: Literal["artifact", "url"]
    url: str | None = None
    artifact: Digest | None = None
    format: str | None = None
    features: tuple[str, ...] = ()
    dtypes: tuple[ColumnKind, ...] = ()
    output: Literal["predict_proba", "predict"] = "predict_proba"
    trust_pickle: bool = False
    trusted_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        (self._check_url if self.kind == "url" else self._check_artifact)()

    def _check_url(self) -> None:
        parts = urlsplit(self.url or "")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise UsageError(
                "ST0122", f"serving: {self.url!r} is not an http or https URL.", remedy="e.g. http://127.0.0.1:9000"
            )
        if self.artifact is not None:
            raise UsageError("ST0123", f"serving: {self.url} and an artifact are both given.", remedy="Choose one.")

    def _check_artifact(self) -> None:
        if self.artifact is None or not self.format:
            raise UsageError("ST0124", "serving: an artifact needs its digest and its format.")
        if self.url is not None:
            raise UsageError("ST0123", f"serving: {self.url} and an artifact are both given.", remedy="Choose one.")
        self._check_dtypes()
        if self.format in _RUNS_CODE and not self.trust_pickle:
            raise UsageError(
                "ST0125",
                f"serving: loading the {self.format} artifact {self.artifact} can run any code.",
                remedy="Save it with skops or ONNX, or say that you trust it (--trust-pickle).",
            )

    def _check_dtypes(self) -> None:
        if self.dtypes and len(self.dtypes) != len(self.features):
            raise UsageError(
                "ST0135", f"serving: {len(self.features)} features have {len(self.dtypes)} dtypes.",
                remedy="Give the dtype of every feature, or of none.",
            )  # fmt: skip
        for kind in set(self.dtypes) - set(get_args(ColumnKind)):
            raise UsageError("ST0136", f"serving: {kind!r} is no dtype.", remedy=", ".join(get_args(ColumnKind)))


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model. Only the stage ever changes; a changed artifact is another version.

    An ``adopted`` version is a foreign endpoint whose lineage may be unknown; a ``registered`` one has all of it.
    ``signature``: of its artifact, empty if nobody signed it (control.signatures).
    """

    model: ModelName
    number: VersionNumber
    stage: Stage
    lineage: ArtifactLineage | None
    serving: Serving
    source: Source
    created_at: datetime
    created_by: str
    tags: Mapping[str, str] = field(default_factory=dict)
    signature: str = ""

    def __post_init__(self) -> None:
        check_origin(self.model, self.source, self.lineage, self.serving)

    @property
    def name(self) -> str:
        """The version as people write it: ``fraud v12``."""
        return f"{self.model} v{self.number}"


def check_origin(model: str, source: Source, lineage: ArtifactLineage | None, serving: Serving) -> None:
    """A registered version has a complete lineage, and serves the very artifact that its lineage names."""
    if source == "adopted":
        return
    named = require_complete(lineage, model=model).model
    if named is not None and serving.artifact not in (None, named.digest):
        raise UsageError(
            "ST0103",
            f"model {model!r}: the lineage names the model {named.digest}, but {serving.artifact} is to be served.",
            remedy="Register the artifact that the lineage describes.",
        )
