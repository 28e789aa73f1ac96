"""The shadow report on real flights: where the demo's challenger ranks least like its champion."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seatrial.control.analyses.shadow import Options, rollout_report
from seatrial.control.project import Project
from seatrial.demo import offline, train
from seatrial.events.schema import to_micros
from seatrial.gateway.assignment import bucket
from seatrial.store.db import Store
from seatrial.store.plans import check_plan, read_plan
from shadowlog import MODEL, looked_at

JULY = datetime(2013, 7, 1, tzinfo=UTC)
DAYS = timedelta(days=10)


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """Ten days of July, scored by the demo's champion and by its first release."""
    champion = train.train(date(2013, 1, 1), date(2013, 3, 1)).pipeline
    challenger = train.train(date(2013, 5, 1), date(2013, 7, 1)).pipeline
    scored = offline.events(champion, challenger, JULY, JULY + DAYS)
    return scored[scored.unit.notna()]


def report(flights: pd.DataFrame, root: Path) -> dict[str, Any]:
    """The report of a rollout by the demo's plan whose log holds these answers."""
    with as_file(files("seatrial.demo") / "plan.yaml") as path:
        plan = check_plan(read_plan(path))
    rows = []
    for flight in flights.itertuples():
        base = {"request_id": flight.flight_id, "unit": flight.unit, "bucket": bucket("variance", str(flight.unit)),
                "time": to_micros(flight.time.to_pydatetime()) + 1, "seg_origin": flight.origin}  # fmt: skip
        rows += [
            base | {"arm": "champion", "score": flight.champion},
            base | {"arm": "shadow", "score": flight.challenger},
        ]
    looked_at(root, replace(plan, metrics=plan.metrics[1:]), rows, JULY + DAYS + timedelta(hours=6), JULY)
    project = Project.open(root)
    with Store.open(project.store_url) as store, store.read() as tx:
        return rollout_report(project, tx, MODEL, Options()).document


@pytest.mark.slow
def test_the_report_names_the_airport_where_the_challenger_ranks_worst(flights: pd.DataFrame, tmp_path: Path) -> None:
    found = report(flights, tmp_path / "as-it-is")
    (worst,) = found["worst"]
    truth = {
        origin: rows.champion.corr(rows.challenger, method="spearman") for origin, rows in flights.groupby("origin")
    }
    assert worst["value"] == min(truth, key=lambda origin: truth[origin]) == "JFK"
    assert worst["estimate"] == pytest.approx(truth["JFK"], abs=1e-9)
    low, high = (
        next(s for s in found["segments"] if s["segment"] == f"origin={o}")["spearman"] for o in ("JFK", "LGA")
    )
    assert low["upper"] < high["lower"], "the gap is no noise"
    shuffled = flights.copy()
    at_lga = shuffled.origin == "LGA"
    shuffled.loc[at_lga, "challenger"] = shuffled[at_lga].challenger.sample(frac=1, random_state=1).to_numpy()
    assert report(shuffled, tmp_path / "planted")["worst"][0]["value"] == "LGA", "a fault elsewhere is found there"
