"""The report, over a real store with rollouts that the real rules decided from verdicts written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from seatrial.charts import style
from seatrial.control.documents.report import write_report
from seatrial.control.documents.story import span_text
from seatrial.control.recorder import put_evidence, record, worth_storing
from seatrial.control.states import state_to_json
from seatrial.errors import IntegrityError
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Captured, Evidence, ShadowEvidence
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.registry.version import Model, Serving
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.start import by_hand, start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Judgement, MetricVerdict, Signals
from seatrial.store import releases
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import canonical
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan, plan_digest, plan_to_json

START = datetime(2026, 3, 2, tzinfo=UTC)
PLAN = parse_plan("""
    name: standard
    steps:
    - shadow: {share: 100%}
    - pause: {duration: 2d}
    - setWeight: 5%
    - pause: {duration: 1d}
    - setWeight: 100%
    metrics:
    - {name: log_loss, kind: loss, loss: log_loss, outcome: late, horizon: 6h, margin: 1.5%}
    - {name: errors, kind: error_rate, margin: 1pp}
""")


class Lab:
    """A project's store and artifacts; ``release`` runs one rollout to its end, or to a number of hours."""

    def __init__(self, directory) -> None:
        self.path = directory / "report.html"
        self.store = Store.open(directory / "store.db")
        self.artifacts = ArtifactStore(directory / "artifacts")
        with self.store.begin() as tx:
            tx.models.create_model(Model(ModelName("flights")), actor="ana", now=START)
            for _ in range(4):
                serving = Serving(kind="url", url="http://127.0.0.1:1/")
                tx.models.register_version("flights", serving, None, actor="ana", now=START, source="adopted")
            releases.adopt_champion(tx.models, "flights", 1, actor="ana", now=START)

    def release(
        self,
        candidate: int,
        loss: Callable[[int], float],
        *,
        plan=PLAN,
        day=0,
        hours=200,
        slack=0.02,
        actor="ana",
        by=None,
    ) -> RolloutState:
        begun = START + timedelta(days=day)
        with self.store.begin() as tx:
            rollout = tx.rollouts.next_id()
            champion = tx.models.pointers("flights")["champion"]
            names = (RolloutId(rollout), ModelName("flights"), VersionNumber(champion), VersionNumber(candidate))
            decision, state = start(plan, *names, "salt", begun, actor)
            text = canonical(plan_to_json(plan))
            tx.rollouts.create(rollout, "flights", candidate, champion, text, state_to_json(state), begun)
        self.keep(decision, state, None)
        for hour in range(3, hours, 3):
            judged = judgement(plan, state, loss(hour), slack)
            now = begun + timedelta(hours=hour)
            if by is not None and hour >= by[0]:
                decision, state = by_hand(plan, state, by[1], full=False, reason=by[2], actor=actor, now=now)
            else:
                decision = decide(plan, state, judged, Signals(), now)
                state = evolve(state, judged, decision)
            self.keep(decision, state, evidence(now, state))
            if state.over or decision.rule == "manual":
                break
        return state

    def keep(self, decision: Decision, state: RolloutState, found: Evidence | None) -> None:
        with self.store.begin() as tx:
            keep = worth_storing(decision, tx.decisions.last(state.rollout))
            digest = put_evidence(self.artifacts, found) if keep and found is not None else None
            revision = tx.rollouts.get(state.rollout).revision
            record(tx, decision, state, revision=revision, digest=digest, store_decision=keep)

    def report(self, **options) -> str:
        return write_report(self.store, self.artifacts, self.path, **{"title": "Releases", **options}).read_text()


