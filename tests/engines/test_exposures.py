"""Exposures one by one add up to the evidence that a live look sees of the same log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from seatrial.engines.evidence import EvidenceBuilder
from seatrial.engines.exposures import exposures
from seatrial.errors import NotFound
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, to_micros, to_table
from seatrial.evidence.tally import MICRO
from seatrial.store.plans import parse_plan

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = 3600 * MICRO
PLAN = parse_plan("""
name: all
lookEvery: 1h
deadline: 5d
metrics:
  - {name: loss, kind: loss, loss: log_loss, outcome: late, horizon: 2h, margin: 5%}
  - {name: ctr, kind: proportion, outcome: late, horizon: 2h, margin: 5%}
  - {name: zero, kind: proportion, outcome: late, horizon: 2h, margin: 5%, missing: zero}
  - {name: fail, kind: proportion, outcome: late, horizon: 2h, margin: 5%, missing: fail, direction: decrease}
  - {name: basket, kind: mean, outcome: amount, horizon: 1h, margin: 5%}
  - {name: capped, kind: mean, outcome: amount, horizon: 1h, margin: 5%, cap: 30}
  - {name: per_view, kind: ratio, numerator: amount, denominator: views, horizon: 2h, margin: 5%, cap: 50}
  - {name: missing, kind: missing_outcomes, outcome: late, horizon: 2h, margin: 5pp}
  - {name: errors, kind: error_rate, per: request, margin: 1pp}
  - {name: slow, kind: latency, threshold: 200ms, per: request, margin: 1pp}
  - {name: units_slow, kind: latency, threshold: 200ms, margin: 1pp}
steps: [{setWeight: 50%}, {pause: {duration: 1d}}]
""")


@pytest.fixture
def log(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(3)
    events, outcomes = [], []
    for n, hours in enumerate(np.sort(rng.uniform(0, 20, 3000)).tolist()):
        unit = int(rng.integers(0, 120))
        time = to_micros(START) + int(hours * HOUR)
        failed = bool(rng.random() < 0.05)
        events.append({
            "request_id": f"q{n}", "row": n % 3 // 2, "outcome_key": f"q{n}", "model": "m", "rollout": "r", "phase": 1,
            "arm": "champion" if unit % 2 else "canary", "unit": f"u{unit}", "bucket": unit, "time": time,
            "error": failed, "latency_us": None if n % 50 == 0 else int(rng.exponential(80_000)),
            "score": None if failed else float(rng.uniform(0.01, 0.99)),
        })  # fmt: skip
        for name, value in (("late", rng.random() < 0.3), ("amount", rng.gamma(2, 20)), ("views", rng.integers(1, 9))):
            delay = int(rng.integers(1, 4)) * HOUR
            if rng.random() < 0.9:
                told = {"key": f"q{n}", "name": name, "model": "m", "time": time + delay, "received_at": time + delay}
                outcomes += [told | {"value": float(value), "revision": r} for r in (0, 1)]
    write_part(model_directory(tmp_path / "e", "m"), "live", "1.1", 0, 9, to_table(events, event_schema()))
    write_part(model_directory(tmp_path / "o", "m"), "live", "1.1", 0, 9, to_table(outcomes, OUTCOME_SCHEMA))
    return tmp_path / "e", tmp_path / "o"


def test_they_add_up_to_what_a_look_sees(log: tuple[Path, Path]) -> None:
    found = exposures(*log, PLAN, "m")
    builder = EvidenceBuilder(*log, PLAN, "r", "m", START)
    builder.advance(START + timedelta(hours=40))
    evidence = builder.snapshot(live={1}, mirrored=set())
    builder.close()
    last = found.recorded.time.max() + 1e-6
    assert 0 < found.cut < 300
    assert (found.units, found.days) == (60, 1)
    for metric in PLAN.metrics:
        if metric.rare:
            continue
        values = found.recorded.values[metric.name]
        over = values.over if values.over is not None else np.full(len(values.known), MICRO)
        hours = (found.recorded.time // 3600)[values.known]
        whole = hours < last // 3600
        cells = {c.time: s for c, s in evidence.metrics[metric.name].tally.cells.items() if c.arm == "champion"}
        for hour in np.unique(hours[whole]).tolist():
            here = np.flatnonzero(values.known)[hours == hour]
            real = cells[to_micros(START) // MICRO + int(hour) * 3600].sum(axis=0)
            assert len(here) == real[0], metric.name
            assert values.champion[here].sum() == pytest.approx(real[1], abs=len(here)), metric.name
            assert over[here].sum() == pytest.approx(real[2], abs=len(here)), metric.name
    assert found.recorded.events["units_slow"].sum() == found.recorded.values["slow"].champion.sum() / MICRO


def test_units_without_a_champion(log: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"ST0265.*'nobody'"):
        exposures(*log, PLAN, "nobody")
