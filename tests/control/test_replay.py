"""Decisions recomputed from what is stored beside them; each thing that was changed since is found and named."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.control.documents import catalog
from seatrial.control.moves import move_of
from seatrial.control.recorder import put_evidence, record, worth_storing
from seatrial.control.render import active_release
from seatrial.control.replay import Replayed, replay
from seatrial.control.states import given_from_json, state_from_json, state_to_json
from seatrial.errors import IntegrityError, NotFound
from seatrial.evidence.codec import from_document, to_document
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Captured, Evidence, MetricEvidence
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.ids import CANARY, CHAMPION, Arm, Digest, ModelName, RolloutId, VersionNumber
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Model, Serving
from seatrial.rollout.explanation import SIGHTS
from seatrial.rollout.look import take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.rules import RULES
from seatrial.rollout.start import by_alert, by_approval, by_hand, by_withdrawal, start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Signals
from seatrial.store import releases
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import canonical
from seatrial.store.db import Store
from seatrial.store.plans import agreement, parse_plan, plan_to_json

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN = parse_plan("""
name: replayed
lookEvery: 1h
deadline: 10d
metrics:
  - {name: kept, kind: proportion, outcome: kept, horizon: 30m, margin: 10%}
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - setWeight: 20%
  - pause: {duration: 3h}
  - setWeight: 50%
  - pause: {duration: 3h}
""")
SIGNED = parse_plan("""
name: signed
unit: {header: x-unit-id, kind: reader}
lookEvery: 1h
metrics:
  - {name: kept, kind: proportion, outcome: kept, horizon: 30m, margin: 10%}
steps:
  - setWeight: 20%
  - pause: {duration: 3h}
  - approval: {by: [bob]}
""")
DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000), ModelRef(DIGEST, "sklearn"))


def evidence(state: RolloutState, at: datetime, *, loss: float = 0.0) -> Evidence:
    """What has come so far: 800 requests an hour and arm, each of a unit of its own; ``loss``: of the canary's."""
    chance = np.random.default_rng(5)
    cells: dict[Cell, Any] = {}
    new: dict[tuple[int, Arm], int] = {}
    for hour in range(int((at - T0) / HOUR)):
        phase = [p.number for p in state.phases if p.started <= T0 + hour * HOUR][-1]
        for arm in (CANARY, CHAMPION):
            n = chance.multinomial(800, np.full(UNIT_BUCKETS, 1 / UNIT_BUCKETS))
            kept = chance.binomial(n, 0.5 * (1 - loss if arm == CANARY else 1))
            time = int((T0 + hour * HOUR).timestamp())
            cells[Cell(phase, time, TOTAL, arm)] = np.stack([n, kept * MICRO, n * MICRO], axis=1).astype(np.int64)
    weight = state.phase.weight / 10_000
    total = 1600 * int((at - T0) / HOUR)
    for arm, share in ((CANARY, weight), (CHAMPION, 1 - weight)):
        new[state.phase.number, arm] = round(total * share)
    arms = {arm: n for (_, arm), n in new.items()}
    return Evidence(
        at=at,
        metrics={"kept": MetricEvidence(Tally(cells), immature={(state.phase.number, CANARY): 7})},
        units=UnitCounts(new=new, arms=arms, live=arms, phases=new),
        exposures=new,
        capture={place: Captured(n, n) for place, n in new.items()},
    )


