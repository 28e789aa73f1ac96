"""How long records are kept: floors, what holds them, what goes, and that its going is audited."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from aftermath import MODEL, ROLLOUT, T0, Aftermath
from seatrial.control.clock import StoredClock
from seatrial.control.declarations import declare
from seatrial.control.operations import Operations
from seatrial.control.retention.keeper import Keeper, retention_document
from seatrial.control.retention.keeping import Keeping, keeping
from seatrial.control.retention.outdated import holds
from seatrial.errors import UsageError
from seatrial.registry.declaration import Declaration
from seatrial.registry.lifecycle import Operation, Stage
from seatrial.registry.safety import Safety
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction
from seatrial.values import Duration

PLAN = """
name: short
metrics: [{name: errors, kind: error_rate, margin: 1pp}]
steps: [{setWeight: 50%}, {pause: {duration: 1d}}]
"""
"""No metric outlasts the release, so nothing follows it."""
LATER = T0 + timedelta(days=100)


def made(root: Path, retention: str = "", capture: str = "") -> Aftermath:
    return Aftermath(root / "shop", plan=PLAN, more=f"{retention and f'retention: {retention}'}\n{capture}\n")


def aborted(shop: Aftermath, at: int = 1) -> str:
    """The rollout is over with evidence of its own; the digest of that."""
    from seatrial.control.recorder import record
    from seatrial.control.states import state_from_json
    from seatrial.rollout.start import by_hand

    with Store.open(shop.project.store_url) as store, store.begin() as tx:
        stored = tx.rollouts.get(ROLLOUT)
        state = state_from_json(stored.state)
        decision, after = by_hand(
            shop.plan, state, "abort", full=False, reason="enough", actor="ann", now=T0 + timedelta(days=at)
        )
        digest = ArtifactStore(shop.project.artifacts).put_bytes(zlib.compress(b"{}"))
        record(tx, decision, after, revision=stored.revision, digest=digest, store_decision=True)
    return digest


def kept(shop: Aftermath) -> Keeping:
    with Store.open(shop.project.store_url) as store, store.read() as tx:
        return keeping(tx, shop.project, tx.models.get_model(MODEL))


def swept(shop: Aftermath, digest: str) -> bool:
    """One look of the keeper: whether the evidence is left. The decisions always are."""
    with Store.open(shop.project.store_url) as store:
        Keeper(shop.project, store, StoredClock(store)).look(LATER)
        with store.read() as tx:
            assert len(tx.decisions.list(ROLLOUT)) == 2
    return ArtifactStore(shop.project.artifacts).has(digest)


def told(shop: Aftermath, act: Callable[[Transaction], object]) -> None:
    with Store.open(shop.project.store_url) as store, store.begin() as tx:
        act(tx)


def test_what_is_older_goes_and_its_going_is_audited_first(tmp_path: Path) -> None:
    shop = made(tmp_path, "{evidence: 30d}")
    digest = aborted(shop)
    assert swept(shop, digest) is False
    (entry,) = shop.audit("retention.delete")
    assert (entry["object"], entry["evidence"], entry["artifacts"]) == (MODEL, [digest], [])
    assert swept(shop, digest) is False
    assert len(shop.audit("retention.delete")) == 1, "nothing is left to delete"


def test_without_a_span_everything_is_kept_for_ever(tmp_path: Path) -> None:
    shop = made(tmp_path)
    assert swept(shop, aborted(shop)) is True
    assert shop.audit("retention.delete") == []


def test_what_is_younger_stays(tmp_path: Path) -> None:
    shop = made(tmp_path, "{evidence: 100d}")
    assert swept(shop, aborted(shop)) is True


HOLDS: dict[str, Callable[[Transaction], object]] = {
    "incident": lambda tx: tx.incidents.open("harm", ROLLOUT, MODEL, "{}", now=LATER),
    "recall": lambda tx: tx.recalls.open(
        MODEL, 2, T0, LATER, reason="x", found=1, document="{}", actor="ann", now=LATER
    ),
}


@pytest.mark.parametrize("kind", HOLDS)
def test_what_is_open_holds_everything_until_it_is_done(tmp_path: Path, kind: str) -> None:
    shop = made(tmp_path, "{evidence: 30d}")
    digest = aborted(shop)
    told(shop, HOLDS[kind])
    assert swept(shop, digest) is True
    with Store.open(shop.project.store_url) as store, store.begin() as tx:
        assert any(kind in why for why in holds(tx, MODEL))
        if kind == "incident":
            tx.incidents.close("i-0001", "hold", "seen", actor="ann", now=LATER)
        else:
            for mark in ("notified", "reread"):
                assert holds(tx, MODEL), "half of the marks are not enough"
                tx.recalls.mark("k-0001", mark, [("q", 0)], note="x", actor="ann", now=LATER)  # type: ignore[arg-type]
    assert swept(shop, digest) is False


def test_an_active_rollout_holds_everything(tmp_path: Path) -> None:
    shop = made(tmp_path, "{evidence: 30d}")
    with Store.open(shop.project.store_url) as store, store.read() as tx:
        assert holds(tx, MODEL) == (f"rollout {ROLLOUT} is active",)
    aborted(shop)
    with Store.open(shop.project.store_url) as store, store.read() as tx:
        assert holds(tx, MODEL) == ()


def test_a_release_that_is_followed_holds_everything(tmp_path: Path) -> None:
    shop = Aftermath(tmp_path / "shop", more="retention: {evidence: 1d}\n")
    shop.promote()
    with Store.open(shop.project.store_url) as store, store.read() as tx:
        assert holds(tx, MODEL) == (f"rollout {ROLLOUT} is followed until its last reconciliation",)


def test_artifacts_go_with_their_last_archived_version(tmp_path: Path) -> None:
    shop = made(tmp_path, "{artifacts: 30d}")
    aborted(shop)
    artifacts = ArtifactStore(shop.project.artifacts)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "model").write_text("weights")
    old, tree = artifacts.put_bytes(b"old"), artifacts.put_tree(tmp_path / "tree")
    with Store.open(shop.project.store_url) as store:
        operations = Operations(shop.project, store)
        with store.read() as tx:
            champion = tx.models.get_version(MODEL, 1)
        assert champion.lineage is not None
        assert champion.lineage.model is not None
        for digest in (old, tree, old):
            lineage = dataclasses.replace(
                champion.lineage, model=dataclasses.replace(champion.lineage.model, digest=digest)
            )
            serving = dataclasses.replace(champion.serving, artifact=digest)
            operations.register(MODEL, serving, lineage, actor="ann")
        with store.begin() as tx:
            for number in (3, 4):
                tx.models.set_stage(MODEL, number, Stage.ARCHIVED, actor="ann", now=T0, operation=Operation.TRANSITION)
        Keeper(shop.project, store, StoredClock(store)).look(LATER)
        assert (artifacts.has(old), artifacts.has(tree)) == (True, False), "version 5 still has the one of version 3"
        artifacts.put_tree(tmp_path / "tree")
        artifacts.verify(tree)


@pytest.mark.parametrize(
    ("retention", "regulated", "tier", "short"),
    [
        ("{events: 183d}", (), 1, ("events",)),
        ("{events: 184d, evidence: 3653d}", (), 1, ()),
        ("{models: {shop: {evidence: 3652d}}}", ("SR 26-2",), 3, ("evidence",)),
        ("{models: {other: {evidence: 1d}}}", ("SR 26-2",), 3, ()),
        ("{events: 1d, evidence: 1d, artifacts: 1d}", (), 2, ()),
    ],
)
def test_floors_hold_for_tier_1_and_regulated_models_only(
    tmp_path: Path, retention: str, regulated: tuple[str, ...], tier: int, short: tuple[str, ...]
) -> None:
    shop = made(tmp_path, retention)

    def treat(tx: Transaction) -> None:
        declare(tx, MODEL, Declaration(regulated=regulated), actor="ann", now=T0)
        tx.models.secure(MODEL, Safety(tier=tier), actor="ann", now=T0)

    told(shop, treat)
    assert kept(shop).short == short


def test_of_a_model_that_keeps_too_little_nothing_goes(tmp_path: Path) -> None:
    shop = made(tmp_path, "{evidence: 30d}")
    digest = aborted(shop)
    told(shop, lambda tx: tx.models.secure(MODEL, Safety(tier=1), actor="ann", now=T0))
    assert swept(shop, digest) is True
    with pytest.raises(UsageError, match=r"ST1512 retention: evidence of 'shop' would be kept for 30d, and tier 1"):
        kept(shop).require()


def test_less_than_the_floor_cannot_be_agreed_on(tmp_path: Path) -> None:
    shop = made(tmp_path)
    aborted(shop)
    with Store.open(shop.project.store_url) as store:
        operations = Operations(shop.project, store)
        with store.read() as tx:
            contract = tx.models.get_model(MODEL).contract
        brief = dataclasses.replace(contract, retention=Duration.parse("30d"))
        operations.configure(MODEL, brief, actor="ann")
        with pytest.raises(UsageError, match="ST1512"):
            operations.secure(MODEL, Safety(tier=1), actor="ann")
        operations.configure(MODEL, contract, actor="ann")
        operations.secure(MODEL, Safety(tier=1), actor="ann")
        with pytest.raises(UsageError, match="ST1512"):
            operations.configure(MODEL, brief, actor="ann")
    assert kept(shop).spans["events"] == Duration.parse("184d"), "not the 90 days that hold for all"


def test_the_document_says_what_is_kept_held_and_outdated(tmp_path: Path) -> None:
    shop = made(tmp_path, "{evidence: 30d}")
    aborted(shop)
    with Store.open(shop.project.store_url) as store, store.read() as tx:
        (line,) = retention_document(tx, shop.project, LATER)["models"]
    assert line["keeps"] == {
        "audit": "forever", "events": "90d", "decisions": "forever", "evidence": "30d", "artifacts": "forever",
    }  # fmt: skip
    assert (line["holds"], line["outdated"]) == ([], {"evidence": 1, "artifacts": 0})


@pytest.mark.parametrize(
    "retention", ["{audit: 7d}", "{decisions: 7d}", "{events: 0s}", "{evnts: 1d}", "{models: {shop: {audit: 1d}}}"]
)
def test_a_policy_that_cannot_be_honoured_is_refused(tmp_path: Path, retention: str) -> None:
    with pytest.raises(UsageError, match="ST0803"):
        made(tmp_path, retention)
