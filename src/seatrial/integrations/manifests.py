"""Manifests of other tools, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from seatrial.errors import UsageError
from seatrial.integrations import argo, flagger
from seatrial.integrations.draft import Imported, mapping


def read_manifests(text: str, source: str) -> Imported:
    """The plan that a file of manifests comes to. Raises UsageError (ST0304 to ST0308)."""
    documents = _documents(text, source)
    kinds = [document.get("kind") for document in documents]
    rollouts = [document for document in documents if document.get("kind") in ("Rollout", "Canary")]
    if len(rollouts) != 1:
        found = ", ".join(str(kind) for kind in kinds) or "nothing"
        raise UsageError(
            "ST0304", f"'{source}' has {len(rollouts)} releases to import (it has: {found}).",
            remedy="One Rollout with its AnalysisTemplates (Argo Rollouts), or one Canary (Flagger), a file.",
        )  # fmt: skip
    if rollouts[0]["kind"] == "Canary":
        return flagger.read(rollouts[0])
    templates = {
        str(mapping(document.get("metadata"), "metadata").get("name")): document
        for document in documents
        if document.get("kind") in ("AnalysisTemplate", "ClusterAnalysisTemplate")
    }
    return argo.read(rollouts[0], templates)


def _documents(text: str, source: str) -> list[Mapping[str, Any]]:
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (yaml.YAMLError, RecursionError):
        raise UsageError(
            "ST0304", f"'{source}' is not YAML.", remedy="`kubectl get -o yaml` writes manifests that are."
        ) from None
    return [mapping(document, source) for document in documents]
