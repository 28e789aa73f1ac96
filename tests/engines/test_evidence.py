"""The engine against the plain definition, on random logs; and against itself, however the work is cut."""

import random
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seatrial.engines.evidence import EvidenceBuilder
from seatrial.events.compact import merge, sweep
from seatrial.events.compact import plan as plan_merge
from seatrial.events.parts import list_parts, model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, from_micros, to_micros, to_table
from seatrial.events.shelf import Shelf
from seatrial.evidence.codec import to_document
from seatrial.rollout.metric import Among, Metric
from seatrial.rollout.plan import Plan, Segment
from seatrial.values import Duration

D = Duration.parse
STARTED = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
START = to_micros(STARTED)
SECOND = 1_000_000
SPAN = 3 * 3600 * SECOND

PLAN = Plan(
    name="everything",
    steps=(),
    segments=(Segment(name="origin", field="origin"), Segment(name="kind", field="kind")),
    time_bucket=D("1h"),
    look_every=D("10m"),
    metrics=(
        Metric(name="errors", kind="error_rate"),
        Metric(name="slow", kind="latency", threshold=D("250ms")),
        Metric(name="slow requests", kind="latency", threshold=D("100ms"), per="request"),
        Metric(name="load", kind="requests_per_unit"),
        Metric(name="log", kind="loss", loss="log_loss", outcome="late", horizon=D("40m")),
        Metric(name="brier", kind="loss", loss="brier", outcome="late", horizon=D("1h")),
        Metric(name="gap", kind="loss", loss="absolute", outcome="amount", horizon=D("40m")),
        Metric(name="clicks", kind="proportion", outcome="late", horizon=D("40m")),
        Metric(name="clicks0", kind="proportion", outcome="late", horizon=D("40m"), missing="zero"),
        Metric(name="churn", kind="proportion", outcome="late", horizon=D("40m"), missing="fail", direction="decrease"),
        Metric(name="amount", kind="mean", outcome="amount", horizon=D("95s")),
        Metric(name="capped", kind="mean", outcome="amount", horizon=D("95s"), cap=3.0),
        Metric(name="per view", kind="ratio", numerator="amount", denominator="late", horizon=D("1h")),
        Metric(name="spend", kind="sum_per_time", outcome="amount"),
        Metric(name="answers", kind="missing_outcomes", outcome="late", horizon=D("40m")),
        Metric(
            name="allowed",
            kind="proportion",
            outcome="late",
            horizon=D("40m"),
            missing="fail",
            direction="decrease",
            among=Among(name="allowed", below=0.6),
        ),
    ),
)


def make_log(seed: int, requests: int = 120, values: int = 4):
    """Traffic of a shadow phase and a canary phase with everything that goes wrong, and outcomes that do too."""
    rng = random.Random(seed)
    rows, outcomes = [], []
    for n in range(requests):
        time = START + rng.choice([rng.randrange(SPAN), rng.randrange(18) * 600 * SECOND])
        unit = rng.choice([None, *(f"u{k}" for k in range(12))])
        phase = 1 if time < START + SPAN // 2 else 2
        arm = "champion" if phase == 1 or rng.random() < 0.6 else "canary"
        request = {
            "request_id": f"r{rng.randrange(10**6)}-{n}", "model": "m", "rollout": rng.choice(["r-1"] * 9 + ["r-2"]),
            "phase": phase, "arm": arm if unit else "none", "unit": unit,
            "bucket": None if unit is None else int(unit[1:]) * 20, "time": time, "event_time": time,
            "seg_origin": rng.choice(["JFK", "LGA", "unknown"]), "seg_kind": f"k{rng.randrange(values)}",
        }  # fmt: skip
        mirrored = phase == 1 and unit is not None and rng.random() < 0.8
        copies = [request] + [request | {"arm": "shadow", "unit": rng.choice([unit] * 5 + [None])}] * mirrored
        batch = rng.choice([1, 1, 1, 3])
        for copy in copies:
            late = 0 if copy is request else rng.choice([0, 0, 1, 30 * SECOND, 59 * SECOND, 60 * SECOND, 61 * SECOND])
            error = rng.random() < 0.15
            kind = "http_503" if error else rng.choice([None] * 9 + ["client_disconnect"])
            score = None if kind else rng.choice([rng.random(), rng.random(), 0.0, 1.0, 1.7, None])
            lost = copy is not request and rng.random() < 0.1
            for row in range(0 if lost else batch):
                rows.append(
                    copy
                    | {
                        "row": row,
                        "outcome_key": f"k{n}:{row}" if rng.random() < 0.9 else "shared",
                        "time": time + late,
                        "error": error,
                        "error_kind": kind,
                        "score": score,
                        "latency_us": rng.choice([None, 100_000, 250_000, rng.randrange(400_000)]),
                    }
                )
        for row in range(batch):
            for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
                name = rng.choice(["late", "late", "amount", "unread"])
                value = float(rng.random() < 0.5) if name == "late" else rng.choice([-2.5, 1e-7, 3.1415926535, 7.0])
                became = time + rng.randrange(-600, 80 * 60) * SECOND
                record = {
                    "key": f"k{n}:{row}" if rng.random() < 0.95 else "shared", "name": name, "value": value,
                    "time": became, "revision": rng.choice([0, 0, 0, 1]), "model": "m",
                    "received_at": max(START, became + rng.choice([0, 1, 600, 4000]) * SECOND),
                }  # fmt: skip
                outcomes += [record] * rng.choice([1, 1, 2])
    return rows, outcomes


