"""Ed25519 signatures (RFC 8032): who wrote something down, proven by a key that lies elsewhere than what was written.

A signature is made in a *context* ("artifact", "anchor", ...), which is signed with the payload: a signature from one
context proves nothing in another. Needs the extra ``signing`` (cryptography); nothing else here imports it.

Errors: ``ST1570`` the extra is missing, ``ST1571`` there is no key file or it cannot be read, ``ST1572`` it is not an
Ed25519 key, ``ST1573`` a key would be overwritten, ``ST1574`` a private key that others can read, ``ST1575`` what was
signed, or by whom, is something else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seatrial.errors import IntegrityError, NotFound, Unavailable, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM: Final = "ed25519"
INSTALL: Final = "pip install 'seatrial[signing]'"
_PREFIX: Final = f"{ALGORITHM}:"
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Signature:
    """``key``: the id of the key it was made with. ``value``: the 64 bytes of the signature in base64."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a signature is held against. ``text`` is its one-line form, ``ed25519:<base64 of 32 bytes>``.

    >>> key = PublicKey.of("ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    >>> key.id
    '21fe31dfa154a261'
    """

    raw: bytes

    @classmethod
    def of(cls, text: str) -> PublicKey:
        """From the one-line form. Raises UsageError (``ST1572``)."""
        try:
            raw = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not text.strip().startswith(_PREFIX) or len(raw) != _KEY_BYTES:
            raise UsageError(
                "ST1572", f"{text.strip()[:80]!r} is not a public key.", remedy="It looks like ed25519:<44 characters>."
            )
        return cls(raw)

    @property
    def text(self) -> str:
        return _PREFIX + base64.b64encode(self.raw).decode()

    @property
    def id(self) -> str:
        """The first 16 hex digits of the key's SHA-256."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def verifies(self, payload: bytes, signature: Signature, *, context: str) -> bool:
        """Whether the holder of this key signed just this payload in this context."""
        from_library = _library()
        try:
            value = base64.b64decode(signature.value, validate=True)
            _public(self.raw).verify(value, _message(context, payload))
        except (from_library, binascii.Error, ValueError):
            return False
        return True


class SigningKey:
    """A private key. It signs, and is written nowhere but into its file, which only its owner can read."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final = PublicKey(key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.id})"

    @classmethod
    def create(cls, path: Path) -> SigningKey:
        """A new key in a new file (PKCS #8, PEM, mode 0600). Raises UsageError (``ST1573``) if there is one."""
        _library()
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UsageError(
                "ST1573", f"there is a key at '{path}': what it signed would lose its proof.",
                remedy="Use it, or name another file.",
            ) from None  # fmt: skip
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """The key in a file. Raises NotFound (``ST1571``) or UsageError (``ST1572``, ``ST1574``)."""
        _library()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            pem, mode = path.read_bytes(), path.stat().st_mode
        except OSError as error:
            raise NotFound(
                "ST1571", f"the signing key '{path}' cannot be read: {error.strerror}.",
                remedy="`seatrial model keygen` makes one; or correct the path.",
            ) from None  # fmt: skip
        if mode & 0o077:
            raise UsageError("ST1574", f"others can read the signing key '{path}'.", remedy=f"chmod 600 '{path}'")
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise _not_a_key(path) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _not_a_key(path)
        return cls(key)

    def sign(self, payload: bytes, *, context: str) -> Signature:
        value = self._key.sign(_message(context, payload))
        return Signature(self.public.id, base64.b64encode(value).decode())


def check(
    payload: bytes, signature: Signature, trusted: tuple[PublicKey, ...], *, context: str, what: str
) -> PublicKey:
    """The trusted key that made a signature. Raises IntegrityError (``ST1575``) that names what was signed."""
    key = next((key for key in trusted if key.id == signature.key), None)
    if key is None:
        raise IntegrityError(
            "ST1575", f"{what} is signed with the key {signature.key}, which is not trusted here.",
            remedy="Have it signed by a trusted key, or add that key to those that are trusted.",
        )  # fmt: skip
    if not key.verifies(payload, signature, context=context):
        raise IntegrityError(
            "ST1575", f"{what} is not what the key {signature.key} signed.",
            remedy="Do not use it; get it anew from where it was made.",
        )  # fmt: skip
    return key


def _message(context: str, payload: bytes) -> bytes:
    """The context's length comes first, so that no other pair of context and payload makes the same bytes."""
    name = context.encode()
    return b"seatrial signature v1\n" + len(name).to_bytes(2, "big") + name + payload


def _library() -> type[Exception]:
    """What the library raises for a signature that is wrong. Raises Unavailable (``ST1570``) where it is missing."""
    try:
        from cryptography.exceptions import InvalidSignature
    except ImportError:
        raise Unavailable("ST1570", "signatures need the package cryptography.", remedy=INSTALL) from None
    return InvalidSignature


def _public(raw: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


def _not_a_key(path: Path) -> UsageError:
    return UsageError(
        "ST1572", f"'{path}' does not hold an Ed25519 private key without password (PKCS #8, PEM).",
        remedy="`seatrial model keygen` makes one.",
    )  # fmt: skip
