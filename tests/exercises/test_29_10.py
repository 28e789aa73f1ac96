"""Exercise 29.10: a margin accepts a loss. Who accepts it says why, and losses do not add up unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.anchors import anchor_document, chains, erosion_document, set_anchor
from seatrial.control.documents.plans import plan_document
from seatrial.control.documents.rollouts import judgement
from seatrial.control.recorder import record
from seatrial.control.states import state_to_json
from seatrial.errors import Conflict, PlanError, UsageError
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Model, Serving
from seatrial.rollout.chain import Chain
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.erosion import chained, eroded
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.rollout.validate import problems
from seatrial.rollout.verdicts import JOINED, Decision, Judgement, MetricVerdict, Signals
from seatrial.store import releases
from seatrial.store.canonical import canonical
from seatrial.store.db import Store
from seatrial.store.plans import agreement, check_plan, parse_plan, plan_digest, plan_to_json
from seatrial.values import Margin

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000), ModelRef(DIGEST, "sklearn"))
REASON = "40 ms faster for a hundredth of the clicks, agreed with the product owner on 2026-02-20"
TEXT = f"""
name: ctr
justifyMargins: true
metrics:
  - name: ctr
    kind: proportion
    outcome: click
    horizon: 1h
    margin: 1%
    justification: {REASON}
  - {{name: slow, kind: latency, threshold: 200ms, role: signal}}
steps:
  - setWeight: 50%
  - pause: {{duration: 2h}}
