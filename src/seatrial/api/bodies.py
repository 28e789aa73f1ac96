"""Bodies of requests: validated by the classes they become; an unknown field is refused, with the nearest known one."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Strict, TypeAdapter, ValidationError

from seatrial.ci.pipeline import Event
from seatrial.ci.results import Run, StepResult
from seatrial.errors import UsageError
from seatrial.gateway.kill import KillMode
from seatrial.registry.contract import Contract
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.people import Role
from seatrial.registry.version import Serving
from seatrial.rollout.reconciliation.incident import Choice
from seatrial.values import Duration, Share, to_camel

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A foreign endpoint becomes the first champion of a model."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    url: str
    unit_header: str = "x-unit-id"
    owner: str = ""
    purpose: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    contract: Contract | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A new version; ``serving`` and ``lineage`` in the words of the registry (``trust_pickle``, ``data.rows``).

    ``contract``: if given, the model's whole contract from now on. ``signature``: of the artifact, ``KEY:VALUE``.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    serving: dict[str, Any]
    lineage: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    unit_header: str = "x-unit-id"
    contract: Contract | None = None
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CIRun:
    """What a run of ML CI found, about a version or about none; its id, actor and digest are given here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    event: Event
    started_at: AwareDatetime
    steps: tuple[StepResult, ...]
    model: str | None = None
    version: int | None = None
    commit: str | None = None

    def run(self) -> Run:
        return Run(id="", actor="", **{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A rollout of ``version`` by ``plan`` (JSON Schema: ``/v1/schema/plan``).

    ``override``: why a plan may pass over what an approver can answer for.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    version: int
    plan: dict[str, Any]
    salt: str | None = None
    override: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What a person gives as reason; ``full`` skips what is left of a rollout (promote only)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Why a rollout that is over is tried once more; ``override`` as where a rollout begins."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str = ""
    override: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What an approver says with a yes."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A unit that leaves a rollout, as its header carries it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    unit: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardAlert:
    """What another system or a person found: a *critical* alert ends the rollout at once, a *warning* pauses it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str
    severity: Literal["critical", "warning"] = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowShare:
    """The share of the units whose requests a standing shadow gets copies of, e.g. ``10%``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The version that releases are held against together from now on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    version: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Kill or revive; ``mode`` is for kill only."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str = ""
    mode: KillMode = "previous"


@dataclass(frozen=True, slots=True, kw_only=True)
class WayHome:
    """Rollback or undo. ``since``: when the harm began, ISO 8601; ``force``: also where nobody answers."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str = ""
    since: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How a standby is proven: ``load``, seconds of each step of a ramp at its host; none if 0."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    load: Annotated[float, Strict()] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecision:
    """A word of whoever decides, and why; ``outcome`` and ``value``: an outcome of the request with that name."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    decision: str
    reason: str
    outcome: str | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciling:
    """As of when a rollout is reconciled: ISO 8601 with its zone; now, unless given."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What is done about an incident, and why."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    choice: Choice
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """Whose parts are merged: every model's unless one is named."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The unit as clients send it. It is not written down anywhere."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """The time to which a replay's clock is moved."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Somebody gets a role and a token that holds for ``expires`` (for ever, without)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    role: Role
    expires: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTest:
    """A target under ``alerts`` in seatrial.yaml."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRetry:
    """A target under ``alerts`` in seatrial.yaml; all of them without."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    target: str | None = None


def read_serving(document: object) -> Serving:
    """Raises UsageError naming the field."""
    serving: Serving = _read(Serving, document, "serving")
    return serving


def read_lineage(document: object) -> ArtifactLineage:
    """Raises UsageError naming the field."""
    lineage: ArtifactLineage = _read(ArtifactLineage, document, "lineage")
    return lineage


def _read(kind: type, document: object, where: str) -> Any:
    _refuse_unknown(kind, document, where)
    try:
        return _adapter(kind).validate_python(document)
    except ValidationError as error:
        lines = [f"{'.'.join((where, *map(str, item['loc'])))}: {item['msg']}" for item in error.errors()]
        raise UsageError("ST0846", f"{'; '.join(lines)}.") from None


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _refuse_unknown(kind: Any, document: object, where: str) -> None:
    """A field that is not read would be lost silently; times and numbers are checked by validation, names here."""
    if not is_dataclass(kind) or not isinstance(document, Mapping):
        return
    known = {f.name for f in fields(kind)}
    for name in document:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(sorted(known))}."
            raise UsageError("ST0847", f"{where}.{name} is unknown.", remedy=hint)
    for name, hint_type in typing.get_type_hints(kind).items():
        if name in document:
            _refuse_unknown(_inner(hint_type), document[name], f"{where}.{name}")


def _inner(hint: Any) -> Any:
    """``X`` of ``X | None``."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((part for part in typing.get_args(hint) if part is not type(None)), hint)
    return hint
