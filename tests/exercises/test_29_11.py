"""Exercise 29.11: outcomes that take longer than the canary: validation, reconciliation, harm that is found late."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aftermath import DAY, MODEL, PLAN, ROLLOUT, T0, Aftermath
from apisystem import call
from livesystem import T0 as T0_LIVE
from livesystem import fraction
from seatrial.api.app import create_app
from seatrial.cli import main
from seatrial.control.clock import StoredClock
from seatrial.control.documents.catalog import load
from seatrial.control.journal import Homecoming
from seatrial.control.offline import in_its_place
from seatrial.control.operations import Operations
from seatrial.control.reconciler import Reconciler
from seatrial.control.recorder import record, record_homecoming
from seatrial.control.watch import Watch
from seatrial.events.outcomes import Outcome
from seatrial.events.parts import list_parts, model_directory
from seatrial.rollout.verdicts import Decision, Signals
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

MANY = 30_000
HARM = 0.02


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(project: Path, *words: str) -> Said:
        with pytest.raises(SystemExit) as left:
            main(["--project", str(project), *words])
        return Said(int(left.value.code or 0), *capsys.readouterr())

    return run


def take(release: Aftermath, until: Any) -> None:
    """What the controller does when the replay's clock has come so far."""
    release.move(until)
    with Store.open(release.project.store_url) as store, in_its_place(release.project, store) as controller:
        controller.reconciler.take(until)


def released(root: Path, *, harm: float, seed: int = 1, plan: str = PLAN, count: int = MANY) -> Aftermath:
    """A release with planted harm to 7-day retention, its users and their outcomes."""
    release = Aftermath(root, plan=plan)
    users = release.users(count, seed=seed)
    release.write_events(users)
    release.write_outcomes(release.outcomes(users, harm=harm, seed=seed + 1))
    release.promote()
    return release


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Two points fewer of the canary's users are back within seven days; reconciled on days 8, 10, 31 and 33."""
    release = released(tmp_path_factory.mktemp("harmed"), harm=HARM)
    take(release, T0 + 35 * DAY)
    return release


# ── a: before it begins ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_gate_on_the_long_metric_is_refused_with_the_earliest_dates(tmp_path: Path, run: Any) -> None:
    gate = PLAN.replace("margin: 1%, role: signal", "margin: 1%")
    (tmp_path / "gate.yaml").write_text(gate)
    (tmp_path / "signal.yaml").write_text(PLAN)
    refused = run(tmp_path, "plan", "validate", str(tmp_path / "gate.yaml"))
    assert refused.code == 2
    assert "ST0203" in refused.err
    assert "Earliest decision: day 8 for the first cohort, day 10 for all" in refused.err
    assert run(tmp_path, "plan", "validate", str(tmp_path / "signal.yaml")).code == 0
    told = run(tmp_path, "plan", "explain", str(tmp_path / "signal.yaml")).out
    assert "retention_7d: earliest decision on day 8 for the first cohort, day 10 for all; reconciled then" in told
    assert "conversion_30d: earliest decision on day 31 for the first cohort, day 33 for all" in told
    assert "day1_return is a surrogate of retention_7d (historic correlation 0.62)" in told


def test_the_schedule_is_day_8_10_31_33(harmed: Aftermath, run: Any) -> None:
    found = run(harmed.root, "rollout", "get", ROLLOUT, "--json").json["reconciliation"]
    assert [(due["day"], due["metrics"]) for due in found["schedule"]] == [
        (8, ["retention_7d"]), (10, ["retention_7d"]), (31, ["conversion_30d"]), (33, ["conversion_30d"]),
    ]  # fmt: skip
    assert [result["day"] for result in found["results"]] == [8, 10, 31, 33]
    assert found["next"] is None, "all done"


