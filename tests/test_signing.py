"""Ed25519 signatures: what they prove, what they do not, and that a key is kept as a key is."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import IntegrityError, NotFound, SeatrialError, Unavailable, UsageError
from seatrial.signing import PublicKey, Signature, SigningKey, check


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.create(tmp_path / "key.pem")


def test_a_signature_proves_payload_context_and_signer(key: SigningKey, tmp_path: Path) -> None:
    other = SigningKey.create(tmp_path / "other.pem")
    made = key.sign(b"payload", context="artifact")
    assert check(b"payload", made, (other.public, key.public), context="artifact", what="it") == key.public
    for payload, signature, context in (
        (b"payloae", made, "artifact"),
        (b"payload", made, "anchor"),
        (b"payload", Signature(made.key, made.value[:-4] + "AAA="), "artifact"),
        (b"payload", Signature(made.key, "not base64"), "artifact"),
        (b"tpayload", made, "artifac"),  # the same letters, cut elsewhere
        (b"payload", Signature(made.key, other.sign(b"payload", context="artifact").value), "artifact"),
    ):
        with pytest.raises(IntegrityError, match="ST1575"):
            check(payload, signature, (key.public,), context=context, what="it")
    with pytest.raises(IntegrityError, match=r"ST1575 fraud v3 .* not trusted"):
        check(b"payload", made, (other.public,), context="artifact", what="fraud v3")


def test_a_key_is_read_back_and_its_public_part_is_one_line(key: SigningKey, tmp_path: Path) -> None:
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(tmp_path / "key.pem").public == key.public == PublicKey.of(f"  {key.public.text}\n")
    assert key.public.text not in repr(key)
    assert key.public.id in repr(key)


def test_vector_of_rfc_8032(tmp_path: Path) -> None:
    """Test 1 of section 7.1 as a key of ours: the same public key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    made = SigningKey(Ed25519PrivateKey.from_private_bytes(seed))
    assert made.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def test_keys_that_cannot_be_used_say_why(key: SigningKey, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no key")
    wrong.chmod(0o600)
    cases: list[tuple[type[SeatrialError], str, Any]] = [
        (UsageError, "ST1573", lambda: SigningKey.create(path)),
        (NotFound, "ST1571", lambda: SigningKey.load(tmp_path / "none.pem")),
        (UsageError, "ST1572", lambda: SigningKey.load(wrong)),
        (UsageError, "ST1572", lambda: PublicKey.of("ed25519:AAAA")),
        (UsageError, "ST1572", lambda: PublicKey.of(key.public.text.removeprefix("ed25519:"))),
    ]
    for kind, code, act in cases:
        with pytest.raises(kind, match=code):
            act()
    path.chmod(0o644)
    with pytest.raises(UsageError, match=r"ST1574 .* chmod 600"):
        SigningKey.load(path)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unavailable, match=r"ST1570 .* pip install 'seatrial\[signing\]'"):
        SigningKey.create(tmp_path / "key.pem")
