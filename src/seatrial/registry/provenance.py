"""What must be known of training data beyond its digest, by what kind of input it is: who took and labelled it, where.

The rule is data: ``REQUIRED``. A scan without its scanner cannot explain a drift of scanners; a label without its
version cannot be told from a better one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, get_args

from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.registry.lineage import DataRef
    from seatrial.registry.safety import Impact

InputType = Literal["tabular", "image", "text", "audio"]

FACTS: Final[Mapping[str, str]] = {
    "device": "what acquired it (scanners, cameras, microphones)",
    "site": "where it was acquired",
    "labeler": "who labelled it",
    "labelVersion": "the version of the labels",
    "language": "in which language it is",
}
REQUIRED: Final[Mapping[InputType, tuple[str, ...]]] = {
    "tabular": (),
    "image": ("device", "site", "labeler", "labelVersion"),
    "text": ("language", "labeler", "labelVersion"),
    "audio": ("device", "language", "labeler", "labelVersion"),
}


def check_provenance(type: str | None, provenance: Mapping[str, str]) -> None:
    """Raises UsageError for a type that is none (``ST1580``) and a fact that has no meaning (``ST1581``)."""
    if type is not None and type not in get_args(InputType):
        raise UsageError(
            "ST1580", f"data: {type!r} is no type of input.", remedy=f"Use {', '.join(get_args(InputType))}."
        )
    for name in provenance:
        if name not in FACTS:
            near = difflib.get_close_matches(name, FACTS, n=1, cutoff=0.5)
            raise UsageError(
                "ST1581", f"data: the provenance says '{name}', which has no meaning.",
                remedy=f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(FACTS)}.",
            )  # fmt: skip


def absent(data: DataRef, impact: Impact) -> tuple[str, ...]:
    """What is missing in a reference to data, by the names it has in the lineage file.

    Data that says its type has a time range and all facts of that type; data of a clinical model says its type.

    >>> from seatrial.ids import Digest
    >>> from seatrial.registry.lineage import DataRef
    >>> absent(DataRef(Digest("sha256:d"), 10, type="image", provenance={"device": "CT 7", "site": "A"}), "ordinary")
    ('data.start', 'data.end', 'data.provenance.labeler', 'data.provenance.labelVersion')
    >>> absent(DataRef(Digest("sha256:d"), 10), "clinical")
    ('data.type',)
    """
    if data.type is None:
        return ("data.type",) if impact == "clinical" else ()
    times = tuple(f"data.{name}" for name in ("start", "end") if getattr(data, name) is None)
    facts = (name for name in REQUIRED[data.type] if not data.provenance.get(name, "").strip())
    return (*times, *(f"data.provenance.{name}" for name in facts))


def require_provenance(data: DataRef | None, impact: Impact, *, model: str) -> None:
    """Raises UsageError (``ST1582``) that names every field that is missing, what it means and how to give it."""
    missing = () if data is None else absent(data, impact)
    if data is None or not missing:
        return
    kind = f"data of type {data.type}" if data.type else f"the data of a model with {impact} impact"
    raise UsageError(
        "ST1582", f"model {model!r}: {kind} has no {' and no '.join(map(_told, missing))}.",
        remedy="Give " + ", ".join(map(_flag, missing)) + ", or say it in the lineage file.",
    )  # fmt: skip


def _told(field: str) -> str:
    name = field.rpartition(".")[2]
    meaning = {"type": "kind of input", "start": "first event time", "end": "end of event time", **FACTS}[name]
    return f"{field} ({meaning})"


def _flag(field: str) -> str:
    name = field.rpartition(".")[2]
    return f"--fact {name}=..." if name in FACTS else f"--data-{name}"
