"""``audit anchor``, ``export`` and ``retention``, cards, records and the inventory, as people type them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from aftermath import MODEL
from auditparts import act, rewrite_log
from devicefile import DECLARED, DeviceFile
from seatrial.cli import main
from seatrial.store.db import Store


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> DeviceFile:
    return DeviceFile(tmp_path_factory.mktemp("clinic") / "here")


class Said:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def say(clinic: DeviceFile, capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    with pytest.raises(SystemExit) as left:
        main(["--project", str(clinic.root), *words])
    told = capsys.readouterr()
    return Said(int(left.value.code or 0), told.out, told.err)


def test_verify_says_what_is_anchored_and_finds_what_was_rewritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clinic = DeviceFile(tmp_path / "here")
    assert "no entry is anchored" in say(clinic, capsys, "audit", "verify").out
    anchored = say(clinic, capsys, "audit", "anchor", "--json").json
    seq = anchored["anchor"]["seq"]
    assert (anchored["kept"], anchored["failed"]) == (["vault"], {})
    assert "every entry is anchored" in say(clinic, capsys, "audit", "verify").out
    with Store.open(clinic.project.store_url) as store:
        act(store, 3)
    told = say(clinic, capsys, "audit", "verify", "--json")
    assert (told.code, told.json["anchored"], told.json["unanchored"]) == (0, seq, 3)
    assert f"3 entries after entry {seq}, since 2026-03-01T12:00:00.000000Z, are not" in (
        say(clinic, capsys, "audit", "verify").out
    )
    with Store.open(clinic.project.store_url) as store:
        rewrite_log(store, 4)
    broken = say(clinic, capsys, "audit", "verify")
    assert (broken.code, f"ST0620 audit log: entry {seq}: is not the entry that was anchored" in broken.err) == (
        6,
        True,
    )
    assert say(clinic, capsys, "audit", "anchor").code == 6


def test_anchors_of_another_file_are_held_against_the_key_that_is_given(
    clinic: DeviceFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(clinic, capsys, "audit", "anchor")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((clinic.root.parent / "worm" / "anchors.jsonl").read_bytes())
    key = say(clinic, capsys, "audit", "public-key").out.strip()
    (tmp_path / "keys.txt").write_text(f"# of the control plane\n{key}\n")
    for given in (key, str(tmp_path / "keys.txt")):
        words = ("audit", "verify", "--anchors", str(copy), "--public-key", given, "--json")
        assert say(clinic, capsys, *words).json["anchored"] > 0
    other = "ed25519:" + "A" * 43 + "="
    refused = say(clinic, capsys, "audit", "verify", "--anchors", str(copy), "--public-key", other)
    assert (refused.code, "ST1490" in refused.err) == (6, True)


def test_a_bundle_is_exported_and_checked(
    clinic: DeviceFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shop.zip"
    told = say(clinic, capsys, "audit", "export", "--model", MODEL, "-o", str(out), "--json").json
    report = say(clinic, capsys, "audit", "verify-bundle", str(out), "--public-key", told["key"], "--json")
    assert (report.code, report.json["ok"], report.json["records"]) == (0, True, told["records"])
    assert report.json["anchor"] == told["anchor"]


def test_a_card_is_made_from_what_is_on_record(
    clinic: DeviceFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = say(clinic, capsys, "model", "card", MODEL, "2").out
    for text in ("model_name: shop v2", "second reading of mammograms", "| site=A | 300 | 0.91 (0.9) |", "| carl |"):
        assert text in card
    assert "Not declared" not in card
    page = tmp_path / "card.html"
    assert say(clinic, capsys, "model", "card", MODEL, "1", "--html", "--out", str(page)).code == 0
    assert "Nobody has signed for it." in page.read_text()
    document = say(clinic, capsys, "model", "card", MODEL, "2", "--json").json
    assert (document["schema"], document["missing"]) == ("seatrial.model-card.v1", [])
    assert [one["slice"] for one in document["slices"]] == ["overall", "site=A"]


def test_a_change_record_has_what_sr_26_2_asks_for(clinic: DeviceFile, capsys: pytest.CaptureFixture[str]) -> None:
    record = say(clinic, capsys, "change", "record", MODEL, "2", "--json").json
    assert (record["against"], record["author"], record["why"]) == (1, "ann", "better on dense tissue")
    assert [one["run"] for one in record["tests"]] == ["ci-0001"]
    assert [one["by"] for one in record["signatures"]] == ["carl"]
    assert record["triage"]["material"] is True
    assert record["releases"][0]["status"] == "promoted"
    assert any(act["action"] == "promote" for act in record["overrides"]), "a full promotion by hand is an override"
    assert record["limits"] == list(DECLARED.limits)
    text = say(clinic, capsys, "change", "record", MODEL, "2").out
    assert "# Change record: shop v2 (against v1)" in text
    first = say(clinic, capsys, "change", "record", MODEL, "1", "--json").json
    assert first["tests"] == first["signatures"] == []


def test_the_inventory_says_what_is_due(clinic: DeviceFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = say(clinic, capsys, "model", "inventory", "--json").json["models"]
    assert (line["status"], line["champion"], line["tier"], line["due"]) == ("in production", 2, 2, [])
    assert line["lastValidation"]["run"] == "ci-0001"
    said = tmp_path / "shop.yaml"
    said.write_text(json.dumps({**DECLARED.document(), "validateEvery": "365d", "vendor": "=cmd()"}))
    assert say(clinic, capsys, "model", "declare", MODEL, str(said)).code == 0
    (due,) = say(clinic, capsys, "model", "inventory", "--json").json["models"][0]["due"]
    assert (due["at"][:10], due["what"]) == ("2027-03-02", "validation")
    (row,) = csv.DictReader(io.StringIO(say(clinic, capsys, "model", "inventory", "--csv").out))
    assert (row["model"], row["regulated"], row["nextDue"]) == ("shop", "MDR", "2027-03-02")
    assert row["vendor"] == "'=cmd()", "no spreadsheet takes it for a formula"
    assert "<h2>shop</h2>" in say(clinic, capsys, "model", "inventory", "--html").out
    assert say(clinic, capsys, "model", "inventory").code == 0


def test_a_declaration_is_audited_and_its_template_is_one(
    clinic: DeviceFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(say(clinic, capsys, "model", "declare", "--template").out)
    before = say(clinic, capsys, "model", "declare", MODEL, "--json").json
    assert say(clinic, capsys, "model", "declare", MODEL, str(template)).code == 0
    emptied = say(clinic, capsys, "model", "declare", MODEL, "--json").json
    assert emptied.keys() == before.keys()
    assert not any(value for name, value in emptied.items() if name not in ("schema", "model"))
    last = clinic.audit("model.declare")[-1]
    assert last["before"]["intendedUse"] == before["intendedUse"] != last["after"]["intendedUse"]
    template.write_text("intendedUze: x\n")
    assert "ST1505" in say(clinic, capsys, "model", "declare", MODEL, str(template)).err


def test_retention_says_what_is_kept_and_refuses_too_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clinic = DeviceFile(tmp_path / "here")
    (line,) = say(clinic, capsys, "audit", "retention", "--json").json["models"]
    assert (line["keeps"]["audit"], line["keeps"]["events"], line["why"]) == ("forever", "184d", "MDR")
    assert len(line["holds"]) == 3
    with (clinic.root / "seatrial.yaml").open("a") as file:
        file.write("retention: {evidence: 30d}\n")
    refused = say(clinic, capsys, "audit", "retention")
    assert (refused.code, "ST1512" in refused.err) == (2, True)
