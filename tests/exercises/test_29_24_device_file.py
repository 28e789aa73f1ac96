"""Exercise 29.24 (a): the device history of a clinical model as one bundle, checked without the store."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from aftermath import MODEL
from auditparts import rewrite_log
from devicefile import NOW, DeviceFile
from seatrial.control.bundle.parts import PARTS
from seatrial.control.bundle.verify import verify_bundle
from seatrial.control.bundle.write import export_bundle
from seatrial.errors import IntegrityError, NotFound, UsageError
from seatrial.signing import SigningKey
from seatrial.store.db import Store


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> DeviceFile:
    return DeviceFile(tmp_path_factory.mktemp("clinic") / "here")


@pytest.fixture(scope="module")
def exported(clinic: DeviceFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "whole"
    with Store.open(clinic.project.store_url) as store:
        export_bundle(clinic.project, store, MODEL, None, out, actor="ann", now=NOW)
    return out


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def manifest(bundle: Path) -> Any:
    return json.loads((bundle / "manifest.json").read_text())


def test_the_bundle_has_every_part_of_the_history_and_verifies(clinic: DeviceFile, exported: Path) -> None:
    report = verify_bundle(exported, (clinic.key.public,))
    assert (report.ok, report.model, report.versions) == (True, MODEL, (1, 2))
    counts = {part["name"]: part["records"] for part in manifest(exported)["parts"]}
    assert [name for name, count in counts.items() if not count] == ["governance"], "stated as empty"
    assert list(counts) == [part.name for part in PARTS]
    model = json.loads((exported / "model.json").read_text())
    assert model["intendedUse"] == "second reading of mammograms"
    version = json.loads((exported / "versions/2/version.json").read_text())
    assert version["lineage"]["data"]["digest"] == "sha256:" + "b" * 64
    (approval,) = (json.loads(path.read_text()) for path in (exported / "approvals").iterdir())
    assert [(act["by"], act["meaning"]) for act in approval["acts"]] == [("carl", "approval")]
    card = (exported / "versions/2/card.md").read_text()
    assert "site=A" in card
    assert "not validated on tomosynthesis" in card


def test_every_digest_is_that_of_sha256sum(exported: Path) -> None:
    for record in manifest(exported)["records"]:
        assert hashlib.sha256((exported / record["path"]).read_bytes()).hexdigest() == record["sha256"]


def test_evidence_lies_under_the_digest_that_its_decision_names(exported: Path) -> None:
    paths = sorted(exported.glob("rollouts/*/decisions/*.json"))
    named = {json.loads(path.read_text())["evidence"] for path in paths} - {None}
    found = {f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in (exported / "evidence").iterdir()}
    assert named == found != set()


def test_editing_any_record_makes_verification_fail_and_names_it(clinic: DeviceFile, bundle: Path) -> None:
    records = manifest(bundle)["records"]
    assert len(records) > 15
    for record in records:
        place = bundle / record["path"]
        good = place.read_bytes()
        place.write_bytes(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:])
        report = verify_bundle(bundle, (clinic.key.public,))
        assert [one.path for one in report.bad] == [record["path"]]
        with pytest.raises(IntegrityError, match="ST1508") as raised:
            report.require_ok()
        assert record["path"] in raised.value.message
        place.unlink()
        assert [(one.path, one.what) for one in verify_bundle(bundle, (clinic.key.public,)).bad] == [
            (record["path"], "is missing")
        ]
        place.write_bytes(good)
    assert verify_bundle(bundle, (clinic.key.public,)).ok, "as it was, it verifies again"


def test_what_was_put_in_is_named(clinic: DeviceFile, bundle: Path) -> None:
    (bundle / "approvals" / "a-0099.json").write_text("{}")
    (bad,) = verify_bundle(bundle, (clinic.key.public,)).bad
    assert (bad.path, bad.what) == ("approvals/a-0099.json", "was not exported with it")


def test_a_manifest_that_was_made_to_fit_is_not_what_was_signed(clinic: DeviceFile, bundle: Path) -> None:
    text = (bundle / "model.json").read_text().replace("radiologists", "anybody")
    digest = hashlib.sha256((bundle / "model.json").read_bytes()).hexdigest()
    (bundle / "model.json").write_text(text)
    forged = (bundle / "manifest.json").read_text().replace(digest, hashlib.sha256(text.encode()).hexdigest())
    (bundle / "manifest.json").write_text(forged)
    with pytest.raises(IntegrityError, match=r"manifest.json is not what the key"):
        verify_bundle(bundle, (clinic.key.public,))


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig.json"])
def test_a_bundle_without_its_seal_is_none(clinic: DeviceFile, bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(IntegrityError, match=f"'{name}' is missing"):
        verify_bundle(bundle, (clinic.key.public,))


def test_somebody_elses_key_does_not_vouch(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="is not trusted here"):
        verify_bundle(bundle, (SigningKey.create(tmp_path / "k.pem").public,))


def test_the_audit_entries_are_those_of_the_model_and_proven(clinic: DeviceFile, exported: Path) -> None:
    entries = json.loads((exported / "audit/entries.json").read_text())["entries"]
    actions = {entry["action"] for entry in entries}
    assert {"version.register", "rollout.promote", "approval.sign", "incident.open", "recall.open", "ci.run"} <= actions
    assert {"stage.transition", "pointer.move"} & actions
    assert verify_bundle(exported, (clinic.key.public,)).entries == len(entries)


def test_an_entry_that_is_not_in_the_log_is_named(clinic: DeviceFile, bundle: Path) -> None:
    """Somebody with the key forges an entry, hash and all; the anchor still knows the log."""
    from dataclasses import asdict

    from seatrial.control.bundle.records import json_bytes
    from seatrial.store.audit import AuditEntry

    log = json.loads((bundle / "audit/entries.json").read_text())
    forged = {**log["entries"][2], "actor": "mallory"}
    path = forged.pop("path")
    forged["hash"] = AuditEntry(**forged).expected_hash()
    log["entries"][2] = {**forged, "path": path}
    (bundle / "audit/entries.json").write_bytes(json_bytes(log))
    made = manifest(bundle)
    for record in made["records"]:
        data = (bundle / record["path"]).read_bytes()
        record |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    data = json_bytes(made)
    (bundle / "manifest.json").write_bytes(data)
    (bundle / "manifest.sig.json").write_bytes(json_bytes(asdict(clinic.key.sign(data, context="bundle"))))
    (bad,) = verify_bundle(bundle, (clinic.key.public,)).bad
    assert (bad.path, bad.what) == (
        "audit/entries.json", f"entry {forged['seq']} is not in the log that was anchored",
    )  # fmt: skip


def test_one_version_as_a_zip_verifies_in_a_process_without_project_or_store(
    clinic: DeviceFile, tmp_path: Path
) -> None:
    out = tmp_path / "v2.zip"
    with Store.open(clinic.project.store_url) as store:
        told = export_bundle(clinic.project, store, MODEL, 2, out, actor="ann", now=NOW)
    assert told["versions"] == [2]
    alone = tmp_path / "elsewhere"
    alone.mkdir()

    def verify(bundle: Path) -> subprocess.CompletedProcess[str]:
        words = ["audit", "verify-bundle", str(bundle), "--public-key", clinic.key.public.text]
        return subprocess.run(
            [sys.executable, "-m", "seatrial.cli", *words], cwd=alone, capture_output=True, text=True, check=False
        )

    whole = verify(out)
    assert whole.returncode == 0, whole.stderr
    assert "are as" in whole.stdout
    spoilt = tmp_path / "spoilt.zip"
    with zipfile.ZipFile(out) as source, zipfile.ZipFile(spoilt, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"carl", b"ann2") if name.startswith("approvals/") else data)
    broken = verify(spoilt)
    assert broken.returncode == 6
    assert "ST1508 bundle: record 'approvals/a-0001.json' is not what was exported." in broken.stderr


def test_the_export_is_audited_and_not_made_over_something(clinic: DeviceFile, exported: Path, tmp_path: Path) -> None:
    with Store.open(clinic.project.store_url) as store:
        with pytest.raises(UsageError, match="ST1506"):
            export_bundle(clinic.project, store, MODEL, None, exported, actor="ann", now=NOW)
        with pytest.raises(NotFound):
            export_bundle(clinic.project, store, "frod", None, tmp_path / "x", actor="ann", now=NOW)
        with store.read() as tx:
            (entry, *_) = [one for one in tx.audit.entries() if one.action == "audit.export"]
    assert (entry.actor, entry.object) == ("ann", MODEL)


@pytest.mark.parametrize("made", ["file", "nothing", "empty"])
def test_what_is_no_bundle_is_refused(clinic: DeviceFile, tmp_path: Path, made: str) -> None:
    place = tmp_path / "it"
    if made == "file":
        place.write_text("PK")
    if made == "empty":
        place.mkdir()
    with pytest.raises((UsageError, IntegrityError), match=r"ST150[78]"):
        verify_bundle(place, (clinic.key.public,))


def test_a_log_that_was_rewritten_is_not_exported(tmp_path: Path) -> None:
    from seatrial.control.anchoring.anchoring import take_anchor

    clinic = DeviceFile(tmp_path / "here")
    with Store.open(clinic.project.store_url) as store:
        take_anchor(clinic.project, store, NOW)
        rewrite_log(store, 3)
        with pytest.raises(IntegrityError, match="ST0620"):
            export_bundle(clinic.project, store, MODEL, None, tmp_path / "out", actor="ann", now=NOW)
    assert not (tmp_path / "out").exists()