def test_no_gate_passes_on_immature_outcomes_and_it_passes_once_they_have_matured(tmp_path: Path, run: Any) -> None:
    """A canary of ten days whose gate is the seven-day metric: the same users, too early and in time."""
    gate = PLAN.replace("margin: 1%, role: signal", "margin: 20%").replace("duration: 3d", "duration: 10d")
    gate = gate.replace("  - {name: errors, kind: error_rate, margin: 1pp}\n", "")
    release = Aftermath(tmp_path, plan=gate + "timeBucket: 1d\nlookEvery: 1d\n")
    users = release.users(6_000, returning=0.0)
    release.write_events(users, key_by_unit=True)
    release.write_outcomes(release.outcomes(users, harm=0.0))
    early = look(release, T0 + 3 * DAY)
    (verdict,) = [v for v in early.verdicts if v.metric == "retention_7d"]
    assert (early.action, verdict.verdict) == ("hold", "immature")
    document = run(release.root, "rollout", "get", ROLLOUT, "--json").json
    told = {v["metric"]: v for v in document["verdicts"]}
    assert told["retention_7d"]["maturity"] == {
        "state": "immature", "cohorts": [{"day": day, "matured": 0.0} for day in (1, 2, 3)],
    }  # fmt: skip
    assert told["day1_return"]["maturity"]["state"] == "partially_mature"
    assert told["day1_return"]["surrogateOf"] == {"metric": "retention_7d", "correlation": 0.62}
    tree = run(release.root, "rollout", "get", ROLLOUT).out
    assert "immature: day 1 0%, day 2 0%, day 3 0%" in tree
    assert "surrogate of retention_7d (historic correlation 0.62)" in tree
    late = look(release, T0 + 10 * DAY)
    assert {v.metric: v.verdict for v in late.verdicts}["retention_7d"] == "pass"


def look(release: Aftermath, at: datetime) -> Decision:
    """One look of the controller's, recorded."""
    with Store.open(release.project.store_url) as store, store.begin() as tx:
        stored = tx.rollouts.get(ROLLOUT)
        watch = Watch(release.project, load(stored))
        looked = watch.look(load(stored).state, at, {}, Signals())
        watch.close()
        record(tx, looked.decision, looked.state, revision=stored.revision, digest=None, store_decision=True)
    return looked.decision


# ── b: reconciliation ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_harm_is_found_by_first_exposure_with_its_dilution(harmed: Aftermath, run: Any) -> None:
    said = run(harmed.root, "rollout", "reconcile", MODEL, "--at", "2026-03-12T00:00:00Z", "--json")
    assert said.code == 3
    assert said.json["schema"] == "seatrial.reconciliation.v1"
    assert said.json["day"] == 10
    (metric,) = said.json["metrics"]
    assert (metric["metric"], metric["verdict"], metric["maturity"]) == ("retention_7d", "fail", "mature")
    low, high = metric["difference"]["lower"], metric["difference"]["upper"]
    assert low < -HARM < high < 0
    assert metric["unitsCandidate"] + metric["unitsChampion"] == MANY
    assert 0.03 < metric["diluted"] < 0.12, "those of the champion's users who came again within their seven days"
    assert "diluted" in metric["text"]
    assert metric["contaminated"] > 0
    assert metric["surrogates"] == [{"metric": "day1_return", "correlation": 0.62}]
    kinds = {one["kind"] for one in said.json["confounds"]}
    assert kinds == {"both_arms", "weekly_cycle"}


def test_on_day_8_only_the_first_cohort_has_matured(harmed: Aftermath, run: Any) -> None:
    (metric,) = run(harmed.root, "rollout", "reconcile", ROLLOUT, "--at", "2026-03-10T00:00:00Z", "--json").json[
        "metrics"
    ]
    assert metric["maturity"] == "partially_mature"
    ripe = {(c["day"], c["arm"]): c["matured"] / c["units"] for c in metric["cohorts"]}
    assert {ripe[day, arm] for day, arm in ripe if day == 1} == {1.0}
    assert {ripe[day, arm] for day, arm in ripe if day > 1} == {0.0}


def test_nothing_passes_on_immature_outcomes(harmed: Aftermath, run: Any) -> None:
    said = run(harmed.root, "rollout", "reconcile", ROLLOUT, "--at", "2026-03-08T00:00:00Z", "--json").json
    assert {(m["metric"], m["verdict"], m["maturity"]) for m in said["metrics"]} == {
        ("retention_7d", "immature", "immature"), ("conversion_30d", "immature", "immature"),
    }  # fmt: skip
    assert all(c["matured"] == 0 for m in said["metrics"] for c in m["cohorts"])


def test_the_same_model_against_itself_does_no_harm(tmp_path: Path, run: Any) -> None:
    release = released(tmp_path, harm=0.0, count=12_000)
    take(release, T0 + 35 * DAY)
    found = run(release.root, "rollout", "get", ROLLOUT, "--json").json["reconciliation"]
    verdicts = {(r["day"], m["metric"]): m["verdict"] for r in found["results"] for m in r["metrics"]}
    assert "fail" not in verdicts.values()
    assert verdicts[33, "conversion_30d"] == "inconclusive", "no margin is declared: nothing to pass"
    assert found["incidents"] == release.alerts("rollout.reconciled_harm") == []


