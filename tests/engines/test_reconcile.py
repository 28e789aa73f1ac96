"""What became of units, against the plain definition on random logs; and the same in any order and in any pieces."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seatrial.engines.reconcile import Followed, follow
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, from_micros, to_micros, to_table
from seatrial.evidence.tally import MICRO, Tally
from seatrial.rollout.metric import Metric
from seatrial.values import Duration

D = Duration.parse
START = datetime(2026, 3, 2, tzinfo=UTC)
S = to_micros(START)
HOUR = 3600 * MICRO
DAY = 24 * HOUR
END = START + timedelta(days=2)
METRICS = (
    Metric(name="returns", kind="proportion", outcome="back", horizon=D("3d"), missing="zero"),
    Metric(name="known", kind="proportion", outcome="back", horizon=D("1d")),
    Metric(name="churn", kind="proportion", outcome="gone", horizon=D("3d"), missing="fail", direction="decrease"),
    Metric(name="spent", kind="mean", outcome="paid", horizon=D("4d")),
    Metric(name="spent at most 1", kind="mean", outcome="paid", horizon=D("4d"), cap=1.0),
    Metric(name="per visit", kind="ratio", numerator="paid", denominator="visits", horizon=D("4d")),
)
ASKED = Followed(
    rollout="r-1", model="m", candidate=2, phases=(2, 3), started=START, ended=END, bucket_s=3600.0
)  # fmt: skip


def name_of(unit: str) -> str:
    return f"hash-{unit}"


def make_log(seed: int, requests: int = 150):
    """A shadow phase, two canary phases, the time after, other rollouts; outcomes by unit and by exposure."""
    rng = random.Random(seed)
    rows, outcomes = [], []
    for n in range(requests):
        t = S - DAY + rng.randrange(8 * DAY)
        unit = f"hash-u{rng.randrange(20)}"
        phase = 1 if t < S else 2 if t < S + DAY else 3
        during = t < to_micros(END)
        arm = rng.choice(["champion", "canary"]) if during and phase > 1 else "champion"
        rows.append({
            "request_id": f"q{n}", "row": 0, "outcome_key": f"q{n}", "model": "m",
            "unit": rng.choice([unit] * 9 + [None]),
            "rollout": rng.choice(["r-1"] * 9 + ["r-0"]) if during else None, "phase": phase if during else None,
            "arm": rng.choice([arm] * 9 + ["shadow"]), "bucket": int(unit[6:]) * 7,
            "served_version": rng.choice(["1", "2", "2", None]), "time": t,
        })  # fmt: skip
        if rng.random() < 0.8:
            key = rng.choice([f"q{n}", unit.removeprefix("hash-"), "q-none"])
            at = t + rng.randrange(-DAY, 5 * DAY)
            for name in rng.sample(["back", "gone", "paid", "visits"], 2):
                value = float(rng.randrange(2)) if name in ("back", "gone") else rng.randrange(9) / 4
                outcomes.append({"key": key, "name": name, "value": value, "time": at, "revision": rng.randrange(2),
                                 "received_at": at + rng.randrange(20 * DAY), "model": "m"})  # fmt: skip
    return rows, outcomes


def write(root: Path, rows, outcomes, pieces: int = 1) -> None:
    for name, schema, found in (("e", event_schema(), rows), ("o", OUTCOME_SCHEMA, outcomes)):
        for n in range(pieces):
            if part := found[n::pieces]:
                write_part(model_directory(root / name, "m"), "log", "a.1", 10 * n, 10 * n + 10, to_table(part, schema))


def asked(root: Path, at: datetime):
    return follow(root / "e", root / "o", ASKED, METRICS, at, name_of)


class Reference:
    """The definition of engines.reconcile, slowly."""

    def __init__(self, rows, outcomes, at: int) -> None:
        ours = [r for r in rows if r["unit"] and r["arm"] != "shadow" and S <= r["time"] <= at]
        self.at, self.rows, self.outcomes = at, ours, outcomes
        self.first = {}
        for r in sorted(ours, key=lambda r: (r["time"], r["request_id"])):
            if r["rollout"] == "r-1" and r["phase"] in (2, 3):
                self.first.setdefault(r["unit"], r)

    def arm_met(self, row) -> str:
        new = row["arm"] == "canary" if row["rollout"] == "r-1" else row["served_version"] == "2"
        return "canary" if new else "champion"

    def value(self, unit: str, metric: Metric, name: str):
        t0, horizon = self.first[unit]["time"], round(metric.horizon.seconds * MICRO)
        keys = {r["outcome_key"] for r in self.rows if r["unit"] == unit} | {unit.removeprefix("hash-")}
        best = {}
        for o in self.outcomes:
            if o["key"] in keys and o["name"] == name and t0 <= o["time"] <= t0 + horizon:
                best[o["key"]] = max(best.get(o["key"], (-1, 0, 0)), (o["revision"], o["time"], o["value"]))
        at_most = metric.cap or 9.0
        worth = [round(min(value, at_most) * MICRO) for _, _, value in best.values()]
        return None if not worth else max(worth) if metric.kind == "proportion" else sum(worth)

    def follow_up(self, metric: Metric):
        horizon = round(metric.horizon.seconds * MICRO)
        tally, missing, crossed, after = [], Counter(), Counter(), Counter()
        for unit, row in self.first.items():
            if row["time"] + horizon > self.at:
                continue
            cell = (row["phase"], row["time"] // HOUR * 3600, "total", row["arm"], row["bucket"])
            values = [self.value(unit, metric, name) for name in metric.outcomes]
            if None in values:
                missing[row["arm"]] += 1
                if metric.missing != "exclude":
                    tally.append((*cell, 1, MICRO * (metric.missing == "fail"), MICRO))
            else:
                tally.append((*cell, 1, values[0], values[1] if metric.kind == "ratio" else MICRO))
            others = [r["time"] for r in self.rows if r["unit"] == unit and self.arm_met(r) != row["arm"]]
            crossed[row["arm"]] += bool(others) and min(others) <= row["time"] + horizon
            after[row["arm"]] += bool(others) and max(others) >= to_micros(END)
        return Tally.from_rows(tally), missing, crossed, after

    def cohorts(self, metric: Metric):
        horizon = round(metric.horizon.seconds * MICRO)
        units, ripe = Counter(), Counter()
        for row in self.first.values():
            place = ((row["time"] - S) // DAY + 1, row["arm"])
            units[place] += 1
            ripe[place] += row["time"] + horizon <= self.at
        return [(day, arm, units[day, arm], ripe[day, arm]) for day, arm in sorted(units)]


@settings(max_examples=8, deadline=None, phases=[Phase.generate])  # shrinking a log takes minutes
@given(seed=st.integers(0, 10**6), days=st.sampled_from([1, 4, 5, 7]))
def test_the_engine_is_the_definition(seed: int, days: int) -> None:
    rows, outcomes = make_log(seed)
    at = START + timedelta(days=days)
    with TemporaryDirectory() as place:
        write(Path(place), rows, outcomes, pieces=3)
        found, reach = asked(Path(place), at)
    reference = Reference(rows, outcomes, to_micros(at))
    for metric in METRICS:
        tally, missing, crossed, after = reference.follow_up(metric)
        told = found[metric.name]
        assert told.tally == tally, metric.name
        assert Counter(told.missing) == missing
        assert Counter(told.crossed) == crossed
        assert Counter(told.after) == after
        assert [(c.day, c.arm, c.units, c.matured) for c in told.cohorts] == reference.cohorts(metric)
    assert reach.exposed == len({r["unit"] for r in reference.rows if reference.arm_met(r) == "canary"})


@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 10**6), order=st.randoms(use_true_random=False), half=st.integers(0, 200))
def test_any_order_any_halves_and_twice_is_the_same(seed: int, order: random.Random, half: int) -> None:
    rows, outcomes = make_log(seed)
    at = START + timedelta(days=7)
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        write(Path(first), rows, outcomes)
        shuffled, again = [*rows], [*outcomes, *outcomes[:half]]
        order.shuffle(shuffled)
        order.shuffle(again)
        again = [o | {"received_at": o["received_at"] + order.randrange(90 * DAY)} for o in again]
        write(Path(second), shuffled, again, pieces=2)
        assert asked(Path(first), at) == asked(Path(second), at)


def test_a_record_that_says_something_else_is_seen() -> None:
    rows, outcomes = make_log(7)
    at = START + timedelta(days=7)
    with TemporaryDirectory() as place:
        write(Path(place), rows, outcomes)
        before, _ = asked(Path(place), at)
        unit = next(
            r for r in rows if r["rollout"] == "r-1" and r["phase"] == 2 and r["unit"] and r["arm"] == "champion"
        )
        told = {"key": unit["unit"].removeprefix("hash-"), "name": "paid", "value": 99.0, "time": unit["time"] + DAY,
                "revision": 5, "received_at": unit["time"], "model": "m"}  # fmt: skip
        write_part(model_directory(Path(place) / "o", "m"), "log", "b.2", 0, 9, to_table([told], OUTCOME_SCHEMA))
        after, _ = asked(Path(place), at)
    assert before["spent"] != after["spent"]
    assert before["returns"] == after["returns"]
    assert from_micros(S) == START
