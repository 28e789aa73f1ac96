"""Whose signatures count for this project, and the key that makes new ones."""

from __future__ import annotations

from pathlib import Path

from seatrial.control.project import Project
from seatrial.errors import UsageError
from seatrial.signing import PublicKey, SigningKey


def signing_key(project: Project) -> SigningKey:
    """The project's private key. Raises UsageError (``ST1492``) where seatrial.yaml names none."""
    if not project.config.audit.key:
        raise UsageError(
            "ST1492", "there is no key to sign with.",
            remedy="`seatrial model keygen FILE` makes one; name it in seatrial.yaml: audit: {key: FILE}.",
        )  # fmt: skip
    return SigningKey.load(project.at(project.config.audit.key))


def trusted_keys(project: Project) -> tuple[PublicKey, ...]:
    """Those of ``audit.trusted``, and the one of ``audit.key`` where its file is here."""
    known = tuple(PublicKey.of(text) for text in project.config.audit.trusted)
    if project.config.audit.key and project.at(project.config.audit.key).exists():
        known = (signing_key(project).public, *known)
    return known


def public_keys(given: str) -> tuple[PublicKey, ...]:
    """A public key as text (``ed25519:...``), or a file with one a line. Raises UsageError."""
    path = Path(given).expanduser()
    if not given.startswith("ed25519:") and path.is_file():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        texts = [line for line in lines if line.strip() and not line.startswith("#")]
        if not texts:
            raise UsageError("ST1495", f"'{given}' holds no public key.", remedy="One a line: ed25519:...")
        return tuple(PublicKey.of(text) for text in texts)
    return (PublicKey.of(given),)