def write_log(root: Path, rows, outcomes, rng: random.Random | None = None, at: int = 0) -> None:
    """Parts in any order and of any size; without ``rng`` one part in order of time."""
    segments = [segment.name for segment in PLAN.segments]
    for name, records, schema, source in (
        ("events", rows, event_schema(segments), "live"),
        ("outcomes", outcomes, OUTCOME_SCHEMA, "outcomes"),
    ):
        records = list(records)
        cuts = [0, len(records)]
        if rng is not None:
            rng.shuffle(records)
            cuts = sorted({0, len(records), *(rng.randrange(len(records) + 1) for _ in range(5))})
        for start, end in pairwise(cuts):
            table = to_table(records[start:end], schema)
            write_part(model_directory(root / name, "m"), source, "1a.2b", at + start, at + end, table)


def builder(root: Path, plan: Plan = PLAN) -> EvidenceBuilder:
    return EvidenceBuilder(root / "events", root / "outcomes", plan, "r-1", "m", STARTED)


def document(evidence) -> dict:
    found = to_document(evidence)
    for metric in [*found["metrics"].values(), *found["pairs"].values()]:
        metric.pop("cells")
    return found


def assert_same(found, wanted) -> None:
    assert document(found) == document(wanted)
    for name, metric in wanted.metrics.items():
        assert list(found.metrics[name].tally.rows()) == list(metric.tally.rows()), name
    for name, metric in wanted.pairs.items():
        assert list(found.pairs[name].tally.rows()) == list(metric.tally.rows()), name


# A failing log says enough as it is, and shrinking one takes minutes.
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(1, SPAN + 7200 * SECOND), max_size=12),
    end=st.integers(1, SPAN + 7200 * SECOND),
)
def test_evidence_is_what_the_definition_says_however_it_is_cut(reference, seed, cuts, end):
    rows, outcomes = make_log(seed)
    at = START + end
    wanted = reference(PLAN, "r-1", START, rows, outcomes, at).evidence({2}, {1})
    with TemporaryDirectory() as directory:
        root = Path(directory)
        write_log(root, rows, outcomes, random.Random(seed))
        stepwise = builder(root)
        for cut in sorted(cut for cut in cuts if cut < end):
            stepwise.advance(from_micros(START + cut))
        stepwise.advance(from_micros(at))
        assert_same(stepwise.snapshot(live={2}, mirrored={1}), wanted)
        at_once = builder(root)
        at_once.advance(from_micros(at))
        assert_same(at_once.snapshot(live={2}, mirrored={1}), wanted)
        assert to_document(at_once.snapshot(live={2}, mirrored={1})) == to_document(
            stepwise.snapshot(live={2}, mirrored={1})
        )


