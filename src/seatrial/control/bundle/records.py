"""What a bundle is made of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig.json"
ENTRIES: Final = "audit/entries.json"
ANCHOR: Final = "audit/anchor.json"
CONTEXT: Final = "bundle"
"""What the manifest's signature is for: see ``seatrial.signing``."""


@dataclass(frozen=True, slots=True)
class Record:
    """One file. ``path``: in the bundle, with ``/``. ``part``: which part of the history it belongs to."""

    path: str
    part: str
    title: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def json_record(path: str, part: str, title: str, document: Any) -> Record:
    """A document, readable for people and the same bytes every time."""
    return Record(path, part, title, json_bytes(document))


def json_bytes(document: Any) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
