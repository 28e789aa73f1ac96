"""Features as used on the way from the capture log into evidence: joined, compared, and the same however it is cut."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from capturelines import written
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.engines.feature_records import Asked, records_of
from seatrial.engines.inputs import open_log
from seatrial.events.capture import CaptureContext, convert
from seatrial.events.parts import list_parts, model_directory, write_part
from seatrial.events.schema import event_schema
from seatrial.evidence.codec import from_document, to_document
from seatrial.evidence.inputs import InputTally, compare_inputs
from seatrial.rollout.inputs import rule_of
from seatrial.rollout.plan import Inputs, Plan
from seatrial.store.plans import parse_plan

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = parse_plan("""
name: inputs
lookEvery: 1m
metrics: [{name: errors, kind: error_rate, margin: 5pp}]
steps: [{shadow: {}}]
""")
CONTEXT = CaptureContext(bucket_salt="b", unit_key=b"k", features=("amount", "country", "deep"))
NOTHING = InputTally()


def line(request: str, arm: str, at: datetime, features: Any, **more: Any) -> str:
    """A line of the capture log. ``features``: as used, None where the model does not say."""
    asked = json.dumps({"dataframe_records": [{"amount": 1.0, "country": "DE"}]})
    answer = json.dumps({"predictions": [0.5]})
    told = {} if features is None else {"feat": json.dumps([features])}
    return written({
        "t": f"{at.timestamp():.6f}", "id": request, "model": "m", "rollout": "r-1", "phase": "1", "arm": arm,
        "unit": f"u-{request}", "version": "1", "level": "shadow" if arm == "shadow" else "primary", "attempts": 1,
        "code": 200, "us": 100, "path": "/models/m/invocations", "ct": "application/json", "rct": "application/json",
        "req": asked, "resp": answer, **told, **more,
    })  # fmt: skip


def both(request: str, at: datetime, champion: Any, shadow: Any, *, later: float = 0.1) -> list[str]:
    return [
        line(request, "champion", at, champion),
        line(request, "shadow", at + timedelta(seconds=later), shadow),
    ]


def keep(root: Path, *lines: str, context: CaptureContext = CONTEXT) -> None:
    """One more part of the log."""
    directory = model_directory(root / "events", "m")
    n = len(list_parts(directory))
    tables = convert("\n".join(lines).encode(), {"m": context}, watermark=None, captured_at=T0)
    write_part(directory, "live", "1.1", 10 * n, 10 * n + 10, tables["m"])


def builder(root: Path, plan: Plan = PLAN) -> EvidenceBuilder:
    return EvidenceBuilder(root / "events", root / "outcomes", plan, "r-1", "m", T0)


def tally(root: Path, plan: Plan = PLAN, *looks: float) -> InputTally:
    """Of looks so many minutes after the start."""
    sums = builder(root, plan)
    for minutes in looks or (60,):
        sums.advance(T0 + timedelta(minutes=minutes))
    evidence = sums.snapshot(live=(), mirrored=(1,))
    sums.close()
    assert from_document(to_document(evidence)).inputs == evidence.inputs
    assert ("inputs" in to_document(evidence)) == (evidence.inputs != NOTHING)
    return evidence.inputs


def traffic(seed: int, requests: int) -> list[list[str]]:
    """The two lines of each request, some of them late, some without features, on one side or both."""
    rng = random.Random(seed)
    found = []
    for n in range(requests):
        used = {"amount": rng.random(), "country": rng.choice(["DE", "AT"]), "@as_of": 1000, "secret": n}
        other = used | rng.choice([{}, {}, {}, {"amount": 7.0}, {"country": None}, {"@as_of": 1090}, {"secret": -1}])
        sides = rng.choice([(used, other)] * 6 + [(used, None), (None, other), (None, None)])
        at = T0 + timedelta(seconds=rng.randrange(1, 1800))
        found.append(both(f"q{n}", at, *sides, later=rng.choice([0, 0.1, 5, 60])))
    return found


@pytest.mark.parametrize("seed", range(2))
def test_looks_and_parts_do_not_matter_and_the_hash_says_what_the_values_say(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    lines = [text for request in traffic(seed, 80) for text in request]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    keep(whole, *lines)
    rng.shuffle(lines)
    for start in range(0, len(lines), 23):
        keep(cut, *lines[start : start + 23])
    once = tally(whole)
    assert once == tally(cut) == tally(cut, PLAN, *sorted(rng.uniform(1, 40) for _ in range(7)), 60)
    source = open_log(str(model_directory(whole / "events", "m")))
    slow = compare_inputs(*records_of(source, Asked()), rule_of(None))
    source.close()
    assert (slow.pairs, slow.features) == (once.pairs, once.features)
    assert 0 < once.features["amount"].diverging < once.pairs


def test_what_is_compared_and_what_is_counted(tmp_path: Path) -> None:
    keep(
        tmp_path,
        *both("same", T0, {"amount": 1, "country": "DE"}, {"country": "DE", "amount": 1.0}),
        *both("differs", T0, {"amount": 1.0, "country": "DE"}, {"amount": 3.0, "country": "DE"}),
        *both("not allowed", T0, {"amount": 1.0, "secret": 1}, {"amount": 1.0, "secret": 2}),
        *both("one side", T0, {"amount": 1.0}, None),
        *both("other side", T0, None, {"amount": 1.0}),
        *both("bodies alone", T0, None, None),
        *both("too late", T0, {"amount": 1.0}, {"amount": 9.0}, later=61),
        line("failed", "champion", T0, {"amount": 1.0}),
        line("failed", "shadow", T0, {"amount": 9.0}, code=502),
        line("not copied", "champion", T0, {"amount": 1.0}),
    )
    told = tally(tmp_path)
    assert (told.pairs, told.champion_told, told.shadow_told) == (3, 1, 1)
    amount, country = told.features["amount"], told.features["country"]
    assert (amount.pairs, amount.diverging, amount.largest_absolute) == (3, 1, 2.0)
    assert (country.pairs, country.diverging) == (2, 0)
    named = tally(tmp_path, replace(PLAN, inputs=Inputs(features=("country",))))
    assert list(named.features) == ["country"]


def test_bodies_alone_show_nothing(tmp_path: Path) -> None:
    """The log keeps the features of a request, too; nobody knows whether the models used them."""
    keep(tmp_path, *both("q", T0, None, None))
    assert tally(tmp_path) == NOTHING
    keep(tmp_path, *both("p", T0, {"amount": 1.0}, {"amount": 1.0}))
    assert tally(tmp_path).pairs == 1


def test_without_an_allow_list_nothing_is_kept_and_nothing_compared(tmp_path: Path) -> None:
    keep(tmp_path, *both("q", T0, {"amount": 1.0}, {"amount": 2.0}), context=replace(CONTEXT, features=()))
    assert tally(tmp_path) == NOTHING
    assert tally(tmp_path, replace(PLAN, steps=())) == NOTHING


def test_a_part_from_before_there_were_hashes_is_read(tmp_path: Path) -> None:
    keep(tmp_path, *both("q", T0, {"amount": 1.0}, {"amount": 2.0}))
    (part,) = list_parts(model_directory(tmp_path / "events", "m"))
    table = pq.read_table(part.path)
    assert table.schema.names == event_schema().names
    pq.write_table(table.drop_columns(["features_hash"]), part.path)
    assert tally(tmp_path) == NOTHING


def test_what_no_feature_looks_like_is_told_by_nobody(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    keep(tmp_path, *both("q", T0, {"deep": deep}, {"deep": deep}), *both("p", T0, {"amount": 1}, {"amount": 1e400}))
    assert tally(tmp_path).pairs == 1
