"""Exercise 29.7: whether champion and shadow saw the same inputs."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capturelines import written
from featurecaches import FeatureCache, LookingServer
from seatrial.cli import main
from seatrial.control.analyses.inputs import comparison
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.events.capture import CaptureContext, convert
from seatrial.events.parts import model_directory, write_part
from seatrial.registry.contract import Contract
from seatrial.registry.version import Serving
from seatrial.rollout.plan import Inputs
from seatrial.store.plans import check_plan, parse_plan

Rows = list[dict[str, Any]]
Said = tuple[int, dict[str, Any]]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = check_plan(
    parse_plan("""
name: inputs
lookEvery: 1h
deadline: 5d
inputs: {features: [age, balance, country]}
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{shadow: {}}, {pause: {duration: 1h}}, {setWeight: 50%}]
""")
)


PLAN_OF_ALL = replace(PLAN, inputs=None)


@pytest.fixture
def seatrial(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Exit code and document of a command."""

    def run(*words: object) -> Said:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--json"])
        said = capsys.readouterr()
        code = ended.value.code or 0
        assert code in (0, 3, 4), said.err
        return int(code), json.loads(said.out)

    return run


@pytest.fixture
def analyze(tmp_path: Path, seatrial: Callable[..., Said]) -> Callable[..., Said]:
    """``analyze inputs`` of the records of both sides, one file each."""

    def run(champion: Rows, shadow: Rows, *more: object) -> Said:
        for name, rows in (("champion", champion), ("shadow", shadow)):
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
        files = ("--log", tmp_path / "champion.parquet", "--other", tmp_path / "shadow.parquet")
        return seatrial("analyze", "inputs", *files, *more)

    return run


def records(n: int = 1000, seed: int = 7) -> Rows:
    rng = random.Random(seed)
    return [
        {"request_id": f"q{k}", "amount": rng.lognormvariate(3, 1), "visits": rng.randrange(9), "country": "DE",
         "read_at": NOON, "view": "v3"}
        for k in range(n)
    ]  # fmt: skip


def changed(rows: Rows, every: int, **changes: Any) -> Rows:
    """With these changes in every so manieth record; what is None there is missing."""
    return [row | changes if k % every == 0 else row for k, row in enumerate(rows)]


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {feature["name"]: feature for feature in document["features"]}


def test_1_what_is_told_of_every_feature(analyze: Callable[..., Said]) -> None:
    """29.7.1: rate, largest differences, missing on one side, type, schema and staleness, joined by request id."""
    shadow = records()
    shadow = [row | {"amount": row["amount"] + 2.5} if k < 40 else row for k, row in enumerate(shadow)]
    shadow = changed(shadow, 20, country=None)
    shadow = [row | {"visits": str(row["visits"])} for row in shadow]  # a number became a text
    shadow = changed(shadow, 25, read_at=NOON - timedelta(minutes=5))
    shadow = changed(shadow, 10, view="v4")
    random.Random(1).shuffle(shadow)
    code, told = analyze(records(), shadow, "--as-of", "amount=read_at", "--schema", "view")
    found = by_name(told)
    assert (code, told["result"], told["pairs"]) == (3, "diverges", 1000)
    amount = found["amount"]
    assert (amount["differing"], amount["stale"], amount["dated"]) == (40, 40, 1000)
    assert amount["diverging"] == 78, "two of them are both"
    assert amount["largestAbsolute"] == pytest.approx(2.5)
    assert amount["largestRelative"] == pytest.approx(max(2.5 / (row["amount"] + 2.5) for row in records()[:40]))
    assert amount["largestGapSeconds"] == 300
    assert (found["country"]["championOnly"], found["country"]["rate"]) == (50, 0.05)
    assert (found["visits"]["mistyped"], found["visits"]["differing"]) == (1000, 0)
    assert (found["@schema"]["differing"], found["@schema"]["pairs"]) == (100, 1000)
    assert {feature["result"] for feature in found.values()} == {"diverges"}


