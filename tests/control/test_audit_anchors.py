"""Anchors are signed, kept elsewhere, held against the log, and taken again whenever it is time."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from auditparts import NOON, act, anchored_project, rewrite_log
from receivers import Receiver
from seatrial.control.anchoring.anchoring import anchor_of, require_kept, take_anchor
from seatrial.control.anchoring.checking import checked
from seatrial.control.anchoring.keys import signing_key, trusted_keys
from seatrial.control.anchoring.sinks import TAG_PREFIX, tag_sink
from seatrial.control.anchoring.watch import AnchorWatch
from seatrial.control.project import Project
from seatrial.errors import IntegrityError, Unavailable, UsageError
from seatrial.signing import SigningKey
from seatrial.store.audit_anchors import SignedAnchor, read_anchors, root_of
from seatrial.store.db import Store


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return anchored_project(tmp_path)


@pytest.fixture
def store(project: Project) -> Iterator[Store]:
    with Store.open(project.store_url) as opened:
        act(opened)
        yield opened


def kept(project: Project) -> Path:
    return project.root.parent / "worm" / "anchors.jsonl"


def test_an_anchor_is_a_signed_line_that_vouches_for_all_before_it(project: Project, store: Store) -> None:
    taken = take_anchor(project, store, NOON)
    assert (taken.kept, dict(taken.failed), taken.anchor.statement.seq) == (("vault",), {}, 5)
    act(store, 2)
    with store.read() as tx:
        report = checked(tx, project)
        assert taken.anchor.statement.root == root_of(islice(tx.audit.hashes(), 5))
    assert (report.ok, report.anchored, report.unanchored) == (True, 5, 2)
    (read,) = read_anchors(kept(project), trusted_keys(project), "shop")
    assert read == taken.anchor
    assert kept(project).stat().st_mode & 0o007 == 0


def test_a_log_that_was_rewritten_is_found_and_not_anchored_again(project: Project, store: Store) -> None:
    take_anchor(project, store, NOON)
    rewrite_log(store, 3)
    with store.read() as tx:
        assert tx.audit.verify().ok, "the chain alone cannot tell"
        report = checked(tx, project)
    assert (report.ok, report.first_bad) == (False, 5)
    with pytest.raises(IntegrityError, match="entry 5"):
        take_anchor(project, store, NOON)
    assert len(kept(project).read_text().splitlines()) == 1


@pytest.mark.parametrize("field", ["project", "seq", "hash", "root", "at", "key", "signature"])
def test_a_changed_field_of_an_anchor_is_found_in_its_line(project: Project, store: Store, field: str) -> None:
    take_anchor(project, store, NOON)
    act(store, 1)
    take_anchor(project, store, NOON)
    first, second = kept(project).read_text().splitlines()
    document = json.loads(second)
    document[field] = document[field] - 1 if field == "seq" else document[field][:-4] + "AAAA"
    kept(project).write_text(f"{first}\n{json.dumps(document)}\n")
    with store.read() as tx, pytest.raises(IntegrityError, match=r"ST1490 .*anchors.jsonl:2"):
        checked(tx, project)


@pytest.mark.parametrize("line", ["{]}", "[]", "{}", '{"schema": "seatrial.audit-anchor.v1", "seq": true}', "\x00"])
def test_a_line_that_is_no_anchor_is_named(project: Project, store: Store, line: str) -> None:
    take_anchor(project, store, NOON)
    with kept(project).open("a") as file:
        file.write(line + "\n")
    with store.read() as tx, pytest.raises(IntegrityError, match=r"anchors.jsonl:2 is not an anchor"):
        checked(tx, project)


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_what_a_full_disk_cut_off_stands_in_the_way_of_nothing(project: Project, store: Store, cut: int) -> None:
    line = take_anchor(project, store, NOON).anchor.line()
    with kept(project).open("a") as file:
        file.write(line[:cut])
    act(store, 1)
    last = take_anchor(project, store, NOON).anchor
    assert kept(project).read_text().splitlines() == [line, line[:cut], last.line()]
    with store.read() as tx:
        assert checked(tx, project).anchored == last.statement.seq == 6
    rewrite_log(store, 3)
    with store.read() as tx:
        assert not checked(tx, project).ok


def test_anchors_that_disappeared_are_missed(project: Project, store: Store) -> None:
    take_anchor(project, store, NOON)
    act(store, 1)
    take_anchor(project, store, NOON)
    whole = kept(project).read_text()
    kept(project).write_text(whole.splitlines()[0] + "\n")
    with store.read() as tx, pytest.raises(IntegrityError, match=r"ST1498 .*lacks the anchor of entry 6"):
        checked(tx, project)
    kept(project).unlink()
    with store.read() as tx, pytest.raises(IntegrityError, match="ST1498"):
        checked(tx, project)
    kept(project).write_text(whole)
    with store.read() as tx:
        assert checked(tx, project).anchored == 6


def test_an_anchor_of_another_key_or_project_does_not_count(project: Project, store: Store, tmp_path: Path) -> None:
    other = SigningKey.create(tmp_path / "other.pem")
    with store.read() as tx:
        forged = anchor_of(tx, project, other, NOON)
    kept(project).parent.mkdir()
    kept(project).write_text(forged.line() + "\n")
    with store.read() as tx, pytest.raises(IntegrityError, match="is not trusted here"):
        checked(tx, project)
    with pytest.raises(IntegrityError, match="of the project 'shop', not of 'fleet'"):
        read_anchors(kept(project), (other.public,), "fleet")


def test_an_anchor_is_not_written_through_a_link(project: Project, store: Store, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    kept(project).parent.mkdir()
    kept(project).symlink_to(victim)
    taken = take_anchor(project, store, NOON)
    assert "cannot be added to" in taken.failed["vault"]
    assert victim.read_text() == ""
    with pytest.raises(Unavailable, match="ST1499"):
        require_kept(taken)


def test_nothing_is_anchored_without_key_target_or_entries(tmp_path: Path, project: Project) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "seatrial.yaml").write_text("project: bare\n")
    with Store.open(bare / "store.db") as empty:
        for given, wanted in ((Project.open(bare), "ST1496"), (project, "ST1497")):
            with pytest.raises(UsageError, match=wanted):
                take_anchor(given, empty, NOON)
    with pytest.raises(UsageError, match="ST1492"):
        signing_key(Project.open(bare))


@pytest.mark.parametrize(
    ("audit", "said"),
    [
        ("{key: .seatrial/key.pem}", "beside the log"),
        ("{key: k.pem, anchors: [{name: a, file: .seatrial/anchors}]}", "beside the log"),
        ("{anchors: [{name: a, file: x}]}", "anchors are signed"),
        ("{key: k, anchors: [{name: a}]}", "one of file, url"),
        ("{key: k, anchors: [{name: a, file: x, url: 'http://h/'}]}", "one of file, url"),
        ("{key: k, anchors: [{name: a, file: x}, {name: a, file: y}]}", "one name"),
        ("{key: k, anchors: [{name: a, url: 'ftp://h'}]}", "http"),
        ("{key: k, every: 0s}", "not empty"),
        ("{key: k, anchors: [{name: mlflow, file: x}]}", "take another name"),
        ("{kye: k}", "did you mean 'key'"),
    ],
)
def test_a_policy_that_cannot_be_honoured_is_refused(tmp_path: Path, audit: str, said: str) -> None:
    (tmp_path / "seatrial.yaml").write_text(f"project: shop\naudit: {audit}\n")
    with pytest.raises(UsageError, match=said):
        Project.open(tmp_path)


def test_a_webhook_gets_the_anchor_signed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTARY_KEY", "secret")
    receiver = Receiver(503).start()
    try:
        more = f", {{name: notary, url: '{receiver.url}', secretEnv: NOTARY_KEY}}"
        project = anchored_project(tmp_path, more)
        with Store.open(project.store_url) as store:
            act(store)
            first, second = (take_anchor(project, store, NOON) for _ in range(2))
    finally:
        receiver.stop()
    assert (first.kept, set(first.failed)) == (("vault",), {"notary"})
    assert "503" in first.failed["notary"]
    assert second.kept == ("vault", "notary")
    got = receiver.received[-1]
    signed = SignedAnchor.of(got.document)
    signed.require(trusted_keys(project), "what came")
    stamp, mac = (part.split("=")[1] for part in got.headers["seatrial-signature"].split(","))
    assert mac == hmac.new(b"secret", f"{stamp}.".encode() + got.body, hashlib.sha256).hexdigest()


def test_a_tag_store_gets_one_tag_an_anchor(project: Project, store: Store) -> None:
    tags: dict[str, str] = {}
    sinks = {"mlflow": tag_sink(project, tags.__setitem__)}
    take_anchor(project, store, NOON, sinks)
    act(store, 1)
    take_anchor(project, store, NOON, sinks)
    assert list(tags) == [f"{TAG_PREFIX}shop.5", f"{TAG_PREFIX}shop.6"]
    SignedAnchor.of(json.loads(tags[f"{TAG_PREFIX}shop.6"])).require(trusted_keys(project), "the tag")


def test_the_watch_anchors_a_log_that_grew_once_it_is_time(project: Project, store: Store) -> None:
    watch = AnchorWatch(project, store)

    def lines() -> int:
        return len(kept(project).read_text().splitlines())

    assert watch.look(NOON)
    assert lines() == 1
    act(store, 1)
    assert watch.look(NOON + timedelta(hours=23))
    assert lines() == 1, "not due yet"
    assert watch.look(NOON + timedelta(days=1))
    assert lines() == 2
    assert watch.look(NOON + timedelta(days=9))
    assert lines() == 2, "nothing new to anchor"


def test_the_watch_tells_once_a_day_what_keeps_it_from_anchoring(project: Project, store: Store) -> None:
    watch = AnchorWatch(project, store)
    kept(project).mkdir(parents=True)
    assert not watch.look(NOON)
    assert not watch.look(NOON + timedelta(minutes=5))
    kept(project).rmdir()
    assert watch.look(NOON + timedelta(minutes=10))
    rewrite_log(store, 2)
    act(store, 1)
    assert not watch.look(NOON + timedelta(days=2))
    with store.read() as tx:
        told = [(one.alert.kind, one.alert.severity) for one in reversed(tx.alerts.latest(9))]
    assert told == [("audit.unanchored", "warning"), ("audit.broken", "critical")]