def judgement(plan, state: RolloutState, bad: float, slack: float) -> Judgement:
    stage = compile_stages(plan)[state.stage]
    arms = "shadow" if stage.kind == "shadow" else "live"
    common = {
        "role": "guardrail", "arms": arms, "status": "ok", "better": "decrease",
        "count_champion": 7301, "count_candidate": 812,
    }  # fmt: skip
    loss, errors = plan.metrics
    verdict = "fail" if bad - slack > 0 else "pass" if bad + slack < 0.045 else "inconclusive"
    verdicts = (
        MetricVerdict(
            metric=loss.name, method="joined boundary", scale="relative", bound=0.045, margin=0.015, estimate=bad,
            lower=bad - slack, upper=bad + slack, verdict=verdict, rate_champion=0.41, rate_candidate=0.41 * (1 + bad),
            needs="needs about 900 more mature canary exposures" if verdict == "inconclusive" else "", **common,
        ),
        MetricVerdict(
            metric=errors.name, method="exact first events", scale="absolute", bound=0.03, margin=0.01,
            estimate=0.0005, lower=-0.002, upper=0.003, verdict="pass", rate_champion=0.003, rate_candidate=0.0035,
            **common,
        ),
    )  # fmt: skip
    return Judgement(verdicts=verdicts, units=500, outcomes=500, pairs=500)


def evidence(at: datetime, state: RolloutState) -> Evidence:
    grid = np.zeros((128, 128), dtype=np.int64)
    grid[np.arange(60, 70), np.arange(60, 70)] = 5
    canary = 1234 if any(p.weight for p in state.phases[:-1]) else 0
    arms = {"champion": 9000, "shadow": 8000} | ({"canary": canary} if canary else {})
    return Evidence(
        at=at,
        units=UnitCounts(arms=arms),
        exposures={(1, "champion"): 31_000, (2, "champion"): 456, (1, "shadow"): 20_500},
        shadow=ShadowEvidence({"total": grid}, pairs=50, unmatched=3),
        capture={(1, "champion"): Captured(31_111, 31_112), (1, "shadow"): Captured(20_555, None)},
    )


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    lab.store.close()


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """One page for the tests that only read: v2 reaches everyone, v3 is stopped in shadow."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.release(2, lambda hour: -0.01)
    lab.release(3, lambda hour: 0.31 if hour >= 48 else 0.0, day=10)
    page = lab.report(intro="First.\n\nSecond.")
    lab.store.close()
    return page


class Outline(HTMLParser):
    """Text without the pictures, tags in order, and whether every tag that was opened is closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        named = dict(attrs)
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "svg":
            self.images.append(named)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"svg", "style", "details"} & set(self.open):
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def test_a_release_stopped_in_shadow_is_told_in_a_sentence(html):
    words = Outline(html).words
    sentence = (
        "v3 was stopped in shadow after 2 days: log_loss +31.00% [+29.00%, +33.00%], tolerated 1.5%; "
        "no user was touched."
    )
    assert words.count(sentence) == 2  # in the summary and over the section
    assert words.count("✕ stopped") == 2


def test_a_release_that_reached_everyone(html):
    words = Outline(html).words
    assert "v2 reached everyone after 3 days: no guardrail lost more than its margin (log_loss -1.00%" in words
    assert "errors +0.05pp [-0.20pp, +0.30pp], tolerated 1pp" in words
    assert "it had answered 1,234 units, at most 5% of units at a time." in words
    assert words.count("✓ promoted") == 2


def test_strikes_are_told_and_listed(lab):
    lab.release(2, lambda hour: 0.3 if hour > 60 else -0.01)
    words = Outline(lab.report()).words
    assert "and had 2 strikes." in words
    assert "2 of 4; 2026-03-04 15:00 UTC: log_loss; 2026-03-06 15:00 UTC: log_loss" in words


def test_a_release_under_way_says_what_is_missing(lab):
    lab.release(2, lambda hour: 0.03 if hour >= 48 else 0.0, hours=60, slack=0.05)
    words = Outline(lab.report()).words
    told = "v2 is at shadow since 2026-03-02 00:00 UTC: log_loss is inconclusive (log_loss: needs about 900 more"
    assert told in words
    assert "▸ running" in words
    assert "to now (2.4 days of event time)" in words


@pytest.mark.parametrize(
    ("by", "told"),
    [
        (
            (30, "abort", "wrong data"),
            "v2 was stopped in shadow after 1.2 days by bob: wrong data; no user was touched.",
        ),
        ((30, "pause", "audit"), "v2 is paused at shadow: audit."),
    ],
)
def test_what_people_did_is_told_with_their_names(lab, by, told):
    lab.release(2, lambda hour: -0.01, by=by, actor="bob")
    assert told in Outline(lab.report()).words


