"""Signed versions: registered by who has the key, loaded by no host without the proof."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import pytest
import yaml
from sqlalchemy import create_engine, text

from commandline import run_command
from seatrial.cli import main
from seatrial.control.hosts import Hosts
from seatrial.control.project import Project
from seatrial.control.signatures import check_signature
from seatrial.errors import IntegrityError
from seatrial.processes import free_port
from seatrial.registry.version import ModelVersion
from seatrial.serving.spec import Reading
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store

FLAGS = ("--format", "joblib", "--features", "a", "--trust-pickle", "--code-commit", "1f0c2aa", "--data-digest",
         "sha256:" + "d" * 64, "--data-rows", "9", "--model-framework", "x")  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project whose models of tier 1 must be signed, with a key outside of it; and two artifacts."""
    monkeypatch.setenv("NO_COLOR", "1")
    root = tmp_path / "shop"
    run_command(capsys, "init", root, "--name", "shop", "--api-port", free_port(), "--gateway-port", free_port())
    made = run_command(capsys, "model", "keygen", tmp_path / "key.pem", "--json")
    configure(root, key=str(tmp_path / "key.pem"), trusted=[made["public"]], required=[1])
    monkeypatch.setenv("SEATRIAL_PROJECT", str(root))
    monkeypatch.chdir(tmp_path)
    for name in ("good", "bad"):
        joblib.dump(name, tmp_path / f"{name}.joblib")
    return root


def configure(root: Path, **signing: Any) -> None:
    config = yaml.safe_load((root / "seatrial.yaml").read_text())
    (root / "seatrial.yaml").write_text(yaml.safe_dump({**config, "signing": signing}))


def stored(root: Path, number: int) -> ModelVersion:
    with Store.open(Project.open(root).store_url) as store, store.read() as tx:
        return tx.models.get_version("fraud", number)


def bring_up(root: Path, number: int, tier: int) -> None:
    """Up to the point where the artifact is verified, or further, which it must not come to here."""
    project = Project.open(root)
    hosts = Hosts(project, ArtifactStore(project.artifacts), lambda _: tier)
    hosts.bring_up(stored(root, number), Reading())


def test_what_is_registered_is_signed_and_another_artifact_in_its_place_is_found(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run_command(capsys, "model", "register", "fraud", "--artifact", "good.joblib", *FLAGS, "--json")
    policy, version = Project.open(shop).config.signing, stored(shop, 1)
    assert made["signature"] == version.signature
    check_signature(policy, version, 1)

    swapped = run_command(capsys, "model", "register", "other", "--artifact", "bad.joblib", *FLAGS, "--json")
    digest = swapped["serving"]["artifact"]
    engine = create_engine(f"sqlite:///{shop}/.seatrial/store.db")
    with engine.begin() as db:  # who can write to the store and the artifacts, and does not have the key
        row = db.execute(text("select serving, lineage from versions where model = 'fraud'")).one()
        forged = {name: value.replace(made["serving"]["artifact"], digest) for name, value in row._mapping.items()}
        db.execute(text("update versions set serving = :serving, lineage = :lineage where model = 'fraud'"), forged)
    engine.dispose()
    assert json.loads(forged["serving"])["artifact"] == digest
    with pytest.raises(IntegrityError, match=r"ST1575 fraud v1 is not what the key"):
        bring_up(shop, 1, 3)


def test_what_is_not_signed_is_refused_where_the_tier_says_so(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trusted = list(Project.open(shop).config.signing.trusted)
    configure(shop, trusted=trusted, required=[1])  # somebody without the key
    run_command(capsys, "model", "register", "fraud", "--artifact", "good.joblib", *FLAGS)
    assert stored(shop, 1).signature == ""
    check_signature(Project.open(shop).config.signing, stored(shop, 1), 2)
    with pytest.raises(IntegrityError, match=r"ST1576 fraud v1 is not signed, and artifacts of tier 1"):
        bring_up(shop, 1, 1)
    run_command(capsys, "model", "safety", "fraud", "--tier", "1")
    with pytest.raises(SystemExit) as ended:
        main(["model", "register", "fraud", "--artifact", "bad.joblib", *FLAGS])
    assert ended.value.code == 6
    assert "ST1576" in capsys.readouterr().err
    with Store.open(Project.open(shop).store_url) as store, store.read() as tx:
        assert len(tx.models.list_versions("fraud")) == 1, "it is not there"


def test_a_signature_of_another_model_or_of_other_data_proves_nothing(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(capsys, "model", "register", "fraud", "--artifact", "good.joblib", *FLAGS)
    policy, version = Project.open(shop).config.signing, stored(shop, 1)
    assert version.lineage is not None
    assert version.lineage.data is not None
    other_data = replace(version.lineage, data=replace(version.lineage.data, digest="sha256:" + "e" * 64))
    for forged in (
        replace(version, model="other"),
        replace(version, lineage=other_data),
        replace(version, serving=replace(version.serving, trusted_types=("os.system",))),
        replace(version, signature="nonsense"),
    ):
        with pytest.raises(IntegrityError, match="ST1575"):
            check_signature(policy, forged, 3)
    check_signature(policy, version, 1)
