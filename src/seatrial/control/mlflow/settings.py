"""Where MLflow is and what is published to it: ``mlflow`` in seatrial.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, get_args

from seatrial.ids import PointerName
from seatrial.registry.version import check_name
from seatrial.values import Duration, to_camel

_ALIAS: Final = re.compile(r"[A-Za-z_-][\w-]{0,254}")
_RESERVED: Final = re.compile(r"latest|[vV]\d+")
_FIELDS: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowSettings:
    """``tracking_uri``, ``registry_uri``: empty for what MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI say.

    ``models``: the registered model of each model here. ``poll``: how often MLflow is looked at. ``aliases``: the name
    that each pointer has there; null publishes it not at all. ``on_moved``: what a hand on ``@champion`` means, a
    *request* for a rollout, or nothing (*revert*: it is put back). ``plan``: the plan of a request, unless ``plans``
    names one for its model. ``trust_pickle``: whether pickled models are loaded, which runs their code. ``anchors``:
    whether the audit log's anchors are kept as tags of the registered models.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _FIELDS

    tracking_uri: str = ""
    registry_uri: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    poll: Duration = Duration(10.0, "10s")
    aliases: Mapping[PointerName, str | None] = field(default_factory=dict)
    on_moved: Literal["request", "revert"] = "request"
    plan: str = ""
    plans: Mapping[str, str] = field(default_factory=dict)
    trust_pickle: bool = False
    anchors: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.poll.seconds <= 3600:
            raise ValueError("poll is between 1s and 1h")
        for name in (*self.models, *self.plans):
            check_name(name)
        if self.anchors and not self.models:
            raise ValueError("anchors are tags of registered models: name them under models")
        names = [alias for alias in self.published.values() if alias is not None]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two pointers are published as @{twice[0]}")
        for alias in names:
            if not _ALIAS.fullmatch(alias) or _RESERVED.fullmatch(alias):
                raise ValueError(f"@{alias} is no alias of MLflow's: letters, digits, - and _, neither latest nor v1")
        registered = list(self.models.values())
        if twice := sorted({name for name in registered if registered.count(name) > 1}):
            raise ValueError(f"two models are linked to '{twice[0]}'")

    @property
    def published(self) -> dict[PointerName, str | None]:
        """Every pointer with its alias."""
        return {pointer: self.aliases.get(pointer, pointer) for pointer in get_args(PointerName)}

    def plan_of(self, model: str) -> str:
        """The file of the plan that requests of a model are begun by; empty if none is named."""
        return self.plans.get(model, self.plan)