def test_facts_are_those_of_the_store(html):
    words = Outline(html).words
    assert plan_digest(PLAN) in words
    for number in ("9,000", "1,234", "31,456", "20,500", "31,111", "31,112", "20,555", "7,301", "812"):
        assert number in words
    assert "2026-03-02 00:00 UTC to 2026-03-05 00:00 UTC (3 days of event time), 24 looks" in words
    assert "+4.50%" in words  # the bound that the log loss had to exclude
    assert "0.30% 0.35%" in words  # error rates of both arms


def test_log_shows_moves_and_folds_what_changed_nothing(html):
    words = Outline(html).words
    for action in ("start", "advance", "promote"):
        assert f" {action} " in words
    assert "more stored decisions that changed nothing, 2026-03-02 06:00 UTC to" in html
    assert "shadow lasts until 2026-03-04 00:00" in html
    assert "name: standard" in html


def test_every_picture_is_there_described_and_its_own(html):
    page = Outline(html)
    labels = [image["aria-label"] or "" for image in page.images]
    assert [label.split(" ")[0] for label in labels] == ["Traffic", "log_loss", "errors", "Verdicts", "Scores"] * 2
    assert all(image["role"] == "img" for image in page.images)
    assert "at the last look log_loss +31.00% [+29.00%, +33.00%], tolerated 1.5%: fail." in labels[6]
    assert len(page.ids) == len(set(page.ids))
    assert page.open == []


def test_summary_lists_all_rollouts_in_order_and_links_them(html):
    assert re.findall(r'<a href="#(r-\d+)">', html) == ["r-0001", "r-0002"]
    assert {"r-0001", "r-0002", "summary"} <= set(Outline(html).ids)
    assert '<p class="intro">First.</p>' in html
    assert '<p class="intro">Second.</p>' in html


def test_nothing_that_users_wrote_is_markup(lab):
    evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
    loss, errors = PLAN.metrics
    plan = replace(PLAN, name=evil, description=evil, metrics=(replace(loss, name=evil), errors))
    lab.release(2, lambda hour: -0.01, plan=plan, by=(60, "abort", evil), actor=evil)
    html = lab.report(title=evil, intro=evil)
    page = Outline(html)
    assert not {"script", "img"} & set(page.tags)
    assert page.open == []
    assert evil in page.words
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in html


def test_page_needs_nothing_else(html):
    assert not {"script", "link", "img", "iframe"} & set(Outline(html).tags)
    outside = set(re.findall(r"https?://[^\"'\s)<]+", html)) - {"http://www.w3.org/2000/svg"}
    assert outside <= {"http://www.w3.org/1999/xlink"}


def test_dark_pages_recolour_what_the_pictures_use(html):
    for colour in (style.INK, style.MUTED, style.GRID, style.BLUE):
        assert f'figure [stroke="{colour}"]' in html or f'figure [fill="{colour}"]' in html
        assert f'"{colour}"' in html.split("</style>")[1]


def test_same_store_same_report(lab):
    lab.release(2, lambda hour: -0.01)
    assert lab.report() == lab.report()


def test_no_rollouts(lab):
    page = Outline(lab.report())
    assert "There is no rollout in this project yet." in page.words
    assert page.open == []


def test_evidence_that_was_cleaned_away_is_said_to_be_gone(lab):
    lab.release(2, lambda hour: -0.01)
    for path in lab.artifacts.root.iterdir():
        if path.is_file():
            path.unlink()
    words = Outline(lab.report()).words
    assert "not in the artifact store any more" in words
    assert "it had answered at most 5% of units at a time." in words
    assert "1,234" not in words


def test_evidence_that_was_changed_is_refused(lab):
    lab.release(2, lambda hour: -0.01)
    for path in lab.artifacts.root.iterdir():
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(IntegrityError):
        lab.report()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (172_800, "2 days"),
        (86_400, "1 day"),
        (5_400, "1.5 hours"),
        (60, "1 minute"),
        (59, "59 seconds"),
        (0, "0 seconds"),
    ],
)
def test_spans_of_time(seconds, told):
    assert span_text(timedelta(seconds=seconds)) == told