def test_2_noise_is_no_difference_and_a_category_is(analyze: Callable[..., Said]) -> None:
    """29.7.2: 1e-9 relative noise, NaN, -0.0 and 1 for 1.0 are equal; a changed category is flagged."""
    champion = [row | {"none": math.nan, "zero": 0.0} for row in records()]
    shadow = [
        row | {"amount": row["amount"] * (1 + 9e-10), "none": math.nan, "zero": -0.0, "visits": float(row["visits"])}
        for row in records()
    ]
    code, told = analyze(champion, shadow)
    assert (code, told["result"]) == (0, "agrees")
    assert {feature["diverging"] for feature in told["features"]} == {0}
    code, told = analyze(champion, changed(shadow, 33, country="AT"))
    assert code == 3
    assert [name for name, feature in by_name(told).items() if feature["result"] == "diverges"] == ["country"]
    code, told = analyze(champion, [row | {"amount": row["amount"] * (1 + 1e-6)} for row in shadow])
    assert (code, by_name(told)["amount"]["diverging"]) == (3, 1000), "beyond the tolerance"
    assert analyze(champion, shadow, "--tolerance", "1e-12")[0] == 3, "which is one's own to say"


def test_one_in_ten_is_no_proof_and_nothing_is_no_pass(analyze: Callable[..., Said], tmp_path: Path) -> None:
    ten = records(10)
    code, told = analyze(ten, changed(ten, 10, country="AT"))
    assert (code, told["result"], by_name(told)["country"]["rate"]) == (4, "unclear", 0.1)
    code, told = analyze(ten, [row | {"request_id": f"other-{row['request_id']}"} for row in ten])
    assert (code, told["result"], told["pairs"]) == (4, "not_observed", 0)
    assert analyze(ten, ten)[0] == 0


def test_4_duplicate_and_unmatched_ids_are_counted(analyze: Callable[..., Said]) -> None:
    """29.7.4. A record that was sent twice counts once; one that contradicts itself says nothing."""
    champion = records() + records()[:30]
    shadow = records()[10:] + records(1007)[1000:] + [row | {"country": "AT"} for row in records()[20:25]]
    code, told = analyze(champion, shadow)
    assert (told["duplicates"], told["conflicting"]) == (35, 5)
    assert (told["unmatchedChampion"], told["unmatchedShadow"]) == (10, 7)
    assert (code, told["pairs"]) == (0, 985)


def test_5_the_hash_and_the_values_give_the_same_verdict(tmp_path: Path, seatrial: Callable[..., Said]) -> None:
    """29.7.5: what looks see, of which most pairs are known by their hash, and what comparing every value gives."""
    rng = random.Random(3)
    lines = []
    for n in range(600):
        used = {"amount": rng.random(), "country": "DE", "tags": [1, {"a": None}]}
        order = dict(reversed(used.items())) | ({"country": "AT"} if n % 30 == 0 else {})
        noisy = order | ({"amount": used["amount"] * (1 + 5e-10)} if n % 7 == 0 else {})
        lines += [captured(f"q{n}", "champion", used), captured(f"q{n}", "shadow", noisy)]
    context = CaptureContext(bucket_salt="b", unit_key=b"k", features=("*",))
    tables = convert("\n".join(lines).encode(), {"m": context}, watermark=None, captured_at=NOON)
    hashes = tables["m"].group_by("request_id").aggregate([("features_hash", "count_distinct")])
    assert hashes["features_hash_count_distinct"].to_pylist().count(1) == 600 - 103, "that many need no comparison"
    write_part(model_directory(tmp_path / "events", "m"), "live", "1.1", 0, 9, tables["m"])
    builder = EvidenceBuilder(tmp_path / "events", tmp_path / "outcomes", PLAN_OF_ALL, "r-1", "m", NOON)
    builder.advance(NOON + timedelta(hours=1))
    seen = builder.snapshot(live=(), mirrored=(1,)).inputs
    builder.close()
    code, told = seatrial("analyze", "inputs", "--log", model_directory(tmp_path / "events", "m"))
    assert (code, told["pairs"], told["result"]) == (3, 600, "diverges")
    assert told == told | comparison(seen, Inputs())
    assert by_name(told)["country"]["diverging"] == 20


