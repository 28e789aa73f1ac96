"""``seatrial analyze canary`` by NDCG: each arm's served lists, judged by the clicks on them."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.stats.lists import ndcg_of_clicks
from shadowlog import T0

PLAN = """
name: ranking
timeBucket: 1d
metrics:
  - {name: found, kind: ndcg, outcome: click, horizon: 1h, missing: zero, margin: 10%, k: 5}
  - {name: found_if_any, kind: ndcg, outcome: click, horizon: 1h, role: signal, k: 5}
steps: [{setWeight: 50%}, {pause: {duration: 2h}}]
"""
POOL = [f"d{n}" for n in range(30)]


def pages(worse: bool, n: int = 12_000) -> list[dict[str, Any]]:
    """Users click two relevant items where they see them; a worse ranker puts them last."""
    rng, rows = random.Random(9), []
    for number in range(n):
        arm = "canary" if number % 2 else "champion"
        relevant, rest = rng.sample(POOL, 2), rng.sample([f"x{k}" for k in range(20)], 6)
        items = [*rest, *relevant] if worse and arm == "canary" and rng.random() < 0.6 else [*relevant, *rest]
        seen = [item for place, item in enumerate(items) if item in relevant and rng.random() < 0.8 / (1 + place / 4)]
        rows.append({"request_id": f"q{number}", "user": f"u{number // 2 * 2 + number % 2}", "arm": arm,
                     "time": T0 + timedelta(seconds=number), "items": items, "click": seen})  # fmt: skip
    return rows


def wide(rows: list[dict[str, Any]], path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def judged(run: Any, root: Path, *flags: object) -> Any:
    (root / "plan.yaml").write_text(PLAN)
    return run("analyze", "canary", "--plan", root / "plan.yaml", *flags, "--at", "2026-03-02T00:00", "--json")


@pytest.mark.parametrize(("worse", "result"), [(True, "fail"), (False, "pass")])
def test_a_worse_ranker_is_found_and_an_equal_one_passes(worse: bool, result: str, tmp_path: Path, run: Any) -> None:
    rows = pages(worse)
    said = judged(run, tmp_path, "--log", wide(rows, tmp_path / "t.parquet"))
    assert said.json["result"] == result, said.err
    (verdict,), (signal,) = said.json["verdicts"], said.json["signals"]
    for arm, name in (("champion", "rateChampion"), ("canary", "rateCandidate")):
        values = [ndcg_of_clicks(row["items"], row["click"], 5) for row in rows if row["arm"] == arm]
        known = [value for value in values if value is not None]
        assert verdict[name] == pytest.approx(sum(known) / len(values), abs=1e-5)
        assert signal[name] == pytest.approx(sum(known) / len(known), abs=1e-5)
    assert (verdict["estimate"] < -0.1) == worse


def test_clicks_may_be_kept_apart_item_by_item(tmp_path: Path, run: Any) -> None:
    rows = pages(worse=True, n=2_000)
    beside = judged(run, tmp_path, "--log", wide(rows, tmp_path / "t.parquet")).json
    told = [
        {"key": row["request_id"], "name": "click", "item": item, "value": 1.0} for row in rows for item in row["click"]
    ]
    pq.write_table(pa.Table.from_pylist(told), tmp_path / "clicks.parquet")
    log = wide([{name: row[name] for name in row if name != "click"} for row in rows], tmp_path / "log.parquet")
    apart = judged(run, tmp_path, "--log", log, "--outcomes", tmp_path / "clicks.parquet", "--key", "request_id").json
    for name in ("rateChampion", "rateCandidate", "estimate"):
        assert apart["verdicts"][0][name] == beside["verdicts"][0][name]
    pq.write_table(pa.Table.from_pylist(told).drop_columns(["item"]), tmp_path / "nameless.parquet")
    refused = judged(run, tmp_path, "--log", log, "--outcomes", tmp_path / "nameless.parquet", "--key", "request_id")
    assert (refused.code, "ST0280" in refused.err, "'item'" in refused.err) == (2, True, True)


def test_a_table_without_lists_says_what_is_missing(tmp_path: Path, run: Any) -> None:
    rows = pages(worse=False, n=50)
    bare = wide([{name: row[name] for name in row if name != "items"} for row in rows], tmp_path / "bare.parquet")
    said = judged(run, tmp_path, "--log", bare)
    assert (said.code, "--items COLUMN" in said.err) == (2, True)
    flat = wide([{**row, "click": 1.0} for row in rows], tmp_path / "flat.parquet")
    said = judged(run, tmp_path, "--log", flat)
    assert (said.code, "ST0277" in said.err, "list of ids" in said.err) == (2, True, True)
