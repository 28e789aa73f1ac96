"""The evidence that decisions were made on, read back: what each arm had, and what the gateway counted."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Final

from seatrial.errors import IntegrityError, NotFound
from seatrial.evidence.codec import from_document
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm, Digest
from seatrial.store.artifacts import ArtifactStore

ARMS: Final[tuple[Arm, ...]] = (CHAMPION, CANARY, SHADOW)


@dataclass(frozen=True, slots=True)
class ArmRow:
    """What one arm had. None is a number that nobody counted."""

    arm: Arm
    units: int
    exposures: int
    logged: int
    counted: int | None


def evidence_of(artifacts: ArtifactStore, digest: Digest) -> tuple[Evidence | None, str]:
    """The evidence under a digest, and how it is named to people; evidence that was cleaned away is said to be gone."""
    try:
        artifacts.verify(digest)
        document = json.loads(zlib.decompress(artifacts.path(digest).read_bytes()))
    except NotFound:
        return None, f"{digest} (not in the artifact store any more)"
    except zlib.error as error:
        raise IntegrityError("ST0860", f"artifact {digest} is not evidence: {error}.") from None
    return from_document(document), digest


def arms_of(evidence: Evidence) -> tuple[ArmRow, ...]:
    """One row an arm that had anything."""
    rows = []
    for arm in ARMS:
        captured = [c for (_, name), c in evidence.capture.items() if name == arm]
        counted = [c.counted for c in captured if c.counted is not None]
        rows.append(
            ArmRow(
                arm=arm,
                units=evidence.units.arms.get(arm, 0),
                exposures=sum(n for (_, name), n in evidence.exposures.items() if name == arm),
                logged=sum(c.logged for c in captured),
                counted=sum(counted) if captured and len(counted) == len(captured) else None,
            )
        )
    return tuple(row for row in rows if row.units or row.exposures or row.logged)