def test_late_repeated_and_shuffled_outcomes_come_to_the_same(tmp_path: Path, run: Any) -> None:
    ordered, scattered = Aftermath(tmp_path / "a"), Aftermath(tmp_path / "b")
    users = ordered.users(4_000)
    records = ordered.outcomes(users, harm=0.1)
    for release in (ordered, scattered):
        release.write_events(users)
        release.promote()
        release.move(T0 + 40 * DAY)
    ordered.write_outcomes(records)
    mixed = [*records, *records[::3]]
    random.Random(4).shuffle(mixed)
    half = len(mixed) // 3
    asked = ("rollout", "reconcile", ROLLOUT, "--at", "2026-03-12T00:00:00Z", "--json")
    scattered.write_outcomes(mixed[:half])
    first = run(scattered.root, *asked).json
    scattered.write_outcomes(mixed[half:], piece=1, received=T0 + 39 * DAY)
    whole, again, plain = (
        run(scattered.root, *asked).json,
        run(scattered.root, *asked).json,
        run(ordered.root, *asked).json,
    )
    assert whole["metrics"] == again["metrics"] == plain["metrics"]
    assert first["metrics"] != whole["metrics"], "a part of the outcomes would have been seen"
    told = run(scattered.root, "rollout", "get", ROLLOUT, "--json").json["reconciliation"]["results"]
    assert [result["revision"] for result in told] == [2], "once more with what came late; the same again is not kept"
    assert len(scattered.audit("rollout.reconcile")) == 2


def test_each_planned_look_is_made_good_a_day_later(tmp_path: Path) -> None:
    release = Aftermath(tmp_path)
    users = release.users(2_000)
    records = release.outcomes(users, harm=0.0)
    release.write_events(users)
    release.write_outcomes(records[::2])
    release.promote()
    take(release, T0 + 8 * DAY)
    assert revisions(release) == [(8, 1)]
    release.write_outcomes(records[1::2], piece=1, received=T0 + 8 * DAY)
    take(release, T0 + 9 * DAY)
    assert revisions(release) == [(8, 1), (8, 2)], "what was reported at night is in it"
    take(release, T0 + 11 * DAY)
    assert revisions(release) == [(8, 1), (8, 2), (10, 1)], "nothing came for day 10 afterwards"


def revisions(release: Aftermath) -> list[tuple[int, int]]:
    """Day and revision of everything that was found."""
    with Store.open(release.project.store_url) as store, store.read() as tx:
        return [((found.at - T0).days, found.revision) for found in tx.follow_ups.results(ROLLOUT)]


def test_the_log_of_a_followed_release_is_kept_as_long_as_it_is_needed(tmp_path: Path) -> None:
    release = Aftermath(tmp_path, more="capture: {retention: 5d}\n")
    users = release.users(600, returning=0.0)
    release.write_events(users)
    release.write_outcomes(release.outcomes(users, harm=0.0))
    release.promote()
    assert kept(release, T0 + 20 * DAY) == 1, "two reconciliations are still to come"
    take(release, T0 + 35 * DAY)
    assert kept(release, T0 + 36 * DAY) == 0


def kept(release: Aftermath, now: datetime) -> int:
    """Parts of the event log that housekeeping leaves."""
    release.move(now)
    with Store.open(release.project.store_url) as store, in_its_place(release.project, store) as controller:
        while controller.housekeeping.step():
            pass
    return len(list_parts(model_directory(release.project.events, MODEL)))


# ── c: harm that is found late ─────────────────────────────────────────────────────────────────────────────────────


def test_an_incident_is_opened_once_with_options_and_costs(harmed: Aftermath, run: Any) -> None:
    listed = run(harmed.root, "incidents", "list", "--json").json["incidents"]
    assert [(one["metric"], one["open"]) for one in listed] == [("retention_7d", True)]
    (incident,) = listed
    assert {o["choice"]: o["possible"] for o in incident["options"]} == {
        "roll_back": True, "hold": True, "fix_forward": True,
    }  # fmt: skip
    costs = {o["choice"]: o["cost"]["estimate"] for o in incident["options"]}
    assert costs["roll_back"] == 0 < costs["fix_forward"] < costs["hold"]
    a_day = incident["lossPerDay"]
    assert 0 < a_day["lower"] < a_day["estimate"] < a_day["upper"]
    assert a_day["estimate"] == pytest.approx(incident["daily"] * -_difference(harmed, run), rel=1e-6)
    assert incident["effect"]["upper"] < 0
    assert incident["exposed"] > MANY / 2
    assert incident["daysSince"] in (5, 7), "as soon as the first cohort has matured, or all have"
    assert {c["kind"] for c in incident["confounds"]} == {"both_arms", "weekly_cycle"}
    (alert,) = harmed.alerts("rollout.reconciled_harm")
    assert (alert.severity, alert.detail["incident"]) == ("critical", incident["id"])
    shown = run(harmed.root, "incidents", "show", incident["id"]).out
    assert "roll_back" in shown
    assert "less than a week" in shown
    with Store.open(harmed.project.store_url) as store, store.read() as tx:
        assert tx.models.pointers(MODEL)["champion"] == 2, "nothing is rolled back silently"


