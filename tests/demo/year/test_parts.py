"""The parts of a year: what is known when, what the log says, and what a mistake is answered with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from seatrial.demo import train
from seatrial.demo.year import chart, config
from seatrial.demo.year.controls import live_steps
from seatrial.demo.year.log import Answers, Log, Split
from seatrial.demo.year.models import Shelf, Version
from seatrial.demo.year.readings import Gauge, log_loss, normalised
from seatrial.demo.year.weeks import hindsight, weeks, whole
from seatrial.demo.year.world import World
from seatrial.errors import UsageError
from seatrial.events.schema import to_micros
from seatrial.gateway.assignment import assign
from seatrial.store.plans import read_plan

SHIPPED = Path(config.__file__).parent
CUT, END = datetime(2013, 2, 12, tzinfo=UTC), date(2013, 3, 5)


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(date(2013, 1, 1), END)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def first(world: World, shelf: Path) -> Version:
    return Shelf(shelf, world, seed=0).make(datetime(2013, 1, 1, tzinfo=UTC), CUT)


def test_nothing_is_trained_on_that_was_not_known_at_the_cut(first: Version, world: World) -> None:
    known = (world.times < to_micros(CUT)) & (world.known < to_micros(CUT))
    flown = (world.times < to_micros(CUT)) & ~np.isnan(world.late)
    assert first.data.rows == known.sum() < flown.sum(), "flights in the air at the cut are left out"
    assert first.data.end is not None
    assert first.data.end < CUT
    assert np.isnan(first.scores[world.times < to_micros(CUT)]).all(), "nor is anybody answered by it before"
    assert not np.isnan(first.scores[world.times >= to_micros(CUT)]).any()


def test_what_was_trained_is_kept_and_what_was_changed_is_trained_again(
    first: Version, world: World, shelf: Path
) -> None:
    again = Shelf(shelf, world, seed=0)
    same = again.make(first.start, first.cut)
    assert (again.trained, same.lineage) == (0, first.lineage)
    assert np.array_equal(same.scores, first.scores, equal_nan=True)
    artifact = next(path for path in shelf.iterdir() if path.suffix == ".skops")
    train.save(train.fit(world.rows[:5_000].dropna(subset=["delayed"])), artifact)
    mended = Shelf(shelf, world, seed=0)
    assert mended.make(first.start, first.cut).lineage.data == first.lineage.data
    assert mended.trained == 1, "its bytes are not those of its lineage"


def test_a_reading_sees_nothing_that_comes_later(first: Version, world: World) -> None:
    at = datetime(2013, 2, 25, 6, tzinfo=UTC)
    gauge = Gauge.of(world, first)
    now = gauge.reading(at)
    rows = world.rows.copy()
    later = world.times > to_micros(at)
    rows.loc[later, ["temp", "dewp"]] = 1_000.0
    rows.loc[world.known > to_micros(at), "delayed"] = True
    assert replace(gauge, world=World(rows)).reading(at) == now
    assert now.mature > 5_000
    rows.loc[~later & (world.times > to_micros(CUT)), "distance"] *= 10
    assert "distance" in replace(gauge, world=World(rows)).reading(at).psi, "what came before is seen"
    assert "distance" not in now.psi


def test_a_share_of_late_flights_alone_is_no_loss_of_quality() -> None:
    rng = np.random.default_rng(1)
    for rate in (0.1, 0.3, 0.5):
        late = (rng.random(200_000) < rate).astype(np.float64)
        score = np.full(200_000, late.mean())
        assert normalised(late, score) == pytest.approx(1)
    assert normalised(late, np.clip(score + 0.3 * (late - 0.5), 0, 1)) < 0.7


def test_the_log_has_every_flight_once_in_the_arm_of_its_hash(first: Version, world: World, tmp_path: Path) -> None:
    begin, until = (to_micros(datetime(2013, 2, day, 6, tzinfo=UTC)) for day in (20, 21))
    answers = Answers(1, 2, first.scores, 1 - first.scores)
    log = Log(tmp_path, "m", world)
    copies = log.write(begin, until, Split("r", 3, 2_000, 0, world.points("salt")), answers)
    (path,) = log.events.rglob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    asked = world.rows.iloc[world.between(begin, until)]
    assert copies == 0
    assert sorted(row["request_id"] for row in rows) == sorted(asked.flight_id)
    unit = dict(zip(asked.flight_id, asked.unit, strict=True))
    for row in rows:
        name = unit[row["request_id"]]
        wanted = "none" if name is None else "canary" if assign("salt", name) < 2_000 else "champion"
        assert row["arm"] == wanted, row["request_id"]
        assert row["served_version"] == ("2" if wanted == "canary" else "1")
    assert {row["arm"] for row in rows} >= {"canary", "champion"}


def test_a_shadow_answers_what_the_champion_answers_and_outcomes_come_when_they_are_known(
    first: Version, world: World, tmp_path: Path
) -> None:
    begin, until = (to_micros(datetime(2013, 2, day, 6, tzinfo=UTC)) for day in (20, 21))
    log = Log(tmp_path, "m", world)
    copies = log.write(
        begin, until, Split("r", 1, 0, 10_000, world.points("salt")), Answers(1, 2, first.scores, first.scores)
    )
    rows = pq.read_table(next(log.events.rglob("*.parquet"))).to_pylist()
    arms = {arm: {row["request_id"] for row in rows if row["arm"] == arm} for arm in ("champion", "shadow")}
    assert arms["shadow"] == arms["champion"]
    assert len(arms["shadow"]) == copies > 500
    outcomes = pq.read_table(next(log.outcomes.rglob("*.parquet"))).to_pylist()
    assert all(begin < to_micros(row["received_at"]) <= until for row in outcomes)
    assert {row["key"] for row in outcomes} - {row["request_id"] for row in rows}, "of flights of the day before"


def test_weeks_are_those_of_the_lanes(first: Version, world: World) -> None:
    begin, end = CUT, datetime(2013, 3, 4, tzinfo=UTC)
    lanes = {"model": first.scores, "worse": np.full(len(world.rows), 0.5)}
    found = list(weeks(world, lanes, begin, end))
    assert [week.start.day for week in found] == [12, 18, 25], "the first is part of one, the others begin on Mondays"
    assert all(week.lanes["worse"].auc == 0.5 for week in found)
    total = whole(world, lanes, begin, end)
    mean = sum(week.flights * week.lanes["model"].log_loss for week in found) / sum(week.flights for week in found)
    assert total["model"].log_loss == pytest.approx(mean)
    assert total["worse"].log_loss == pytest.approx(log_loss(np.array([1.0]), np.array([0.5])))
    known = hindsight(world, lanes["worse"], lanes["model"], begin, end)
    assert known is not None
    assert known > 0.1
    assert hindsight(world, first.scores, first.scores, begin, end) == 0
    assert hindsight(world, first.scores, first.scores, end, end) is None


def test_controls_go_through_the_live_steps_alone() -> None:
    plan = read_plan(SHIPPED / "plan.yaml")
    live = live_steps(plan)
    assert plan.mirrors
    assert not live.mirrors
    assert [step.set_weight for step in live.steps if step.set_weight] == [
        step.set_weight for step in plan.steps if step.set_weight
    ]
    assert replace(live, steps=plan.steps) == plan


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"begin": "2012-12-01"}, "ST0931", "in this order"),
        ({"end": "2013-02-01"}, "ST0931", "in this order"),
        ({"controls": {"storms": ["2014-03-08"], "before": "4d", "fault": "hours"}}, "ST0931", "2014-03-08"),
        ({"controls": {"storms": [], "before": "4d", "fault": "ours"}}, "ST0931", "'ours' is no fault"),
        ({"late": {"begin": "2013-02-01"}}, "ST0931", "2013-02-01 is not in the year"),
        ({"beginn": "2013-03-01"}, "ST0930", "beginn"),
        ({"costs": {"run": "much"}}, "ST0930", "costs"),
    ],
)
def test_a_year_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any], code: str, said: str) -> None:
    document = yaml.safe_load((SHIPPED / "year.yaml").read_text()) | change
    path = tmp_path / "year.yaml"
    path.write_text(json.dumps(document, default=str))
    with pytest.raises(UsageError, match=said) as found:
        config.read_config(path)
    assert found.value.code == code
    with pytest.raises(UsageError, match="there is no year"):
        config.read_config(tmp_path / "none.yaml")


def test_the_year_that_comes_along_can_be() -> None:
    assert config.read_config(SHIPPED / "year.yaml").controls.storms


def test_the_pictures_mark_runs_and_what_became_of_them() -> None:
    lane = {"auc": 0.7, "logLoss": 0.5}
    lanes = {"served": {"auc": 0.75, "logLoss": 0.45}, "neverRetrained": lane, "newest": lane}
    start = datetime(2013, 5, 6, tzinfo=UTC)
    document = {
        "begin": "2013-05-01", "end": "2013-07-01", "total": lanes,
        "weeks": [{"start": (start + timedelta(days=7 * n)).isoformat(), **lanes} for n in range(4)],
        "runs": [
            {"started": start.isoformat(), "ended": (start + timedelta(days=9)).isoformat(), "outcome": outcome}
            for outcome in ("promoted", "aborted", "undecided")
        ],
    }  # fmt: skip
    for draw, value in ((chart.auc_chart, 0.75), (chart.loss_chart, -0.1)):
        text = json.dumps(draw(document).to_dict())
        drawn = [json.loads(part) for part in _data(json.loads(text))]
        points = [row for rows in drawn for row in rows if "lane" in row]
        marks = sorted(row["mark"] for row in drawn[-1])
        assert {row["value"] for row in points if row["lane"] == "served"} == {value}
        assert marks == sorted(["a run starts"] * 3 + ["promoted", "not shipped"])


def _data(spec: dict[str, Any]) -> list[str]:
    sets = spec.get("datasets")
    if sets is not None:
        return [json.dumps(rows) if not isinstance(rows, str) else rows for rows in sets.values()]
    return [layer["data"]["values"] for layer in spec["layer"]]
