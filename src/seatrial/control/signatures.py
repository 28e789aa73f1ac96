"""Signed versions: who registered an artifact says so with a key, and no host loads it without the proof.

A digest shows that an artifact is what the store says. The signature shows that the store says what a person said: who
can write to the store and to the artifacts, but does not have the key, cannot put another model into service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from seatrial.errors import IntegrityError
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.safety import TIERS
from seatrial.registry.version import ModelVersion, Serving
from seatrial.signing import PublicKey, Signature, SigningKey, check
from seatrial.store.canonical import canonical
from seatrial.values import to_camel

if TYPE_CHECKING:
    from seatrial.control.project import Project

CONTEXT: Final = "artifact"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningPolicy:
    """``signing`` in seatrial.yaml. ``key``: the file of the private key that signs what is registered from here.

    ``trusted``: public keys whose signatures count. ``required``: tiers of which no unsigned artifact is loaded.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "alias_generator": to_camel,
        "populate_by_name": True,
    }

    key: str = ""
    trusted: tuple[str, ...] = ()
    required: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for text in self.trusted:
            PublicKey.of(text)
        for tier in self.required:
            if tier not in TIERS:
                raise ValueError(f"required: {tier} is no tier; there are {', '.join(map(str, TIERS))}")
        if self.required and not self.trusted:
            raise ValueError("required: name the public keys that count (trusted)")


def signed(project: Project, model: str, serving: Serving, lineage: ArtifactLineage | None) -> str:
    """The signature of an artifact, ``KEY:VALUE``; empty where no key is configured or a URL serves the version."""
    key = project.config.signing.key
    if not key or serving.artifact is None:
        return ""
    made = SigningKey.load(project.at(key)).sign(_statement(model, serving, lineage), context=CONTEXT)
    return f"{made.key}:{made.value}"


def check_signature(policy: SigningPolicy, version: ModelVersion, tier: int) -> None:
    """Raises IntegrityError: ``ST1576`` for an artifact that must be signed and is not, ``ST1575`` for a signature that
    is another's. What a URL serves is not signed: nothing here could be held against it.
    """
    if version.serving.artifact is None:
        return
    if not version.signature:
        if tier in policy.required:
            raise IntegrityError(
                "ST1576", f"{version.name} is not signed, and artifacts of tier {tier} must be.",
                remedy="Register it where a trusted key signs: signing: {key: FILE} in seatrial.yaml.",
            )  # fmt: skip
        return
    if policy.trusted:
        key, _, value = version.signature.partition(":")
        payload = _statement(version.model, version.serving, version.lineage)
        trusted = tuple(PublicKey.of(text) for text in policy.trusted)
        check(payload, Signature(key, value), trusted, context=CONTEXT, what=version.name)


def _statement(model: str, serving: Serving, lineage: ArtifactLineage | None) -> bytes:
    """What is signed: which artifact this is, of which model, how it is loaded, and what it was made of."""
    parts = lineage or ArtifactLineage()
    return canonical(
        {
            "model": model,
            "serving": serving,
            "code": parts.code and parts.code.commit,
            "data": parts.data and parts.data.digest,
        }
    ).encode()