def _difference(release: Aftermath, run: Any) -> float:
    opened = release.audit("incident.open")[0]["object"]
    at = run(release.root, "incidents", "show", opened, "--json").json["at"]
    (metric,) = run(release.root, "rollout", "reconcile", ROLLOUT, "--at", at, "--json").json["metrics"]
    return float(metric["difference"]["estimate"])


@pytest.mark.slow
def test_what_was_known_and_what_was_chosen_is_on_the_record(tmp_path: Path, run: Any) -> None:
    release = released(tmp_path, harm=0.1, count=6_000)
    take(release, T0 + 12 * DAY)
    known = release.audit("rollout.reconcile")[-1]
    assert known["metrics"]["retention_7d"]["upper"] < 0
    assert known["exposed"] > 0
    assert known["daysSince"] == pytest.approx(7)
    assert any("less than a week" in text for text in known["confounds"])
    nameless = run(release.root, "incidents", "close", "i-0001", "--choice", "hold", "--reason", " ")
    assert (nameless.code, "ST0327" in nameless.err) == (2, True)
    said = run(
        release.root, "incidents", "close", "i-0001", "--choice", "fix_forward", "--reason", "v3 is ready on Monday"
    )
    assert said.code == 0
    (closed,) = release.audit("incident.close")
    assert (closed["choice"], closed["reason"]) == ("fix_forward", "v3 is ready on Monday")
    assert run(release.root, "incidents", "list", "--open", "--json").json["incidents"] == []
    twice = run(release.root, "incidents", "close", "i-0001", "--choice", "hold", "--reason", "on second thought")
    assert (twice.code, "ST0329" in twice.err) == (1, True)
    take(release, T0 + 40 * DAY)
    assert len(release.audit("incident.open")) == 1, "found again at later looks, opened once"
    tree = run(release.root, "rollout", "get", ROLLOUT).out
    assert "Reconciled on days 8, 10, 31, 33" in tree
    assert "incident i-0001 (fix forward)" in tree


@pytest.mark.slow
def test_the_report_and_the_api_tell_what_happened_after_the_release(harmed: Aftermath, run: Any) -> None:
    out = harmed.root / "report.html"
    assert run(harmed.root, "report", "--out", str(out)).code == 0
    report = out.read_text()
    assert "After the release" in report
    assert "its surrogate was day1_return (historic correlation 0.62)" in report
    assert "diluted" in report
    with Store.open(harmed.project.store_url) as store:
        app = create_app(Operations(harmed.project, store), harmed.project, store)
        (incident,) = call(app, "GET", "/v1/incidents?open=true").json()["incidents"]
        assert call(app, "GET", f"/v1/incidents/{incident['id']}").json() == incident
        assert call(app, "GET", f"/v1/rollouts/{ROLLOUT}").json()["reconciliation"]["results"]
        page = call(app, "GET", f"/rollouts/{ROLLOUT}").text
    assert "After the release" in page
    assert f"Incident {incident['id']}" in page


@pytest.mark.parametrize("way_back", [True, False])
def test_a_rollback_by_plan_needs_a_way_back(tmp_path: Path, run: Any, way_back: bool) -> None:
    release = released(tmp_path, harm=0.2, count=3_000, plan=PLAN + "onReconciledHarm: rollback\n")
    moves = []
    with Store.open(release.project.store_url) as store:
        if not way_back:
            with store.begin() as tx:
                tx.models.move_pointer(MODEL, "previous", expected=1, to=None, actor="ann", now=T0 + 4 * DAY)
        for _ in range(2):  # the second finds nothing more to do
            Reconciler(
                release.project, store, StoredClock(store), until=lambda: T0, go_home=_recorded(store, moves)
            ).take(T0 + 12 * DAY)
        with store.read() as tx:
            (incident,) = tx.incidents.list()
            champion = tx.models.pointers(MODEL)["champion"]
    assert (len(moves), champion) == ((1, 1) if way_back else (0, 2))
    assert (incident.open, incident.choice) == ((False, "roll_back") if way_back else (True, None))
    shown = run(release.root, "incidents", "show", incident.id).out
    assert ("v1 is the standby no more" in shown) is not way_back


