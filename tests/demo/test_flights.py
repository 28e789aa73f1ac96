"""The demo's data, models, feature releases and serving app, as the demo relies on them."""

from __future__ import annotations

import json
import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from seatrial.demo import app, features, flights, offline, train

DATA = Path(flights.__file__).parent / "data"


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    return flights.load(date(2013, 1, 1), date(2014, 1, 2))


@pytest.fixture(scope="module")
def trained() -> train.Trained:
    return train.train(date(2013, 5, 1), date(2013, 7, 1), seed=1)


@pytest.fixture(scope="module")
def model(trained: train.Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "delay.skops"
    train.save(trained.pipeline, path)
    return path


@pytest.fixture(scope="module")
def july() -> pd.DataFrame:
    return flights.load(date(2013, 7, 3), date(2013, 7, 10))


@pytest.fixture(scope="module")
def release_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "release.json"
    features.publish(path, "minutes")
    return path


@pytest.fixture(scope="module")
def serving(model: Path, release_file: Path) -> Iterator[httpx.Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--model", str(model), "--port", str(port), "--features", str(release_file)]
    process = subprocess.Popen([sys.executable, "-m", "seatrial.demo.app", *options])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            _wait_until_ready(client, process)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


class TestData:
    def test_every_flight_of_the_year_is_there_in_time_order(self, year: pd.DataFrame) -> None:
        assert len(year) == 336_776
        assert year.event_time.is_monotonic_increasing
        assert year.flight_id.is_unique
        assert (year.carrier.nunique(), year.origin.nunique(), year.dest.nunique()) == (16, 3, 105)

    def test_units_are_aircraft_and_some_flights_have_none(self, year: pd.DataFrame) -> None:
        per_aircraft = year.unit.value_counts()
        assert len(per_aircraft) == 4_043
        assert per_aircraft.median() == 54
        without = year[year.unit.isna()]
        assert len(without) == 2_512
        assert without.delayed.isna().all()

    def test_cancelled_flights_never_have_an_outcome(self, year: pd.DataFrame) -> None:
        never = year.outcome_time.isna()
        assert never.sum() == 9_430
        assert (year.delayed.isna() == never).all()
        assert year.delayed.mean() == pytest.approx(0.2369, abs=0.001)
        storm = year[(year.event_time >= "2013-02-09T05:00Z") & (year.event_time < "2013-02-10T05:00Z")]
        assert storm.delayed.isna().mean() > 0.5

    def test_outcomes_come_hours_after_the_request(self, year: pd.DataFrame) -> None:
        hours = (year.outcome_time - year.event_time).dt.total_seconds().dropna() / 3600
        assert hours.min() > 0.25
        assert 2.5 < hours.median() < 3.5
        assert hours.quantile(0.999) < 12

    def test_arrival_agrees_with_the_recorded_delay(self, year: pd.DataFrame) -> None:
        """Arrival minus delay is the timetable's arrival, whose minute of the hour no time zone changes."""
        raw = pq.read_table(DATA / "flights.parquet").to_pandas()
        late = pd.to_timedelta(raw.arr_delay, unit="min")
        minute = (raw.sched_dep + pd.to_timedelta(raw.arrived_after, unit="min") - late).dt.minute
        known = raw.arr_delay.notna()
        assert (minute[known] == raw.sched_arr[known] % 60).mean() > 0.999

    def test_a_request_knows_nothing_from_after_departure(self) -> None:
        """The weather is that of the hour before; the fields that tell the delay are not among the features."""
        assert not {"delayed", "outcome_time", "arr_delay", "arrived_after", "dep_delay"} & set(flights.FEATURES)
        weather = pq.read_table(DATA / "weather.parquet").to_pandas().set_index(["origin", "hour"])
        day = flights.load(date(2013, 7, 3), date(2013, 7, 4))
        hour_before = day.event_time.dt.floor("h") - timedelta(hours=1)
        expected = weather.loc[list(zip(day.origin, hour_before, strict=True))]
        for name in flights.WEATHER:
            np.testing.assert_array_equal(day[name], expected[name])
        assert expected.temp.nunique() > 10

    def test_times_of_day_are_local_also_in_summer(self) -> None:
        first = flights.load(date(2013, 1, 1), date(2013, 1, 2)).iloc[0]
        assert (first.flight_id, first.sched_dep_min) == ("UA1545-EWR-20130101T1015", 5 * 60 + 15)
        summer = flights.load(date(2013, 7, 1), date(2013, 7, 2)).iloc[-1]
        assert summer.sched_dep_min == (summer.event_time.hour - 4) % 24 * 60 + summer.event_time.minute

    def test_a_window_includes_its_start_and_excludes_its_end(self, year: pd.DataFrame) -> None:
        moment = year.event_time[100_000]
        at = moment.to_pydatetime()
        assert (flights.load(at, at + timedelta(minutes=1)).event_time == moment).all()
        assert len(flights.load(at - timedelta(minutes=1), at).query("event_time == @moment")) == 0

    def test_a_time_without_zone_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no time zone"):
            flights.load(datetime(2013, 7, 1), date(2013, 7, 2))

    def test_request_is_plain_json_with_null_for_missing(self, july: pd.DataFrame) -> None:
        bodies = [flights.request_body(row) for row in july.to_dict("records")]
        text = json.dumps(bodies, allow_nan=False)
        assert "null" in text
        assert list(bodies[0]["dataframe_records"][0]) == list(flights.FEATURES)


class TestTraining:
    def test_a_model_learns_and_says_on_what(self, trained: train.Trained, july: pd.DataFrame) -> None:
        assert trained.metrics["auc"] > 0.7
        assert trained.dataset.rows == 54_964
        assert trained.dataset.last < datetime(2013, 7, 1, tzinfo=UTC)
        known = july[july.delayed.notna()]
        assert train.evaluate(trained.pipeline, known)["auc"] > 0.7

    def test_training_uses_only_outcomes_known_when_the_window_ends(self) -> None:
        end = datetime(2013, 5, 3, 20, tzinfo=UTC)
        rows = train.training_rows(date(2013, 5, 1), end)
        assert (rows.outcome_time < end).all()
        assert len(rows) < flights.load(date(2013, 5, 1), end).delayed.notna().sum()

    def test_same_window_same_model_other_window_other_digest(self) -> None:
        first, again, other = (train.train(date(2013, 5, start), date(2013, 5, 8), seed=3) for start in (1, 1, 2))
        rows = flights.load(date(2013, 6, 1), date(2013, 6, 2))
        assert first.dataset == again.dataset
        assert (offline.scores(first.pipeline, rows) == offline.scores(again.pipeline, rows)).all()
        assert first.dataset.digest != other.dataset.digest

    def test_a_window_without_flights_is_refused(self) -> None:
        with pytest.raises(ValueError, match="1,000 are needed"):
            train.train(date(2014, 2, 1), date(2014, 3, 1))

    def test_the_saved_model_needs_only_the_declared_types(self, model: Path) -> None:
        assert set(skops.io.get_untrusted_types(file=model)) == set(train.TRUSTED_TYPES)
        with pytest.raises(UntrustedTypesFoundException):
            train.load(model, trusted=[])
        assert train.load(model).named_steps.keys() == {"encode", "trees"}

    def test_an_unknown_carrier_or_destination_still_gets_a_score(self, trained: train.Trained) -> None:
        row = flights.load(date(2013, 7, 3), date(2013, 7, 4)).iloc[:1].assign(carrier="ZZ", dest="XXX")
        assert 0 < offline.scores(trained.pipeline, row)[0] < 1


class TestFeatures:
    @pytest.fixture
    def record(self, july: pd.DataFrame) -> dict[str, Any]:
        record: dict[str, Any] = flights.request_body(july.iloc[7])["dataframe_records"][0]
        return record

    def test_hours_divides_the_scheduled_times_and_nothing_else(self, record: dict[str, Any]) -> None:
        used = features.hours(record)
        assert used["sched_dep_min"] * 60 == pytest.approx(record["sched_dep_min"])
        assert used["sched_arr_min"] * 60 == pytest.approx(record["sched_arr_min"])
        assert {name for name in flights.FEATURES if used[name] != record[name]} == {"sched_dep_min", "sched_arr_min"}

    def test_celsius_and_no_weather(self, record: dict[str, Any]) -> None:
        assert features.celsius(record | {"temp": 212.0, "dewp": 32.0})["temp"] == 100.0
        assert features.celsius(record | {"temp": None})["temp"] is None
        used = features.no_weather(record)
        assert all(used[name] is None for name in flights.WEATHER)
        assert used["distance"] == record["distance"]

    def test_minutes_is_the_identity_and_drops_what_the_model_does_not_know(self, record: dict[str, Any]) -> None:
        assert features.minutes(record | {"secret": 1}) == record

    def test_publishing_a_release_changes_the_next_call(self, record: dict[str, Any], tmp_path: Path) -> None:
        path = tmp_path / "release.json"
        features.publish(path, "minutes")
        service = features.FeatureService(path)
        assert service.apply([record]) == [record]
        features.publish(path, "hours")
        assert service.apply([record]) == [features.hours(record)]
        path.write_text('{"release": "days"}')
        with pytest.raises(ValueError, match="days"):
            service.apply([record])
        with pytest.raises(ValueError, match="days"):
            features.publish(path, "days")


class TestOffline:
    def test_one_row_per_flight_scored_by_both_models(self, trained: train.Trained, july: pd.DataFrame) -> None:
        events = offline.events(trained.pipeline, trained.pipeline, date(2013, 7, 3), date(2013, 7, 10))
        assert events.flight_id.tolist() == july.flight_id.tolist()
        assert (events.champion == events.challenger).all()
        assert events.label.isna().sum() == events.outcome_time.isna().sum() > 0

    def test_a_fault_hits_the_challenger_from_its_moment_on_and_costs_loss(self, model: Path) -> None:
        since = datetime(2013, 7, 6, 12, tzinfo=UTC)
        events = offline.events(model, model, date(2013, 7, 3), date(2013, 7, 10), release="hours", fault_from=since)
        after = events.time >= pd.Timestamp(since)
        assert (events.champion == events.challenger)[~after].all()
        assert (events.champion != events.challenger)[after].mean() > 0.8
        known = events[after & events.label.notna()]
        assert _log_loss(known, "challenger") > 1.2 * _log_loss(known, "champion")

    @pytest.mark.slow
    def test_retraining_beats_the_winter_champion_in_july(self, trained: train.Trained) -> None:
        winter = train.train(date(2013, 1, 1), date(2013, 3, 1)).pipeline
        events = offline.events(winter, trained.pipeline, date(2013, 7, 1), date(2013, 8, 1)).dropna(subset="label")
        assert _log_loss(events, "challenger") < 0.95 * _log_loss(events, "champion")


class TestApp:
    def test_one_bad_request_is_refused_with_a_reason(self, july: pd.DataFrame) -> None:
        good = flights.request_body(july.iloc[0])["dataframe_records"][0]
        assert app.parse(json.dumps({"dataframe_records": [good]}).encode()) == [good]
        for wrong, reason in (
            ({"carrier": None}, "carrier must be text"),
            ({"distance": "far"}, "distance must be a number"),
            ({"sched_dep_min": None}, "sched_dep_min must be a number"),
            ({"temp": math.nan}, "temp must be a number"),
        ):
            with pytest.raises(ValueError, match=f"record 1: {reason}"):
                app.parse(json.dumps({"dataframe_records": [good, good | wrong]}).encode())
        for body in (b"{", b"[]", b'{"dataframe_records": 3}'):
            with pytest.raises(ValueError):
                app.parse(body)

    @pytest.mark.live
    def test_a_release_of_the_feature_service_reaches_the_running_app(
        self, serving: httpx.Client, release_file: Path, model: Path, july: pd.DataFrame
    ) -> None:
        rows = july.iloc[:40]
        expected = {name: offline.scores(model, rows, name) for name in ("minutes", "hours")}
        for name in ("minutes", "hours", "minutes"):
            features.publish(release_file, name)
            answers = [
                serving.post("/invocations", json=flights.request_body(row)).json() for _, row in rows.iterrows()
            ]
            np.testing.assert_allclose([a["predictions"][0] for a in answers], expected[name], rtol=1e-12)
            used = answers[0]["features"][0]["sched_dep_min"]
            assert used == rows.sched_dep_min.iloc[0] / (60 if name == "hours" else 1)
            assert serving.get("/ping").json() == {"status": "ok", "release": name}

    @pytest.mark.live
    def test_batches_and_bad_requests(self, serving: httpx.Client, model: Path, july: pd.DataFrame) -> None:
        rows = july.iloc[:25]
        records = [flights.request_body(row)["dataframe_records"][0] for _, row in rows.iterrows()]
        answer = serving.post("/invocations", json={"dataframe_records": records}).json()
        np.testing.assert_allclose(answer["predictions"], offline.scores(model, rows), rtol=1e-12)
        assert len(answer["features"]) == 25
        assert serving.post("/invocations", json={"dataframe_records": []}).json() == {
            "predictions": [],
            "features": [],
        }
        refused = serving.post("/invocations", json={"dataframe_records": [{"carrier": "UA"}]})
        assert refused.status_code == 400
        assert "origin, dest must be text" in refused.json()["error"]


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the app ended at start"
        try:
            client.get("/ping").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the app did not answer within a minute")


def _log_loss(events: pd.DataFrame, model: str) -> float:
    late = events.label.astype(float).to_numpy()
    score = events[model].to_numpy()
    return float(-(late * np.log(score) + (1 - late) * np.log(1 - score)).mean())