def test_the_random_logs_reach_every_part_of_the_definition(reference):
    """A comparison of empty things proves nothing."""
    rows, outcomes = make_log(7)
    evidence = reference(PLAN, "r-1", START, rows, outcomes, START + SPAN).evidence({2}, {1})
    for name, metric in evidence.metrics.items():
        assert metric.tally.exposures("champion") > 0, name
        assert metric.tally.exposures("canary") > 0, name
    assert all(evidence.metrics[name].late and evidence.metrics[name].missing for name in ("log", "clicks", "per view"))
    young = reference(PLAN, "r-1", START, rows, outcomes, START + SPAN // 2).evidence({2}, {1})
    assert all(metric.immature for metric in young.pairs.values())
    assert evidence.pairs["log"].tally.exposures("shadow") > 0
    assert evidence.shadow.pairs > 10
    assert evidence.shadow.unmatched > 5
    assert evidence.units.crossed > 0
    assert evidence.units.firsts["errors"]
    assert evidence.units.shadowed["slow"]


def test_the_fifty_first_value_of_a_dimension_is_other(reference, tmp_path):
    rows, outcomes = make_log(3, requests=200, values=80)
    write_log(tmp_path, rows, outcomes)
    built = builder(tmp_path)
    for hour in (1, 2, 3):
        built.advance(from_micros(START + hour * SPAN // 3))
    found = built.snapshot(live={2}, mirrored={1})
    assert_same(found, reference(PLAN, "r-1", START, rows, outcomes, START + SPAN).evidence({2}, {1}))
    kinds = [name for name in found.metrics["errors"].tally.segments() if name.startswith("kind=")]
    assert len(kinds) == 51
    assert "kind=other" in kinds


def test_a_snapshot_does_not_change_when_the_builder_goes_on(tmp_path):
    rows, outcomes = make_log(11)
    write_log(tmp_path, rows, outcomes)
    built = builder(tmp_path)
    built.advance(from_micros(START + SPAN // 2))
    early = built.snapshot(live={2}, mirrored={1})
    before = to_document(early)
    built.advance(from_micros(START + SPAN))
    assert to_document(early) == before
    assert to_document(built.snapshot(live={2}, mirrored={1})) != before


def event(n: int, at: float, **more):
    """One champion answer ``at`` seconds after the start."""
    time = START + round(at * SECOND)
    return {
        "request_id": f"r{n}", "row": 0, "outcome_key": f"k{n}", "model": "m", "rollout": "r-1", "phase": 1,
        "arm": "champion", "unit": f"u{n}", "bucket": n % 256, "time": time, "event_time": time, "error": False,
        "score": 0.5, "seg_origin": "JFK", "seg_kind": "k", "latency_us": 1000,
    } | more  # fmt: skip


def outcome(n: int, at: float, received: float, value: float = 1.0, **more):
    return {
        "key": f"k{n}", "name": "late", "value": value, "time": START + round(at * SECOND), "revision": 0,
        "received_at": START + round(received * SECOND), "model": "m",
    } | more  # fmt: skip


def clicks(root: Path, at: float):
    built = builder(root)
    built.advance(from_micros(START + round(at * SECOND)))
    found = built.snapshot(live={1}, mirrored=())
    tally = found.metrics["clicks"].tally
    rows = [row for row in tally.rows() if row[2] == "total"]
    return sum(row[5] for row in rows), sum(row[6] for row in rows) / 1e6, found.metrics["clicks"]


def test_an_exposure_matures_at_the_first_tick_after_its_horizon(tmp_path):
    """Horizon 40 min, ticks every 10: an exposure at 1 s matures at 50 min, one at 0 s at 40 min exactly."""
    write_log(tmp_path, [event(1, 1), event(2, 0)], [outcome(1, 60, 60), outcome(2, 60, 60)])
    assert clicks(tmp_path, 2400 - 1)[0] == 0
    assert clicks(tmp_path, 2400)[0] == 1
    assert clicks(tmp_path, 3000 - 1)[0] == 1
    assert clicks(tmp_path, 3000)[0] == 2


@pytest.mark.parametrize(
    ("became", "received", "counts"),
    [
        (2401, 2401, True),  # true exactly at the horizon of an exposure at 1 s
        (2402, 2402, False),  # true after it, though known in time
        (60, 3000, True),  # known exactly at the tick
        (60, 3001, False),  # known after it
        (-60, -60, True),  # known before the exposure
    ],
)
def test_an_outcome_counts_if_it_became_true_and_known_in_time(tmp_path, became, received, counts):
    write_log(tmp_path, [event(1, 1)], [outcome(1, became, received)])
    n, total, evidence = clicks(tmp_path, 9000)
    assert (n, total) == ((1, 1.0) if counts else (0, 0.0))
    assert evidence.missing == ({} if counts else {(1, "champion"): 1})
    assert evidence.late == (received > 3000)


def test_of_contradicting_outcomes_revision_wins_then_time_then_value(tmp_path):
    records = [
        outcome(1, 50, 60, 0.0, revision=1), outcome(1, 100, 60, 1.0),
        outcome(2, 50, 60, 0.0), outcome(2, 51, 55, 1.0),
        outcome(3, 50, 60, 0.0), outcome(3, 50, 60, 1.0),
        outcome(4, 50, 60, 0.0, revision=2), outcome(4, 50, 4000, 1.0, revision=3),
    ]  # fmt: skip
    write_log(tmp_path, [event(n, 1) for n in (1, 2, 3, 4)], records, random.Random(1))
    assert clicks(tmp_path, 9000)[:2] == (4, 2.0)


def test_a_part_that_is_superseded_is_counted_once(tmp_path):
    directory = model_directory(tmp_path / "events", "m")
    schema = event_schema([segment.name for segment in PLAN.segments])
    write_part(directory, "live", "1a.2b", 0, 100, to_table([event(1, 5)], schema))
    built = builder(tmp_path)
    built.advance(from_micros(START + 60 * SECOND))
    assert built.snapshot(live={1}, mirrored=()).exposures == {(1, "champion"): 1}
    write_part(directory, "live", "1a.2b", 0, 200, to_table([event(1, 5), event(2, 70)], schema))
    built.advance(from_micros(START + 120 * SECOND))
    assert built.snapshot(live={1}, mirrored=()).exposures == {(1, "champion"): 2}


@pytest.mark.slow
def test_what_is_over_is_forgotten_without_changing_the_evidence(tmp_path, monkeypatch):
    rows, outcomes = make_log(23)
    rows.sort(key=lambda row: row["time"])
    for n in range(0, len(rows), 10):
        write_log(tmp_path, rows[n : n + 10], outcomes if n == 0 else [], at=n)
    whole = builder(tmp_path)
    whole.advance(from_micros(START + 2 * SPAN))
    monkeypatch.setattr("seatrial.engines.pool._PRUNE_AT", 1)
    monkeypatch.setattr("seatrial.engines.pool.AT_ONCE", 20)
    monkeypatch.setattr("seatrial.engines.source.AT_ONCE", 20)
    pruned = builder(tmp_path)
    for n in range(1, 37):
        pruned.advance(from_micros(START + n * 600 * SECOND))
    pruned.advance(from_micros(START + 2 * SPAN))
    wanted = to_document(whole.snapshot(live={2}, mirrored={1}))
    assert to_document(pruned.snapshot(live={2}, mirrored={1})) == wanted
    left = pruned._pool._engine.query("SELECT count(*) AS n FROM exposures", {})["n"][0].as_py()
    assert left < 0.9 * sum(row["rollout"] == "r-1" and row["arm"] != "none" for row in rows)


def test_nothing_before_the_start_and_nothing_without_parts(tmp_path):
    built = builder(tmp_path)
    built.advance(from_micros(START - 1))
    assert built.at is None
    built.advance(from_micros(START + SECOND))
    evidence = built.snapshot(live=(), mirrored=())
    assert evidence.at == from_micros(START + SECOND)
    assert not evidence.exposures
    assert all(not metric.tally.cells for metric in evidence.metrics.values())


def test_a_segment_declared_later_is_unknown_in_older_parts(tmp_path):
    rows = [{k: v for k, v in event(1, 5).items() if not k.startswith("seg_")}]
    write_part(model_directory(tmp_path / "events", "m"), "live", "1a.2b", 0, 9, to_table(rows, event_schema()))
    built = builder(tmp_path)
    built.advance(from_micros(START + 60 * SECOND))
    segments = built.snapshot(live={1}, mirrored=()).metrics["errors"].tally.segments()
    assert segments == ["total", "kind=unknown", "origin=unknown"]


def test_a_plan_with_no_segments_and_no_outcomes(tmp_path):
    write_log(tmp_path, [event(1, 5, error=True, error_kind="http_500")], [])
    built = builder(tmp_path, Plan(name="small", steps=(), metrics=(Metric(name="errors", kind="error_rate"),)))
    built.advance(from_micros(START + 60 * SECOND))
    evidence = built.snapshot(live={1}, mirrored=())
    assert [row[4:] for row in evidence.metrics["errors"].tally.rows()] == [(1, 1, 1_000_000, 1_000_000)]
    assert evidence.units.firsts == {"errors": {(1, "champion"): 1}}
    assert evidence.pairs == {}


def test_the_engine_reads_no_files():
    from seatrial.engines.duck import DuckEngine

    engine = DuckEngine()
    with pytest.raises(Exception, match="disabled by configuration"):
        engine.query("SELECT * FROM read_csv('/etc/hostname')", {})
    with pytest.raises(Exception, match="lock"):
        engine.execute("SET enable_external_access = true", {})


def test_values_are_rounded_to_millionths_away_from_zero(tmp_path):
    amounts = [0.0000005, -0.0000005, 2.0000004, 5e12]
    records = [outcome(n, 2, 2, value, name="amount") for n, value in enumerate(amounts)]
    write_log(tmp_path, [event(n, 1) for n in range(4)], records)
    built = builder(tmp_path)
    built.advance(from_micros(START + 9000 * SECOND))
    rows = built.snapshot(live={1}, mirrored=()).metrics["amount"].tally.rows()
    found = {row[4]: row[6] for row in rows if row[2] == "total"}
    assert found == {0: 1, 1: -1, 2: 2_000_000, 3: 10**15}
    assert np.iinfo(np.int64).max > 10**15


def compact(root: Path, until: int, apart: list[int], rng: random.Random) -> int:
    """Merge whatever can be; now and then as a crash would leave it. Returns the number of merges."""
    merges = 0
    for kind, moment in (("events", "time"), ("outcomes", "received_at")):
        shelf = Shelf(model_directory(root / kind, "m"), moment)
        sweep(shelf)
        while batch := plan_merge(shelf.parts, from_micros(until), apart, eager=True):
            merged = merge(shelf, moment, batch)
            merged.publish()
            merges += 1
            if rng.random() < 0.5:
                break
            merged.discard_sources()
            shelf.refresh()
    return merges


@pytest.mark.parametrize(("seed", "on_both_sides"), [pytest.param(5, False, marks=pytest.mark.slow), (7, True)])
def test_compaction_between_looks_changes_nothing(tmp_path, monkeypatch, seed, on_both_sides):
    """Whether it keeps to one side of the last look, as a controller does, or not; before and after a restart."""
    rng = random.Random(seed)
    rows, outcomes = make_log(seed)
    small, large = tmp_path / "small", tmp_path / "large"
    watched, wanted = builder(large), builder(small)
    resets, merges, at, step = [], 0, 0, 3000 * SECOND
    forget = watched._watched.forget
    monkeypatch.setattr(watched._watched, "forget", lambda: (resets.append(1), forget()))
    for look in range(START, START + SPAN + 7200 * SECOND, step):
        new = [row for row in rows if look - step < row["time"] <= look + 300 * SECOND]
        rows = [row for row in rows if row not in new]
        told = [o for o in outcomes if look - step < o["received_at"] <= look + 300 * SECOND]
        outcomes = [o for o in outcomes if o not in told]
        new.sort(key=lambda row: row["time"])
        told.sort(key=lambda o: o["received_at"])
        for n in range(6):  # in order of time, so that the last ones are beyond the look
            pieces = [found[len(found) * n // 6 : len(found) * (n + 1) // 6] for found in (new, told)]
            for root in (small, large):
                write_log(root, *pieces, at=at)
            at += 1000
        for built in (watched, wanted):
            built.advance(from_micros(look))
        found = to_document(watched.snapshot(live={2}, mirrored={1}))
        assert found == to_document(wanted.snapshot(live={2}, mirrored={1}))
        merges += compact(large, look, [] if on_both_sides else [look], rng)
    assert found["metrics"]["errors"]["cells"]
    assert merges > 5
    assert bool(resets) == on_both_sides, "who keeps to one side of a look reads nothing twice"
    again = builder(large)
    again.advance(from_micros(look))
    assert to_document(again.snapshot(live={2}, mirrored={1})) == found
    counted = [len(list_parts(model_directory(root / "events", "m"))) for root in (small, large)]
    assert counted[1] < counted[0] / 2