@pytest.mark.parametrize("way_back", [True, False])
def test_who_chooses_the_way_back_gets_it_or_keeps_the_choice(tmp_path: Path, run: Any, way_back: bool) -> None:
    release = released(tmp_path, harm=0.2, count=3_000)
    take(release, T0 + 12 * DAY)
    chosen = ("incidents", "close", "i-0001", "--choice", "roll_back", "--reason", "users stay away")
    with Store.open(release.project.store_url) as store:
        if not way_back:
            with store.begin() as tx:
                tx.models.move_pointer(MODEL, "previous", expected=1, to=None, actor="ann", now=T0 + 4 * DAY)
        said = run(release.root, *chosen, "--json")
        with store.read() as tx:
            (incident,) = tx.incidents.list()
            champion = tx.models.pointers(MODEL)["champion"]
    if not way_back:
        assert (said.code, "ST0349" in said.err, "the standby no more" in said.err) == (1, True, True)
        assert (champion, incident.open) == (2, True), "nothing moved, and the choice is still to be made"
        return
    assert (said.code, champion, incident.choice) == (0, 1, "roll_back")
    assert (said.json["rolledBack"]["to"], said.json["choice"]) == ("v1", "roll_back")
    moved = [entry for entry in release.audit("pointer.move") if entry["object"] == f"{MODEL}@champion"]
    assert moved[-1]["reason"] == "i-0001: users stay away"


def test_a_way_home_that_was_taken_before_is_only_recorded(tmp_path: Path, run: Any) -> None:
    release = released(tmp_path, harm=0.2, count=3_000)
    take(release, T0 + 12 * DAY)
    assert run(release.root, "rollback", MODEL, "--reason", "at once").code == 0
    before = release.audit("pointer.move")
    said = run(release.root, "incidents", "close", "i-0001", "--choice", "roll_back", "--reason", "as it is")
    assert said.code == 0, said.err
    assert "serves again since before" in said.out
    assert release.audit("pointer.move") == before, "nothing moved twice"


def _recorded(store: Store, moves: list[Homecoming]) -> Callable[[Homecoming], None]:
    def go_home(move: Homecoming) -> None:
        moves.append(move)
        with store.begin() as tx:
            record_homecoming(tx, move)

    return go_home


@pytest.mark.live
def test_a_plan_may_say_that_harm_is_rolled_back(make: Any) -> None:
    """Through a real gateway: the standby answers everybody again, and the incident says who chose."""
    live = make()
    live.adopt(live.server("champion"))
    second = live.register(live.server("second"))
    plan = PLAN.replace("  - {name: day1", "  #").replace("     surrogateOf", "  #") + "onReconciledHarm: rollback\n"
    rollout = live.begin(second, parse_plan(plan + "timeBucket: 1d\nlookEvery: 12h\n"))
    sent = live.send(live.people(0, 500))
    live.operations.advance(T0_LIVE + DAY)
    live.operations.by_hand(rollout, "promote", full=True, reason="agreed", actor="ann")
    rate = {"canary": 0.4, "champion": 0.7}
    back = [s for s in sent if fraction("back", s.unit) < rate[s.answer.arm]]
    live.operations.ingest([Outcome("fraud", s.unit, "retained", 1.0, s.time + 2 * DAY) for s in back])
    live.operations.advance(T0_LIVE + 7 * DAY)
    assert live.operations.split("fraud") == {"v2": 1.0}, "nothing has matured"
    live.operations.advance(T0_LIVE + 9 * DAY)
    assert live.operations.split("fraud") == {"v1": 1.0}
    assert live.pointers()["champion"] == 1
    with live.store.read() as tx:
        (incident,) = tx.incidents.list()
    assert (incident.choice, incident.closed_by) == ("roll_back", "seatrial")
    assert [a for a in live.actions() if a.startswith(("incident", "rollout.reconcile"))] == [
        "rollout.reconcile", "incident.open", "incident.close",
    ]  # fmt: skip


@pytest.mark.parametrize(("standby", "warned"), [("artifact", 0), ("url", 1)])
def test_a_way_home_that_nobody_can_promise_is_told_at_promotion(
    tmp_path: Path, run: Any, standby: str, warned: int
) -> None:
    release = Aftermath(tmp_path, standby=standby)
    assert release.alerts("rollout.standby") == []
    release.promote()
    alerts = release.alerts("rollout.standby")
    assert len(alerts) == warned
    (planned,) = release.audit("rollout.follow_up")
    assert bool(planned["standby"]["warning"]) is bool(warned)
    assert planned["standby"]["until"].startswith("2026-04-04"), "day 33"
    if warned:
        assert "keep it running until then" in alerts[0].text
        assert "keep it running until then" in run(release.root, "rollout", "get", ROLLOUT).out