class Release:
    """A rollout as the controller records it, without traffic."""

    def __init__(self, root: Path) -> None:
        self.path = root / "store.db"
        self.store = Store.open(f"sqlite:///{self.path}")
        self.artifacts = ArtifactStore(root / "artifacts")
        self.id = RolloutId("r-0001")

    def begin(self, plan: Plan = PLAN) -> None:
        with self.store.begin() as tx:
            tx.models.create_model(Model(ModelName("fraud")), actor="ann", now=T0)
            for url in ("http://127.0.0.1:9/", "http://127.0.0.1:10/"):
                tx.models.register_version("fraud", Serving(kind="url", url=url), LINEAGE, actor="ann", now=T0)
            releases.adopt_champion(tx.models, "fraud", 1, actor="ann", now=T0)
            decision, state = start(
                plan, self.id, ModelName("fraud"), VersionNumber(1), VersionNumber(2), "salt", T0, "ann"
            )
            text = canonical(plan_to_json(plan))
            stored = tx.rollouts.create(self.id, "fraud", 2, 1, text, state_to_json(state), T0)
            record(
                tx, decision, state,
                revision=stored.revision, digest=None, store_decision=True, agreed=agreement(plan),
            )  # fmt: skip

    def look(self, hour: int, *, loss: float = 0.0, signals: Signals | None = None) -> None:
        with self.store.begin() as tx:
            release = active_release(tx, "fraud")
            assert release is not None
            found = evidence(release.state, T0 + hour * HOUR, loss=loss)
            looked = take_look(release.plan, release.state, found, signals or Signals())
            keep = worth_storing(looked.decision, tx.decisions.last(self.id))
            digest = put_evidence(self.artifacts, found) if keep else None
            move = move_of(release, looked.decision, looked.state, digest, looked.signals)
            record(
                tx, looked.decision, state_from_json(move.state),
                revision=move.revision, digest=digest, store_decision=keep, given=move.given,
            )  # fmt: skip

    def hand(self, hour: int, verb: Any, reason: str) -> None:
        self.act(by_hand, verb, full=False, reason=reason, actor="bob", now=T0 + hour * HOUR)

    def act(self, what: Callable[..., tuple[Decision, RolloutState]], *words: Any, **more: Any) -> None:
        """What a person, or another system, does to it."""
        with self.store.begin() as tx:
            release = active_release(tx, "fraud")
            assert release is not None
            decision, after = what(release.plan, release.state, *words, **more)
            move = move_of(release, decision, after)
            record(tx, decision, after, revision=move.revision, digest=None, store_decision=True, given=move.given)

    def replay(self) -> Replayed:
        with self.store.read() as tx:
            return replay(tx, self.artifacts, self.id)

    def decisions(self) -> list[Any]:
        with self.store.read() as tx:
            return [*tx.decisions.list(self.id)]

    def forge(self, statement: str, *values: object) -> None:
        """Write past the triggers, as somebody with the file in hand would."""
        with sqlite3.connect(self.path) as database:
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {name}")
            database.execute(statement, values)
        database.close()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paused and resumed, advanced, and sent back for harm."""
    root = tmp_path_factory.mktemp("story")
    made = Release(root)
    made.begin()
    made.look(1)
    made.hand(1, "pause", "lunch")
    made.look(2)
    made.hand(2, "resume", "")
    for hour in (3, 4):
        made.look(hour)
    for hour in (5, 6):
        made.look(hour, loss=0.4)
    made.store.close()
    return root


@pytest.fixture
def release(story: Path, tmp_path: Path) -> Iterator[Release]:
    """A copy of it, to be damaged."""
    made = Release(Path(shutil.copytree(story, tmp_path / "release")))
    yield made
    made.store.close()


def test_every_decision_comes_out_the_same(release: Release) -> None:
    told = [(d.action, d.rule) for d in release.decisions()]
    assert {rule for _, rule in told} >= {"start", "manual", "paused", "advance", "guardrail_harm"}, told
    replayed = release.replay()
    assert replayed.identical, replayed.different
    assert (replayed.decisions, replayed.looks) == (len(told), len(told) - 3)
    replayed.require_identical()


def test_what_people_and_other_systems_did_comes_out_the_same(tmp_path: Path) -> None:
    made = Release(tmp_path)
    made.begin(SIGNED)
    made.look(1)
    made.act(by_approval, "bob", ("approver",), reason="read", now=T0 + HOUR)
    made.act(by_withdrawal, "unit-7", reason="moved away", actor="bob", now=T0 + HOUR)
    made.look(2)
    made.act(by_alert, "a finding was missed", actor="bob", now=T0 + 2 * HOUR)
    rules = [(d.action, d.rule) for d in made.decisions()]
    replayed = made.replay()
    made.store.close()
    assert rules.count(("hold", "manual")) == 2
    assert rules[-1] == ("abort", "hard_signal")
    assert replayed.identical, replayed.different


def test_evidence_comes_back_as_it_was_written(release: Release) -> None:
    digests = [d.evidence_digest for d in release.decisions() if d.evidence_digest]
    for digest in digests:
        document = json.loads(zlib.decompress(release.artifacts.path(digest).read_bytes()))
        assert canonical(to_document(from_document(document))) == canonical(document)


def damaged(release: Release, seq: int) -> Path:
    return release.artifacts.path(release.decisions()[seq - 1].evidence_digest)


def a_changed_byte(release: Release) -> str:
    place = damaged(release, 2)
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.chmod(0o644)
    place.write_bytes(data)
    return "evidence"


def a_missing_blob(release: Release) -> str:
    damaged(release, 2).unlink()
    return "evidence"


def other_evidence_under_its_own_digest(release: Release) -> str:
    """Somebody puts better evidence in, and its digest into the row."""
    one = release.decisions()[1]
    forged = evidence(given_from_json(one.given).state, one.at, loss=-0.3)
    digest = put_evidence(release.artifacts, forged)
    release.forge("UPDATE decisions SET evidence_digest = ? WHERE seq = 2", digest)
    return "verdicts[0].estimate"


def another_reason(release: Release) -> str:
    one = release.decisions()[1]
    document = json.loads(one.document) | {"reason": "because"}
    release.forge("UPDATE decisions SET document = ? WHERE seq = 2", canonical(document))
    return "reason"


def another_state_before(release: Release) -> str:
    """Signals that were not there: the same evidence would have said abort."""
    one = release.decisions()[1]
    given = json.loads(one.given)
    given["signals"]["killed"] = "ann: fire"
    release.forge("UPDATE decisions SET given = ? WHERE seq = 2", canonical(given))
    return "action"


def no_state_before(release: Release) -> str:
    release.forge("UPDATE decisions SET given = NULL WHERE seq = 2")
    return "given"


def a_decision_taken_out(release: Release) -> str:
    release.forge("DELETE FROM decisions WHERE seq = 2")
    return "seq"


def another_time(release: Release) -> str:
    release.forge("UPDATE decisions SET at = datetime(at, '+1 day') WHERE seq = 2")
    return "at"


@pytest.mark.parametrize(
    "change",
    [
        a_changed_byte,
        a_missing_blob,
        other_evidence_under_its_own_digest,
        another_reason,
        another_state_before,
        no_state_before,
        a_decision_taken_out,
        another_time,
    ],
)
def test_what_was_changed_since_is_found_and_named(release: Release, change: Callable[[Release], str]) -> None:
    assert release.replay().identical
    field = change(release)
    replayed = release.replay()
    first = replayed.different[0]
    assert (first.seq, first.field) == (3 if field == "seq" else 2, field)
    with pytest.raises(IntegrityError, match=rf"ST0300 rollout r-0001: decision {first.seq} "):
        replayed.require_identical()


def test_another_plan_than_the_one_it_began_with_is_found(release: Release) -> None:
    release.forge('UPDATE rollouts SET plan = replace(plan, \'"deadline":"10d"\', \'"deadline":"11d"\')')
    assert [(d.seq, d.field) for d in release.replay().different] == [(1, "plan")], "which changes no decision"


def test_a_rollout_that_is_not_there(release: Release) -> None:
    with pytest.raises(NotFound), release.store.read() as tx:
        replay(tx, release.artifacts, "r-0099")


# ── explain ────────────────────────────────────────────────────────────────────────────────────────────────────────


def explained(release: Release, look: int | None = None) -> dict[str, Any]:
    with release.store.read() as tx:
        return catalog.explanation(tx, "fraud", {}, look)


def test_every_rule_that_was_asked_is_told_in_order_with_what_it_saw(release: Release) -> None:
    told = explained(release, 3)
    rules = told["rules"]
    assert [rule["rule"] for rule in rules] == [rule.__name__ for rule in RULES][: len(rules)]
    assert [rule["spoke"] for rule in rules] == [False] * (len(rules) - 1) + [True]
    saw = {rule["rule"]: rule["saw"] for rule in rules}
    assert saw["guardrail_harm"] == "no guardrail fails: kept pass, errors pass"
    assert saw["min_sample"].endswith(" of 100 units")
    assert saw["hard_signal"] == "no alert; the plan has no limits"
    assert {v["look"] for v in told["verdicts"]} == {3}
    assert told["evidence"].startswith("sha256:")


def test_every_rule_has_words_for_its_silence() -> None:
    assert [rule.__name__ for rule in RULES[:-1] if rule.__name__ not in SIGHTS] == []


def test_a_look_that_was_not_stored_names_the_one_before_it(release: Release) -> None:
    release.forge("DELETE FROM decisions WHERE seq = 7")
    with pytest.raises(NotFound, match=r"ST0302 .*look 4 is not stored.*--look 3"):
        explained(release, 4)
    with pytest.raises(NotFound, match="ST0302"):
        explained(release, 99)
    assert explained(release)["latest"]["look"] == 6, "without one it is the latest"