"""
PLAN = check_plan(parse_plan(TEXT))
CTR = PLAN.metrics[0]


def measured(change: float, sd: float = 0.0006) -> MetricVerdict:
    """A release that moved the click rate by so much (relative), told with a standard deviation on the log scale."""
    return MetricVerdict(
        metric="ctr", role="guardrail", arms="live", verdict="pass", status="ok", method=JOINED, scale="relative",
        better="increase", bound=-0.01, margin=-0.01, estimate=change, lower=change - 2 * sd, upper=change + 2 * sd,
        information=sd**-2, rate_champion=0.052, rate_candidate=0.052 * (1 + change),
        count_champion=10**6, count_candidate=10**6,
    )  # fmt: skip


# ── 29.10a: the reason ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_margin_without_a_reason_is_refused_where_the_plan_asks_for_one() -> None:
    bare = TEXT.replace(f"    justification: {REASON}\n", "")
    assert [p.code for p in problems(parse_plan(bare))] == ["ST0258"]
    with pytest.raises(PlanError, match=r"ST0258 .*'ctr'.*margin of 1% accepts a loss"):
        check_plan(parse_plan(bare))
    assert problems(parse_plan(bare.replace("justifyMargins: true\n", ""))) == [], "unless it does not ask"
    blank = TEXT.replace(REASON, "'  '")
    assert [p.code for p in problems(parse_plan(blank))] == ["ST0258"]


def test_a_proven_loss_is_never_accepted_without_a_reason() -> None:
    accepting = "    failOn: inferior\n"
    text = TEXT.replace("justifyMargins: true\n", "").replace("    margin: 1%\n", "    margin: 1%\n" + accepting)
    assert problems(parse_plan(text)) == []
    assert [p.code for p in problems(parse_plan(text.replace(f"    justification: {REASON}\n", "")))] == ["ST0218"]


def test_what_was_agreed_is_kept_with_the_margins_hash() -> None:
    kept = agreement(PLAN)
    assert kept["plan"] == plan_digest(PLAN)
    (margin,) = kept["margins"]
    assert (margin["metric"], margin["margin"], margin["justification"]) == ("ctr", "1%", REASON)
    wider = agreement(parse_plan(TEXT.replace("margin: 1%", "margin: 2%")))
    assert wider["margins"][0]["hash"] != margin["hash"], "another margin is another agreement"
    reworded = agreement(parse_plan(TEXT.replace(REASON, "because")))
    assert reworded["margins"][0]["hash"] == margin["hash"]
    assert reworded["plan"] != kept["plan"], "the digest covers the words as well"


def test_the_reason_and_the_benefit_are_shown_beside_the_margin() -> None:
    (guardrail,) = plan_document(PLAN)["guardrails"]
    assert (guardrail["margin"], guardrail["justification"]) == ("1%", REASON)
    faster = replace(measured(-0.3), metric="slow", role="signal", better="decrease", bound=0.02)
    _, state = begun()
    decision = decide(PLAN, state, judged(measured(-0.004), faster), Signals(), T0 + timedelta(hours=3))
    shown = judgement(PLAN, state, decision)
    assert [(v["metric"], v["estimate"], v["margin"]) for v in shown["verdicts"]] == [("ctr", -0.004, -0.01)]
    assert [v["justification"] for v in shown["verdicts"]] == [REASON], "for whoever approves, in `rollout get`"
    assert [(v["metric"], v["estimate"]) for v in shown["signals"]] == [("slow", -0.3)], "what is gained for it"


# ── 29.10c: the unit, and what adds up ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bare", ["-0.01", "0.01", "-1%", "1"])
def test_a_margin_without_a_unit_or_with_a_sign_is_refused(bare: str) -> None:
    with pytest.raises(PlanError, match="ST0200"):
        parse_plan(TEXT.replace("margin: 1%", f"margin: {bare}"))
    assert str(Margin.parse("1%")) == "1%"


def test_a_margin_may_not_give_up_most_of_what_was_once_won() -> None:
    won = TEXT.replace("    margin: 1%\n", "    margin: 1%\n    historicEffect: WON\n")
    assert [p.code for p in problems(parse_plan(won.replace("WON", "1.5%")))] == ["ST0251"]
    assert problems(parse_plan(won.replace("WON", "4%"))) == []


def total(*changes: float, sd: float = 0.0006, plan: Plan = PLAN, metric: Metric = CTR) -> Any:
    chain = chained(metric, VersionNumber(1), [measured(change, sd) for change in changes])
    return eroded(plan, metric, chain)


def test_five_losses_within_the_margin_trip_the_guard_and_five_of_nothing_do_not() -> None:
    lost = total(*[-0.009] * 5)
    assert lost.total == pytest.approx(0.991**5 - 1)
    assert lost.worst < lost.total
    assert (lost.releases, lost.limit, lost.tripped) == (5, pytest.approx(-0.03), True)
    assert not total(*[0.0] * 5, sd=0.0034).tripped
    assert not total(*[-0.009] * 2).tripped, "two are within three margins"
    assert not total(*[-0.009] * 5, 0.05).tripped, "won back"


def test_the_guard_asks_for_proof_and_not_for_a_number() -> None:
    assert not total(*[-0.004] * 5, sd=0.0006).tripped
    assert total(*[-0.004] * 5, sd=0.0034).tripped, "the same total, known less well"
    stricter = parse_plan(TEXT.replace("justifyMargins", "erosionAtMost: 2x\njustifyMargins"))
    assert total(*[-0.004] * 5, plan=stricter).tripped


def test_a_release_that_did_not_measure_it_begins_the_chain_again() -> None:
    blind = replace(measured(0.0), estimate=None, status="no_data")
    chain = chained(CTR, VersionNumber(1), [measured(-0.009), None, measured(-0.009), blind, measured(-0.009)])
    assert chain.releases == 1


def test_shares_add_up_as_points() -> None:
    plan = parse_plan(TEXT.replace("role: signal", "margin: 1pp, justification: fine"))
    slow = plan.metrics[1]
    verdict = replace(
        measured(0.0), metric="slow", method="exact first events", scale="absolute", better="decrease",
        estimate=0.008, rate_champion=0.01, rate_candidate=0.018, count_champion=20_000, count_candidate=20_000,
    )  # fmt: skip
    found = eroded(plan, slow, chained(slow, VersionNumber(1), [verdict] * 4))
    assert found is not None
    assert (round(found.total, 6), found.limit, found.tripped) == (0.032, 0.03, True)
    unchanged = replace(verdict, estimate=0.0, rate_candidate=0.01)
    quiet = eroded(plan, slow, chained(slow, VersionNumber(1), [unchanged] * 4))
    assert quiet is not None
    assert not quiet.tripped


def judged(*verdicts: MetricVerdict) -> Judgement:
    guardrails = tuple(v for v in verdicts if v.role == "guardrail")
    signals = tuple(v for v in verdicts if v.role == "signal")
    return Judgement(verdicts=guardrails, signals=signals, units=10**6, outcomes=10**6)


def begun() -> tuple[Decision, Any]:
    return start(PLAN, "r-1", ModelName("ads"), VersionNumber(4), VersionNumber(5), "s", T0, "ann")  # type: ignore[arg-type]


def test_the_promotion_that_would_lose_too_much_waits_for_somebody() -> None:
    _, state = begun()
    at = T0 + timedelta(hours=3)
    before = (Chain("ctr", "relative", VersionNumber(1), 3, 3 * -0.00904, 3 * 0.0006**2),)
    held = decide(PLAN, state, judged(measured(-0.009)), Signals(chains=before), at)
    assert (held.action, held.rule, held.weight) == ("hold", "eroded", 5_000)
    assert "since v1 (4 releases" in held.reason
    assert "seatrial model anchor ads" in held.needs[0]
    for signals, change in ((Signals(), -0.009), (Signals(chains=before), 0.02)):
        assert decide(PLAN, state, judged(measured(change)), signals, at).action == "promote"


class Shop:
    """A model whose versions were promoted one after the other, each with what was measured of it."""

    def __init__(self, root: Path) -> None:
        self.store = Store.open(f"sqlite:///{root / 'store.db'}")
        with self.store.begin() as tx:
            tx.models.create_model(Model(ModelName("ads")), actor="ann", now=T0)
            for _ in range(7):
                serving = Serving(kind="url", url="http://127.0.0.1:9/")
                tx.models.register_version("ads", serving, LINEAGE, actor="ann", now=T0)
            releases.adopt_champion(tx.models, "ads", 1, actor="ann", now=T0)

    def promote(self, candidate: int, change: float) -> None:
        now = T0 + timedelta(days=candidate)
        with self.store.begin() as tx:
            rollout, champion = tx.rollouts.next_id(), VersionNumber(candidate - 1)
            decision, state = start(
                PLAN, rollout, ModelName("ads"), champion, VersionNumber(candidate), "s", now, "ann"
            )
            text = canonical(plan_to_json(PLAN))
            kept = tx.rollouts.create(rollout, "ads", candidate, champion, text, state_to_json(state), now)
            agreed = agreement(PLAN)
            revision = record(
                tx, decision, state, revision=kept.revision, digest=None, store_decision=True, agreed=agreed
            )
            seen = judged(measured(change))
            decision = decide(PLAN, state, seen, Signals(), now + timedelta(hours=3))
            assert decision.action == "promote"
            after = evolve(state, seen, decision)
            record(tx, decision, after, revision=revision, digest=None, store_decision=True)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    for candidate in range(2, 7):
        made.promote(candidate, -0.009)
    yield made
    made.store.close()


def test_the_chain_is_read_from_what_was_promoted_and_a_new_anchor_is_audited(shop: Shop) -> None:
    with shop.store.read() as tx:
        (line,) = erosion_document(tx, "ads", PLAN)
        assert anchor_document(tx, "ads")["anchor"] == 1
    assert (line["anchor"], line["releases"], line["tripped"]) == (1, 5, True)
    assert line["total"] == pytest.approx(0.991**5 - 1)
    with shop.store.begin() as tx:
        set_anchor(tx, "ads", 4, reason="v4 was measured against v1 in an own test", actor="bob", now=T0)
    with shop.store.read() as tx:
        (line,) = erosion_document(tx, "ads", PLAN)
        document = anchor_document(tx, "ads")
        entry = tx.audit.log(1)[0]
    assert (line["anchor"], line["releases"], line["tripped"]) == (4, 2, False)
    assert (document["anchor"], document["setBy"], len(document["releases"])) == (4, "bob", 2)
    assert (entry.actor, entry.action, json.loads(entry.detail)["before"]) == ("bob", "model.anchor", 1)


def test_a_release_that_was_taken_back_does_not_count(shop: Shop) -> None:
    with shop.store.begin() as tx:
        releases.roll_back(tx.models, "ads", expected_champion=6, actor="ann", now=T0 + timedelta(days=9))
        (chain,) = chains(tx, "ads", PLAN)
    assert chain.releases == 4


def test_an_anchor_needs_a_reason_and_a_version_that_users_had(shop: Shop) -> None:
    with pytest.raises(UsageError, match="ST0269"), shop.store.begin() as tx:
        set_anchor(tx, "ads", 4, reason=" ", actor="bob", now=T0)
    with pytest.raises(Conflict, match=r"ST0268 ads v7 was never the champion"), shop.store.begin() as tx:
        set_anchor(tx, "ads", 7, reason="why not", actor="bob", now=T0)


def test_the_start_is_on_the_record_with_the_reason(shop: Shop) -> None:
    with shop.store.read() as tx:
        begun = [entry for entry in tx.audit.log(100) if entry.action == "rollout.start"]
    detail = json.loads(begun[0].detail)
    assert detail["plan"] == plan_digest(PLAN)
    assert detail["margins"][0]["justification"] == REASON