def captured(request: str, arm: str, features: dict[str, Any]) -> str:
    """A line of the capture log."""
    return written(
        {
            "t": f"{NOON.timestamp() + 1:.6f}", "id": request, "model": "m", "rollout": "r-1", "phase": "1",
            "arm": arm, "unit": "u", "version": "1", "level": "shadow" if arm == "shadow" else "primary",
            "attempts": 1, "code": 200, "us": 100, "path": "/models/m/invocations", "ct": "application/json",
            "rct": "application/json", "req": '{"dataframe_records": [{}]}', "resp": '{"predictions": [0.5]}',
            "feat": json.dumps([features]),
        }
    )  # fmt: skip


def stored(units: list[str], at: datetime) -> dict[str, Any]:
    """What the feature store knows of the units at a time: balances move, and the rest stays."""
    long_ago, now = (NOON - timedelta(days=90)).timestamp(), at.timestamp()
    return {
        unit: {
            "age": (20 + k % 50, long_ago),
            "balance": (1000.0 + k + now % 3600, now),
            "country": (("DE", "AT", "CH")[k % 3], long_ago),
        }
        for k, unit in enumerate(units)
    }


@pytest.mark.live
@pytest.mark.slow
def test_3_a_cache_that_is_stale_for_three_in_a_hundred(
    make: Any, tmp_path: Path, seatrial: Callable[..., Said]
) -> None:
    """29.7.3: that feature is named, the comparison is invalid, promotion refused; repaired, it advances."""
    live = make()
    ours, theirs = (FeatureCache(tmp_path / f"{name}.db") for name in ("champion", "shadow"))
    champion, shadow = LookingServer("champion", ours), LookingServer("shadow", theirs)
    live.servers += [champion, shadow]
    live.adopt(champion)
    live.operations.configure(live.model, Contract(features=("age", "balance", "country")), actor="ann")

    def hour(n: int, missed: int | None) -> None:
        units, at = live.people(n, 800), live.t0 + n * live.hour_long + timedelta(minutes=10)
        for cache in (ours, theirs):
            cache.fill(stored(units, at - timedelta(minutes=5)))
        ours.fill(stored(units, at))
        theirs.fill(stored(units, at), missed=units[::missed] if missed else ())
        live.hour(n, units)

    command = ("--project", live.project.root, "shadow", "inputs")
    rollout = live.begin(live.register(shadow), PLAN)
    hour(0, missed=33)
    last = live.decisions(rollout)[-1]
    assert (last.action, last.rule, last.stage_name, last.weight) == ("hold", "input_divergence", "shadow", 0)
    assert [alarm.kind for alarm in last.alarms] == ["input_divergence"]
    assert "balance diverges in 25 of 800 pairs" in last.reason
    assert "age" not in last.reason
    assert "country" not in last.reason
    assert {verdict.verdict for verdict in last.verdicts} == {"invalid"}
    code, told = seatrial(*command, rollout)
    assert (code, told["result"], told["pairs"]) == (3, "diverges", 800)
    assert (told["answeredPairs"], told["unmatchedRequests"]) == (800, 0)
    balance = by_name(told)["balance"]
    assert (balance["diverging"], balance["stale"], balance["largestGapSeconds"]) == (25, 25, 300)
    assert {n: f["diverging"] for n, f in by_name(told).items() if n != "balance"} == {
        "@schema": 0, "age": 0, "country": 0,
    }  # fmt: skip

    live.operations.by_hand(rollout, "abort", reason="the cache is repaired", actor="ann")
    rollout = live.begin(live.register_as(Serving(kind="url", url=shadow.url), "repaired"), PLAN)
    hour(1, missed=None)
    last = live.decisions(rollout)[-1]
    assert (last.action, last.stage_name) == ("advance", "canary 50%")
    assert seatrial(*command, rollout)[0] == 0
