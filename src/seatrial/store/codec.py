"""Registry values to JSON text and back, by the same classes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from seatrial.registry.contract import Contract
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.safety import Safety
from seatrial.registry.version import Serving
from seatrial.store.canonical import canonical


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(value: ArtifactLineage | Serving | Mapping[str, str]) -> str:
    return canonical(value)


def dump_contract(contract: Contract) -> str:
    return canonical(contract.document())


def load_contract(text: str) -> Contract:
    contract: Contract = _adapter(Contract).validate_json(text)
    return contract


def dump_safety(safety: Safety) -> str:
    return canonical(safety.document())


def load_safety(text: str) -> Safety:
    safety: Safety = _adapter(Safety).validate_json(text)
    return safety


def load_lineage(text: str) -> ArtifactLineage:
    lineage: ArtifactLineage = _adapter(ArtifactLineage).validate_json(text)
    return lineage


def load_serving(text: str) -> Serving:
    serving: Serving = _adapter(Serving).validate_json(text)
    return serving


def load_tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = _adapter(dict[str, str]).validate_json(text)
    return tags
