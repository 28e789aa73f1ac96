"""Documents about models, versions and what was done: what the HTTP API answers and what ``--json`` prints.

Every document has a ``schema``, names in camelCase, times in ISO 8601 UTC, weights in per cent. Pure functions of what
is stored.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from seatrial.registry.version import Model, ModelVersion
from seatrial.store.audit import AuditEntry, AuditReport
from seatrial.store.canonical import iso_z
from seatrial.values import to_camel

Document = dict[str, Any]


def model_document(
    model: Model,
    pointers: Mapping[Any, int],
    versions: Sequence[ModelVersion],
    *,
    rollout: str | None = None,
    killed: Document | None = None,
) -> Document:
    """A model with its pointers and versions, its active rollout, and whether it is killed."""
    return {
        **model_summary(model, pointers, len(versions), rollout=rollout, killed=killed),
        "schema": "seatrial.model.v1",
        "purpose": model.purpose,
        "unitHeader": model.unit_header,
        "contract": model.contract.document(),
        "safety": model.safety.document(),
        "versions": [version_document(version) for version in versions],
    }


def model_summary(
    model: Model,
    pointers: Mapping[Any, int],
    versions: int,
    *,
    rollout: str | None = None,
    killed: Document | None = None,
) -> Document:
    names = ("champion", "challenger", "shadow", "previous")
    return {
        "name": model.name,
        "owner": model.owner,
        "pointers": {name: pointers.get(name) for name in names},
        "versionCount": versions,
        "rollout": rollout,
        "killed": killed,
    }


def version_document(version: ModelVersion) -> Document:
    """A version with its lineage and how it is served; ``version`` is its number."""
    fields = plain(version)
    return {"schema": "seatrial.version.v1", "model": fields.pop("model"), "version": fields.pop("number"), **fields}


def switched_document(switched: Any) -> Document:
    """Of a ``Switched``: what a kill, revive or rollback did, and how fast."""
    return {"schema": "seatrial.switched.v1", **plain(switched)}


def audit_document(entries: Iterable[AuditEntry]) -> Document:
    return {
        "schema": "seatrial.audit.v1",
        "entries": [{**plain(entry), "detail": json.loads(entry.detail)} for entry in entries],
    }


def audit_report_document(report: AuditReport) -> Document:
    return {"schema": "seatrial.audit-report.v1", **plain(report)}


def listing(schema: str, name: str, items: Iterable[Document]) -> Document:
    """``{"schema": ..., name: [...]}``."""
    return {"schema": schema, name: list(items)}


def plain(value: Any) -> Any:
    """Plain JSON of a value; fields of dataclasses become camelCase, keys of maps are the user's own."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {to_camel(f.name): plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return iso_z(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
