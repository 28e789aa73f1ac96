"""Checking a bundle with nothing but the bundle and the public key of whoever made it.

Errors: ``ST1507`` it is no bundle, ``ST1508`` it is not what was signed.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from seatrial.control.bundle.extract import unproven
from seatrial.control.bundle.records import ANCHOR, CONTEXT, ENTRIES, MANIFEST, SIGNATURE
from seatrial.errors import IntegrityError, SeatrialError, UsageError
from seatrial.signing import PublicKey, Signature, check
from seatrial.store.audit_anchors import SignedAnchor

_LARGEST: Final = 1 << 28
"""Bytes of a manifest that are read; records are read up to the size that the manifest says."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that is not what was signed, and what is wrong with it."""

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class BundleReport:
    """``bad``: every record that fails, in the order of the manifest. ``key``: the id of the key that vouches."""

    model: str
    versions: tuple[int, ...]
    made_at: str
    key: str
    records: int
    entries: int
    anchor: str
    bad: tuple[Bad, ...]

    @property
    def ok(self) -> bool:
        return not self.bad

    def require_ok(self) -> None:
        """Raises IntegrityError (``ST1508``) that names the first bad record."""
        if self.bad:
            first, more = self.bad[0], len(self.bad) - 1
            also = f" (and {more} more)" if more else ""
            raise IntegrityError(
                "ST1508", f"bundle: record '{first.path}' {first.what}{also}.",
                remedy="Do not rely on it; have it exported again.",
            )  # fmt: skip


class _Files(Protocol):
    def names(self) -> list[str]: ...

    def read(self, name: str, limit: int) -> bytes | None:
        """At most ``limit`` bytes and one more; None for what is not there."""


def verify_bundle(path: Path, trusted: tuple[PublicKey, ...]) -> BundleReport:
    """Check every record. Raises IntegrityError for a manifest that none of these keys signed; UsageError (``ST1507``)
    for what is no bundle."""
    if path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                return _verified(_Archive(archive), trusted)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # damaged, or of an unknown kind
            raise _no_bundle(path, str(error)) from None
    if not path.is_dir():
        raise _no_bundle(path, "there is no such directory or .zip file")
    return _verified(_Directory(path), trusted)


def _verified(files: _Files, trusted: tuple[PublicKey, ...]) -> BundleReport:
    manifest = _manifest(files, trusted)
    listed = {str(record["path"]): record for record in manifest["records"]}
    bad = [*_changed(files, listed), *_unlisted(files, listed)]
    entries, anchor, key = 0, "", ""
    if not any(one.path in (ENTRIES, ANCHOR) for one in bad):
        log = json.loads(files.read(ENTRIES, listed[ENTRIES]["bytes"]) or b"{}")
        signed = SignedAnchor.of(json.loads(files.read(ANCHOR, listed[ANCHOR]["bytes"]) or b"{}"))
        entries, anchor, key = len(log["entries"]), str(signed.statement.anchor), signed.signature.key
        bad += [Bad(ANCHOR, why) for why in _unvouched(signed, trusted, manifest["project"])]
        bad += [Bad(ENTRIES, why) for why in unproven(log, signed.statement)]
    return BundleReport(
        manifest["model"], tuple(manifest["versions"]), manifest["madeAt"], key, len(listed), entries, anchor,
        tuple(bad),
    )  # fmt: skip


def _manifest(files: _Files, trusted: tuple[PublicKey, ...]) -> Mapping[str, Any]:
    data, seal = files.read(MANIFEST, _LARGEST), files.read(SIGNATURE, _LARGEST)
    for name, found in ((MANIFEST, data), (SIGNATURE, seal)):
        if found is None:
            raise IntegrityError("ST1508", f"bundle: '{name}' is missing.", remedy="Have it exported again.")
    try:
        told = json.loads(seal or b"")
        signature = Signature(str(told["key"]), str(told["value"]))
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(
            "ST1508", f"bundle: '{SIGNATURE}' is no signature.", remedy="Have it exported again."
        ) from None
    check(data or b"", signature, trusted, context=CONTEXT, what=f"the bundle's {MANIFEST}")
    found_manifest: Mapping[str, Any] = json.loads(data or b"")  # what was signed is as it was written
    return found_manifest


def _changed(files: _Files, listed: Mapping[str, Mapping[str, Any]]) -> Iterator[Bad]:
    for path, record in listed.items():
        data = files.read(path, record["bytes"])
        if data is None:
            yield Bad(path, "is missing")
        elif hashlib.sha256(data).hexdigest() != record["sha256"]:
            yield Bad(path, "is not what was exported")


def _unlisted(files: _Files, listed: Mapping[str, Any]) -> Iterator[Bad]:
    names = Counter(files.names())
    for name in sorted(names.keys() - {*listed, MANIFEST, SIGNATURE}):
        yield Bad(name, "was not exported with it")
    for name in sorted(name for name, count in names.items() if count > 1):  # which one is read is the reader's choice
        yield Bad(name, "is there twice")


def _unvouched(signed: SignedAnchor, trusted: tuple[PublicKey, ...], project: str) -> Iterator[str]:
    try:
        signed.require(trusted, "the anchor")
    except SeatrialError as error:
        yield f"does not count: {error.message}"
    if signed.statement.project != project:
        yield f"is of the project '{signed.statement.project}'"


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        return [p.relative_to(self._root).as_posix() for p in self._root.rglob("*") if p.is_symlink() or not p.is_dir()]

    def read(self, name: str, limit: int) -> bytes | None:
        place = self._root / name
        if place.is_symlink() or not place.is_file():
            return None
        with open(place, "rb") as file:
            return file.read(limit + 1)


class _Archive:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def names(self) -> list[str]:
        return [name for name in self._archive.namelist() if not name.endswith("/")]

    def read(self, name: str, limit: int) -> bytes | None:
        if name not in self._archive.namelist():
            return None
        try:
            with self._archive.open(name) as file:
                return file.read(limit + 1)
        except zipfile.BadZipFile:  # the checksum of one member is wrong: the member is to be named
            return b""


def _no_bundle(path: Path, why: str) -> UsageError:
    return UsageError("ST1507", f"'{path}' is no bundle: {why}.", remedy="`seatrial audit export` writes one.")
