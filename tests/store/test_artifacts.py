"""Artifacts by content: whole or not at all, and every change is found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from seatrial.errors import Conflict, Exit, IntegrityError, NotFound, UsageError
from seatrial.store.artifacts import ArtifactStore

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DISTANT = datetime(2200, 1, 1, tzinfo=UTC)


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "data" / "empty").mkdir(parents=True)
    (root / "data" / "weights.bin").write_bytes(bytes(range(256)) * 5000)
    (root / "data.txt").write_text("before data/ in byte order")
    (root / "MLmodel").write_text("flavors: {}\n")
    return root


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_file_and_its_bytes_have_one_digest(artifacts: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"weights")
    digest = artifacts.put_file(tmp_path / "model.onnx")
    assert digest == artifacts.put_bytes(b"weights") == f"sha256:{sha256(b'weights')}"
    assert artifacts.path(digest).read_bytes() == b"weights"
    assert artifacts.path(digest).stat().st_mode & 0o222 == 0
    artifacts.verify(digest)
    assert names(artifacts.root) == [".partial", sha256(b"weights")]


def test_the_digest_of_a_tree_is_that_of_what_sha256sum_prints(artifacts: ArtifactStore, tree: Path) -> None:
    listing = "".join(
        f"{sha256((tree / name).read_bytes())}  {name}\n" for name in ("MLmodel", "data.txt", "data/weights.bin")
    )
    digest = artifacts.put_tree(tree)
    assert digest == f"sha256:{sha256(listing.encode())}"
    stored = artifacts.path(digest)
    assert (stored / "data" / "weights.bin").read_bytes() == (tree / "data" / "weights.bin").read_bytes()
    assert (stored / "MLmodel").stat().st_mode & 0o222 == 0
    artifacts.verify(digest)
    assert artifacts.put_tree(tree) == digest


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: overwrite(tree / "MLmodel", b"flavors: []\n"),
        lambda tree: (tree / "MLmodel").rename(tree / "MLmodel2"),
        lambda tree: (tree / "data.txt").unlink(),
        lambda tree: (tree / "new").write_text(""),
    ],
    ids=["content", "name", "removed", "added"],
)
def test_another_tree_has_another_digest(artifacts: ArtifactStore, tree: Path, change: Callable[[Path], None]) -> None:
    before = artifacts.put_tree(tree)
    change(tree)
    assert artifacts.put_tree(tree) != before
    artifacts.verify(before)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda tree: overwrite(tree / "data" / "weights.bin", b"other"), "data/weights.bin is not what was stored"),
        (lambda tree: (tree / "MLmodel").unlink(), "MLmodel is missing"),
        (lambda tree: (tree / "data" / "new").write_text(""), "data/new was not stored"),
        (lambda tree: (tree / "link").symlink_to("/etc/passwd"), "link is not a regular file"),
        (lambda tree: overwrite(tree.with_suffix(".files"), b""), r"\.files is not what was stored"),
        (lambda tree: tree.with_suffix(".files").unlink(), r"\.files is not what was stored"),
    ],
    ids=["changed", "missing", "added", "link", "listing", "no listing"],
)
def test_a_change_in_a_stored_tree_is_found_and_the_file_named(
    artifacts: ArtifactStore, tree: Path, change: Callable[[Path], None], named: str
) -> None:
    digest = artifacts.put_tree(tree)
    change(artifacts.path(digest))
    with pytest.raises(IntegrityError, match=named) as raised:
        artifacts.verify(digest)
    assert raised.value.exit_code is Exit.INTEGRITY


def test_a_broken_file_is_found_and_healed_by_putting_it_again(artifacts: ArtifactStore) -> None:
    digest = artifacts.put_bytes(b"weights")
    overwrite(artifacts.path(digest), b"weightS")
    with pytest.raises(IntegrityError, match=sha256(b"weights")):
        artifacts.verify(digest)
    artifacts.put_bytes(b"weights")
    artifacts.verify(digest)


def test_a_broken_tree_is_not_taken_for_the_one_that_is_put(artifacts: ArtifactStore, tree: Path) -> None:
    digest = artifacts.put_tree(tree)
    (artifacts.path(digest) / "MLmodel").unlink()
    with pytest.raises(IntegrityError, match="MLmodel is missing"):
        artifacts.put_tree(tree)


class _PowerCut(BaseException):
    """No code catches this."""


@pytest.mark.parametrize("kind", ["bytes", "file", "tree"])
def test_a_put_that_is_cut_off_before_its_rename_leaves_no_artifact(
    artifacts: ArtifactStore, tree: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    put = {
        "bytes": lambda: artifacts.put_bytes(b"weights"),
        "file": lambda: artifacts.put_file(tree / "MLmodel"),
        "tree": lambda: artifacts.put_tree(tree),
    }[kind]

    def cut(*args: object, **kwargs: object) -> None:
        raise _PowerCut

    with monkeypatch.context() as patched:
        patched.setattr("os.rename" if kind == "tree" else "os.replace", cut)
        patched.setattr("shutil.rmtree", lambda *args, **kwargs: None)  # nothing cleans up after a power cut
        with pytest.raises(_PowerCut):
            put()
    assert [name for name in names(artifacts.root) if not name.endswith(".files")] == [".partial"]
    assert artifacts.sweep(EPOCH) == 0
    assert artifacts.sweep(DISTANT) > 0
    assert names(artifacts.root / ".partial") == []
    artifacts.verify(put())


def test_what_is_put_is_on_disk_before_it_has_its_name(
    artifacts: ArtifactStore, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_sync, real_rename = os.fsync, os.rename

    def fsync(handle: int) -> None:
        steps.append("fsync")
        real_sync(handle)

    def rename(source: Path, target: Path) -> None:
        steps.append("rename")
        real_rename(source, target)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr("os.rename", rename)
    artifacts.put_tree(tree)
    files, folders, listing = 3, 2, 2
    assert steps == ["fsync"] * (files + folders + listing) + ["rename", "fsync"]


def test_a_link_in_a_tree_is_refused(artifacts: ArtifactStore, tree: Path) -> None:
    (tree / "secrets").symlink_to("/etc")
    with pytest.raises(UsageError, match="secrets is not a regular file"):
        artifacts.put_tree(tree)


@pytest.mark.parametrize("name", ["two\nlines", "back\\slash"])
def test_a_name_that_a_listing_cannot_hold_is_refused(artifacts: ArtifactStore, tree: Path, name: str) -> None:
    (tree / name).write_text("")
    with pytest.raises(UsageError, match="listing cannot hold"):
        artifacts.put_tree(tree)


def test_what_is_not_there_is_named(artifacts: ArtifactStore, tmp_path: Path) -> None:
    absent = "sha256:" + "0" * 64
    with pytest.raises(NotFound, match=absent):
        artifacts.path(absent)
    for digest in ("sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "A" * 64):
        with pytest.raises(UsageError, match="is not a digest"):
            artifacts.path(digest)
    with pytest.raises(UsageError, match="is not a file"):
        artifacts.put_file(tmp_path / "nothing")
    with pytest.raises(UsageError, match="is not a directory"):
        artifacts.put_tree(tmp_path / "nothing")


def test_the_listing_of_a_tree_cannot_take_its_place(artifacts: ArtifactStore, tree: Path) -> None:
    digest = artifacts.put_tree(tree)
    listing = artifacts.path(digest).with_suffix(".files").read_bytes()
    with pytest.raises(Conflict, match="is the listing of"):
        artifacts.put_bytes(listing)
    artifacts.verify(digest)
