"""Where a champion that is adopted serves: at a URL of any server, or of ``mlflow models serve``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.registry.contract import Contract


@dataclass(frozen=True, slots=True)
class Place:
    """``tags``: what was found out about it. ``remark``: what the person who adopts it should know."""

    url: str
    mlflow: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


def place(model: str, url: str | None, mlflow: str | None, example: Path | None) -> Place:
    """Raises UsageError (``ST1554``) unless just one of the two is given, and what asking an MLflow server raises."""
    if (url is None) == (mlflow is None):
        raise UsageError(
            "ST1554", f"model '{model}': give either --url or --mlflow.",
            remedy="--mlflow URL of `mlflow models serve`, or --url URL of any other server.",
        )  # fmt: skip
    if mlflow is None:
        if example is not None:
            raise UsageError("ST1554", f"model '{model}': --example is for --mlflow.", remedy="Leave it out.")
        return Place(str(url))
    from seatrial.integrations.mlflow import endpoint

    found = endpoint.probe(mlflow, None if example is None else endpoint.read_example(example))
    return Place(found.url, True, found.tags, found.remark)


def agreed(contract: Contract | None, found: Place) -> Contract | None:
    """The contract, which of an MLflow server says the format."""
    if not found.mlflow or (contract is not None and contract.format is not None):
        return contract
    return replace(contract or Contract(), format="mlflow")
